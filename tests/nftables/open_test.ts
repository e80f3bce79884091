/** Kernels and processes that cannot use nf_tables, and answers that are damaged. */
import { assert, assertEquals, assertThrows } from "@std/assert";
import { Errno } from "../../ffi/errno.ts";
import { isSandboxError } from "../../src/errors.ts";
import { ByteWindow, ByteWriter } from "../../src/netlink/bytes.ts";
import { CodecError } from "../../src/netlink/codec.ts";
import { Connection } from "../../src/netlink/connection.ts";
import { NLMSG_ERROR, readMessages } from "../../src/netlink/message.ts";
import {
  IncompleteReplyError,
  NetlinkError,
} from "../../src/netlink/netlink_error.ts";
import {
  SocketTransport,
  type Transport,
} from "../../src/netlink/transport.ts";
import { NftablesConnection } from "../../src/nftables/connection.ts";
import { Transaction } from "../../src/nftables/transaction.ts";
import { sampleTable } from "./sample.ts";

/** Runs fixtures/open.ts below another program and returns what it prints. */
function openUnder(...command: readonly [string, ...string[]]): string {
  const [program, ...args] = command;
  const { success, stdout, stderr } = new Deno.Command(program, {
    args: [
      ...args,
      Deno.execPath(),
      "run",
      "--quiet",
      "--no-check",
      "--allow-ffi",
      new URL("fixtures/open.ts", import.meta.url).pathname,
    ],
    env: { NO_COLOR: "1" },
  }).outputSync();
  const decoder = new TextDecoder();
  assert(success, decoder.decode(stderr));
  return decoder.decode(stdout).trim();
}

Deno.test("open() works with no permission but ffi", () => {
  assertEquals(openUnder("env"), "opened");
});

Deno.test("open() throws EPERM without CAP_NET_ADMIN", () => {
  assertEquals(openUnder("setpriv", "--bounding-set=-net_admin"), "EPERM");
});

Deno.test("open() says that the kernel has no nf_tables when it has no netfilter sockets", () => {
  assertEquals(
    openUnder(
      "strace",
      ...["-f", "-qq", "-o", "/dev/null", "-e", "trace=socket"],
      ...["-e", "inject=socket:error=EPROTONOSUPPORT"],
    ),
    "no nf_tables",
  );
});

/** Answers every datagram with an error. */
class RefusingTransport implements Transport {
  #answers: Uint8Array<ArrayBuffer>[] = [];
  constructor(readonly errno: number) {}

  send(datagram: Uint8Array<ArrayBuffer>): void {
    const [message] = readMessages(new ByteWindow(datagram));
    const out = new ByteWriter();
    out.u32(36, true);
    out.u16(NLMSG_ERROR, true);
    out.u16(0, true);
    out.u32(message?.sequence ?? 0, true);
    out.u32(0, true);
    out.u32(-this.errno >>> 0, true);
    out.bytes(datagram.subarray(0, 16));
    this.#answers = [out.finish()];
  }

  receive(): Uint8Array<ArrayBuffer> | undefined {
    return this.#answers.shift();
  }

  [Symbol.dispose](): void {}
}

Deno.test("generation() says that the kernel has no nf_tables when nfnetlink knows no such subsystem", () => {
  using connection = new NftablesConnection(
    new Connection(new RefusingTransport(Errno.EINVAL)),
  );
  const error = assertThrows(() => connection.generation());
  assert(isSandboxError(error, "UnsupportedKernel"));
  assertEquals(error.context, { feature: "nf_tables" });
  assert(error.cause instanceof NetlinkError);
});

Deno.test("other refusals stay what they are", () => {
  using connection = new NftablesConnection(
    new Connection(new RefusingTransport(Errno.EPERM)),
  );
  const transaction = new Transaction();
  transaction.deleteTable("t");
  for (
    const use of [
      () => connection.generation(),
      () => connection.getTable("t"),
      () => connection.commit(transaction, { generation: 1 }),
    ]
  ) assertEquals(assertThrows(use, NetlinkError).errno, Errno.EPERM);
});

/** Damages a byte or cuts the end of what the kernel answers, differently each time. */
class DamagingTransport implements Transport {
  readonly #inner = SocketTransport.open(12);
  #seed = 3;

  #random(below: number): number {
    this.#seed = (this.#seed * 1103515245 + 12345) & 0x7fffffff;
    return this.#seed % below;
  }

  send(datagram: Uint8Array<ArrayBuffer>): void {
    this.#inner.send(datagram);
  }

  receive(): Uint8Array<ArrayBuffer> | undefined {
    const datagram = this.#inner.receive()?.slice();
    if (datagram === undefined) return undefined;
    if (this.#random(4) === 0) {
      return datagram.slice(0, this.#random(datagram.length));
    }
    datagram[this.#random(datagram.length)] = this.#random(256);
    return datagram;
  }

  [Symbol.dispose](): void {
    this.#inner[Symbol.dispose]();
  }
}

Deno.test("damaged answers give a value or a typed error, and the next call works on", () => {
  using sound = NftablesConnection.open();
  const table = sampleTable("damaged");
  const create = new Transaction();
  create.createTable(table);
  sound.commit(create);
  try {
    using damaged = new NftablesConnection(
      new Connection(new DamagingTransport()),
    );
    const [first] = table.sets;
    assert(first);
    const key = first.elements?.[0]?.key;
    assert(key);
    let errors = 0;
    for (let round = 0; round < 300; round++) {
      try {
        damaged.getElement("damaged", first, key);
        damaged.listElements("damaged", first);
        damaged.readTable("damaged");
      } catch (error) {
        assert(
          error instanceof CodecError || error instanceof NetlinkError ||
            error instanceof IncompleteReplyError ||
            isSandboxError(error, "UnsupportedKernel") ||
            (error instanceof Error && error.name === "GenerationError"),
          Deno.inspect(error),
        );
        errors++;
      }
    }
    assert(errors > 100, `${errors} errors`);
  } finally {
    const remove = new Transaction();
    remove.deleteTable("damaged");
    sound.commit(remove);
  }
});
