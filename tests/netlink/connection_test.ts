/** The connection against a kernel that can be made to answer anything. */
import { assert, assertEquals, assertThrows } from "@std/assert";
import { Errno, SyscallError } from "../../ffi/errno.ts";
import { encodeBatch, NO_ANSWER } from "../../src/netlink/batch.ts";
import { ByteWindow, ByteWriter } from "../../src/netlink/bytes.ts";
import { CodecError } from "../../src/netlink/codec.ts";
import { Connection } from "../../src/netlink/connection.ts";
import {
  type Message,
  NLM_F_ACK,
  NLM_F_DUMP,
  NLM_F_DUMP_INTR,
  NLM_F_MULTI,
  NLM_F_REQUEST,
  NLMSG_NOOP,
  NLMSG_OVERRUN,
  readMessages,
} from "../../src/netlink/message.ts";
import {
  IncompleteReplyError,
  isNetlinkError,
  NetlinkError,
} from "../../src/netlink/netlink_error.ts";
import {
  type Answer,
  bare,
  done,
  error,
  FakeKernel,
  reply,
  request,
  testCodec,
  together,
} from "./fake_kernel.ts";

function sent(kernel: FakeKernel, datagram = 0): Message[] {
  return readMessages(
    new ByteWindow(kernel.sent[datagram] ?? new Uint8Array()),
  );
}

/** A kernel that acknowledges what asks for it, and refuses the message at `refused`. */
function kernelRefusing(refused: ReadonlyMap<number, number>): FakeKernel {
  return new FakeKernel((messages) =>
    messages.flatMap(({ sequence, flags }, index) => {
      const errno = refused.get(index) ?? 0;
      return errno !== 0 || (flags & NLM_F_ACK) !== 0
        ? [error(sequence, errno)]
        : [];
    })
  );
}

Deno.test("execute() sends one datagram and asks for an acknowledgement of the last message only", () => {
  const kernel = kernelRefusing(new Map());
  new Connection(kernel).execute([request("a"), request("b"), request("c")]);
  assertEquals(kernel.sent.length, 1);
  assertEquals(sent(kernel).map((m) => m.flags), [
    NLM_F_REQUEST,
    NLM_F_REQUEST,
    NLM_F_REQUEST | NLM_F_ACK,
  ]);
});

Deno.test("execute() stops at the last message that has NLM_F_ACK when one has it", () => {
  const kernel = kernelRefusing(new Map());
  new Connection(kernel).execute([
    request("begin"),
    request("change", 1, NLM_F_ACK),
    request("end"),
  ]);
  assertEquals(
    sent(kernel).map((m) => (m.flags & NLM_F_ACK) !== 0),
    [false, true, false],
  );
});

Deno.test("execute() sends nothing when there is nothing to send", () => {
  const kernel = new FakeKernel();
  new Connection(kernel).execute([]);
  assertEquals(kernel.sent.length, 0);
});

Deno.test("execute() attributes each refusal to its message by sequence number", () => {
  const kernel = kernelRefusing(
    new Map([[1, Errno.EEXIST], [3, Errno.ENODEV]]),
  );
  const connection = new Connection(kernel);
  const refusal = assertThrows(
    () =>
      connection.execute(
        ["a", "b", "c", "d", "e"].map((name) => request(name)),
      ),
    NetlinkError,
  );
  assertEquals(
    [refusal.operation, refusal.index, refusal.code, refusal.errno],
    ["b", 1, "EEXIST", 17],
  );
  assertEquals(refusal.failures, [
    { operation: "b", index: 1, errno: 17, code: "EEXIST" },
    { operation: "d", index: 3, errno: 19, code: "ENODEV" },
  ]);
  assert(isNetlinkError(refusal, Errno.EEXIST));
  assert(!isNetlinkError(refusal, Errno.ENODEV));
});

Deno.test("execute() ends when the kernel answers nothing but the first message", () => {
  const kernel = new FakeKernel(([first]) => [
    error(first?.sequence ?? 0, Errno.EPERM),
  ]);
  const refusal = assertThrows(
    () => new Connection(kernel).execute([request("begin"), request("rule")]),
    NetlinkError,
  );
  assertEquals([refusal.code, refusal.index], ["EPERM", 0]);
  assertEquals(refusal.message, "begin: EPERM");
});

Deno.test("execute() throws when the kernel gives no answer", () => {
  const incomplete = assertThrows(
    () => new Connection(new FakeKernel()).execute([request("set link x")]),
    IncompleteReplyError,
  );
  assertEquals(incomplete.reason, "missing");
  assertEquals(incomplete.message, "set link x: the kernel gave no answer");
});

Deno.test("a batch that asks for no answer is done when none has come, and refused when one has", () => {
  const batch = encodeBatch(new ByteWriter(), {
    requests: [request("a"), request("b")],
  }, NO_ANSWER);
  const silent = new FakeKernel();
  assertEquals(new Connection(silent).executeBatch(batch), []);
  assertEquals(sent(silent).map((m) => m.flags), [
    NLM_F_REQUEST,
    NLM_F_REQUEST,
  ]);
  for (const index of [0, 1]) {
    const kernel = kernelRefusing(new Map([[index, Errno.EEXIST]]));
    const refusal = assertThrows(
      () => new Connection(kernel).executeBatch(batch),
      NetlinkError,
    );
    assertEquals([refusal.code, refusal.index], ["EEXIST", index]);
  }
  const lost = new FakeKernel(() => [new SyscallError("recv", Errno.ENOBUFS)]);
  const incomplete = assertThrows(
    () => new Connection(lost).executeBatch(batch),
    IncompleteReplyError,
  );
  assertEquals(incomplete.reason, "overrun");
});

Deno.test("execute() passes over answers to other calls", () => {
  const kernel = new FakeKernel((messages) => [
    error(0xffffffff, Errno.EIO),
    error((messages[0]?.sequence ?? 0) + 1, Errno.EIO),
    error(messages[0]?.sequence ?? 0, 0),
  ]);
  new Connection(kernel).execute([request("a")]);
  assertEquals(kernel.queue.length, 0);
});

Deno.test("execute() leaves no answer to the next call when one call throws", () => {
  let refuse = true;
  const kernel = new FakeKernel((messages) =>
    messages.map(({ sequence }) => error(sequence, refuse ? Errno.EINVAL : 0))
  );
  const connection = new Connection(kernel);
  assertThrows(() => connection.execute([request("a"), request("b")]));
  refuse = false;
  connection.execute([request("c"), request("d")]);
});

Deno.test("execute() sends nothing when a value does not fit", () => {
  const kernel = new FakeKernel();
  const connection = new Connection(kernel);
  const problem = assertThrows(
    () => connection.execute([request("a"), request("set x", -1)]),
    CodecError,
  );
  assertEquals(problem.message, "set x: number: -1 is not a u32");
  assertEquals(kernel.sent.length, 0);
});

Deno.test("execute() throws overrun when the acknowledgement is lost in a full buffer", () => {
  const kernel = new FakeKernel(
    () => [new SyscallError("recv", Errno.ENOBUFS)],
  );
  const incomplete = assertThrows(
    () => new Connection(kernel).execute([request("a")]),
    IncompleteReplyError,
  );
  assertEquals(incomplete.reason, "overrun");
});

Deno.test("execute() reports refusals that came before the buffer was full", () => {
  const kernel = new FakeKernel((messages) => [
    new SyscallError("recv", Errno.ENOBUFS),
    error(messages[0]?.sequence ?? 0, Errno.EBUSY),
  ]);
  const refusal = assertThrows(
    () => new Connection(kernel).execute([request("a"), request("b")]),
    NetlinkError,
  );
  assertEquals(refusal.code, "EBUSY");
});

Deno.test("execute() passes on errors of the socket", () => {
  const kernel = new FakeKernel(() => [new SyscallError("recv", Errno.EBADF)]);
  assertThrows(
    () => new Connection(kernel).execute([request("a")]),
    SyscallError,
  );
});

Deno.test("execute() throws CodecError when the answer is damaged", () => {
  for (
    const damaged of [
      new Uint8Array(3),
      new Uint8Array(16),
      Uint8Array.of(0xff, 0, 0, 0, 2, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0, 0),
      bare(2, 1),
    ]
  ) {
    const problem = assertThrows(
      () =>
        new Connection(new FakeKernel(() => [damaged])).execute([request("a")]),
      CodecError,
    );
    assertEquals(problem.operation, "a");
  }
});

Deno.test("request() returns the replies before the acknowledgement", () => {
  const kernel = new FakeKernel(([first]) => {
    const sequence = first?.sequence ?? 0;
    return [reply(sequence, testCodec, { number: 7 }), error(sequence, 0)];
  });
  assertEquals(new Connection(kernel).request(request("get")), [{ number: 7 }]);
  assertEquals(sent(kernel)[0]?.flags, NLM_F_REQUEST | NLM_F_ACK);
});

Deno.test("request() gives replies that later calls do not overwrite", () => {
  const buffer = new Uint8Array(64);
  const one = { type: 9, payload: Uint8Array.of(1, 2, 3) };
  const two = { type: 9, payload: Uint8Array.of(4, 5, 6) };
  // As a socket does, the transport receives into one buffer.
  let next = one;
  const kernel = new FakeKernel(([first]) => {
    const sequence = first?.sequence ?? 0;
    const bytes = together(
      reply(sequence, testCodec, { $unknown: [next] }),
      error(sequence, 0),
    );
    next = two;
    buffer.set(bytes);
    return [buffer.subarray(0, bytes.length)];
  });
  const connection = new Connection(kernel);
  const [before] = connection.request(request("get"));
  connection.request(request("get"));
  assertEquals<unknown>(before, { $unknown: [one] });
});

Deno.test("request() repeats once when the reply was longer than the buffer", () => {
  let attempt = 0;
  const kernel = new FakeKernel(([first]) => {
    const sequence = first?.sequence ?? 0;
    return [
      attempt++ === 0
        ? new IncompleteReplyError("truncated", "too long")
        : reply(sequence, testCodec, { number: 1 }),
      error(sequence, 0),
    ];
  });
  assertEquals(new Connection(kernel).request(request("get")), [{ number: 1 }]);
  assertEquals(kernel.sent.length, 2);
});

Deno.test("request() does not repeat for ever when every reply is too long", () => {
  const kernel = new FakeKernel(([first]) => [
    new IncompleteReplyError("truncated", "too long"),
    error(first?.sequence ?? 0, 0),
  ]);
  const incomplete = assertThrows(
    () => new Connection(kernel).request(request("get")),
    IncompleteReplyError,
  );
  assertEquals([incomplete.reason, kernel.sent.length], ["truncated", 2]);
});

Deno.test("dump() collects the messages of all datagrams until NLMSG_DONE", () => {
  const kernel = new FakeKernel(([first]) => {
    const sequence = first?.sequence ?? 0;
    const part = (number: number) =>
      reply(sequence, testCodec, { number }, NLM_F_MULTI);
    return [
      together(part(1), bare(NLMSG_NOOP, sequence), part(2)),
      together(part(3), done(sequence)),
      part(4),
    ];
  });
  assertEquals(new Connection(kernel).dump(request("dump")), [
    { number: 1 },
    { number: 2 },
    { number: 3 },
  ]);
  assertEquals(sent(kernel)[0]?.flags, NLM_F_REQUEST | NLM_F_DUMP);
});

Deno.test("dump() returns nothing when the table is empty", () => {
  const kernel = new FakeKernel(([first]) => [done(first?.sequence ?? 0)]);
  assertEquals(new Connection(kernel).dump(request("dump")), []);
});

Deno.test("dump() starts again when the kernel says that it was interrupted", () => {
  let attempt = 0;
  const kernel = new FakeKernel(([first]) => {
    const sequence = first?.sequence ?? 0;
    const flags = ++attempt < 3 ? NLM_F_DUMP_INTR : 0;
    return [
      reply(sequence, testCodec, { number: attempt }, flags),
      done(sequence),
    ];
  });
  assertEquals(new Connection(kernel).dump(request("dump")), [{ number: 3 }]);
});

Deno.test("dump() gives up when it is interrupted every time", () => {
  const kernel = new FakeKernel(([first]) => [
    done(first?.sequence ?? 0, 0, undefined, NLM_F_DUMP_INTR),
  ]);
  const incomplete = assertThrows(
    () => new Connection(kernel).dump(request("dump links")),
    IncompleteReplyError,
  );
  assertEquals(incomplete.reason, "interrupted");
  assertEquals(kernel.sent.length, 32);
});

Deno.test("dump() throws what NLMSG_DONE says", () => {
  const kernel = new FakeKernel(([first]) => [
    done(first?.sequence ?? 0, Errno.ENOENT, {
      msg: "FIB table does not exist",
    }),
  ]);
  const refusal = assertThrows(
    () => new Connection(kernel).dump(request("dump routes")),
    NetlinkError,
  );
  assertEquals(
    refusal.message,
    "dump routes: ENOENT: FIB table does not exist",
  );
});

Deno.test("dump() throws overrun when the kernel says NLMSG_OVERRUN", () => {
  const kernel = new FakeKernel(([first]) => {
    const sequence = first?.sequence ?? 0;
    return [bare(NLMSG_OVERRUN, sequence), done(sequence)];
  });
  const incomplete = assertThrows(
    () => new Connection(kernel).dump(request("dump")),
    IncompleteReplyError,
  );
  assertEquals(incomplete.reason, "overrun");
});

Deno.test("dump() reads to the end before it throws when one message is damaged", () => {
  const kernel = new FakeKernel(([first]): Answer[] => {
    const sequence = first?.sequence ?? 0;
    const odd = reply(sequence, testCodec, {
      $unknown: [{ type: 1, payload: new Uint8Array(3) }],
    });
    return [odd, reply(sequence, testCodec, { number: 2 }), done(sequence)];
  });
  const problem = assertThrows(
    () => new Connection(kernel).dump(request("dump")),
    CodecError,
  );
  assertEquals(problem.message, "dump: number: u32 needs 4 bytes, got 3");
  assertEquals(kernel.queue.length, 0);
});

Deno.test("dispose closes the transport", () => {
  const kernel = new FakeKernel();
  {
    using _connection = new Connection(kernel);
  }
  assert(kernel.closed);
});
