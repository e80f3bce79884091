import { assert, assertEquals } from "@std/assert";
import { NftablesConnection } from "../../src/nftables/connection.ts";
import { ByteWindow } from "../../src/netlink/bytes.ts";
import { Connection } from "../../src/netlink/connection.ts";
import { NETLINK_NETFILTER, readMessages } from "../../src/netlink/message.ts";
import {
  SocketTransport,
  type Transport,
} from "../../src/netlink/transport.ts";
import { differences, type LiveTable } from "../../src/nftables/live.ts";
import { NftMessage } from "../../src/nftables/tables.ts";
import { Transaction } from "../../src/nftables/transaction.ts";
import { nft } from "./nft.ts";
import { sampleTable } from "./sample.ts";

/** The sample table as the kernel has it after nft has run these commands. */
function liveAfter(name: string, commands: string): LiveTable | undefined {
  using connection = NftablesConnection.open();
  const create = new Transaction();
  create.createTable(sampleTable(name));
  connection.commit(create);
  try {
    nft([], commands);
    return connection.readTable(name);
  } finally {
    nft([], `add table inet ${name}\ndelete table inet ${name}\n`);
  }
}

Deno.test("differences() is empty when the kernel counts packets meanwhile", () => {
  using connection = NftablesConnection.open();
  const table = sampleTable("live_counts");
  const create = new Transaction();
  create.createTable(table);
  connection.commit(create);
  try {
    const live = connection.readTable("live_counts");
    assert(live);
    const counted: LiveTable = {
      ...live,
      chains: live.chains.map((chain) => ({
        ...chain,
        rules: chain.rules.map((rule) => ({
          ...rule,
          expressions: rule.expressions.map((e) =>
            "counter" in e ? { counter: { packets: 5n, bytes: 300n } } : e
          ),
        })),
      })),
    };
    assertEquals(differences(table, counted), []);
  } finally {
    nft(["delete", "table", "inet", "live_counts"]);
  }
});

Deno.test("differences() names the table that is missing", () => {
  const live = liveAfter("live_gone", "delete table inet live_gone");
  assertEquals(differences(sampleTable("live_gone"), live), [
    "table live_gone is missing",
  ]);
});

Deno.test("differences() names a table that is dormant, until wakeTable() has switched it on", () => {
  using connection = NftablesConnection.open();
  const name = "live_dormant";
  const table = sampleTable(name);
  const create = new Transaction();
  create.createTable(table);
  connection.commit(create);
  try {
    nft([], `add table inet ${name} { flags dormant; }`);
    assertEquals(differences(table, connection.readTable(name)), [
      "table live_dormant is dormant, which switches its rules off",
    ]);
    const { handle } = connection.getTable(name) ?? {};
    connection.wakeTable(name);
    assertEquals(differences(table, connection.readTable(name)), []);
    assertEquals(connection.getTable(name)?.handle, handle);
    const generation = connection.generation();
    connection.wakeTable(name);
    assertEquals(connection.generation(), generation, "it was awake");
  } finally {
    nft(["delete", "table", "inet", name]);
  }
  connection.wakeTable(name);
  assertEquals(connection.getTable(name), undefined);
});

Deno.test("differences() names chains and sets that are missing or too many", () => {
  const live = liveAfter(
    "live_chains",
    `flush chain inet live_chains egress
delete chain inet live_chains egress
flush chain inet live_chains postrouting
delete set inet live_chains hairpin6
delete set inet live_chains hairpin4
add set inet live_chains hairpin4 { type ipv4_addr; }
delete set inet live_chains ports
add set inet live_chains ports { type inet_service; flags interval; }
add chain inet live_chains intruder
`,
  );
  assertEquals(differences(sampleTable("live_chains"), live), [
    "set hairpin4 differs",
    "set hairpin6 is missing",
    "set ports differs",
    'rule "ct status dnat return" of chain postrouting is missing',
    'rule "ip saddr . ip daddr @hairpin4 snat ip to 10.244.1.1" of chain postrouting is missing',
    'rule "ip6 saddr . ip6 daddr @hairpin6 snat ip6 to fd00::1" of chain postrouting is missing',
    'rule "oifname != "lo" ip saddr 127.0.0.0/8 masquerade" of chain postrouting is missing',
    'rule "meta l4proto sctp masquerade to :32768-65535 fully-random" of chain postrouting is missing',
    "chain egress is missing",
    "chain intruder is not ours",
  ]);
});

Deno.test("differences() names rules that are changed or too many, and another policy", () => {
  const live = liveAfter(
    "live_rules",
    `insert rule inet live_rules prerouting accept
add rule inet live_rules nothing drop
add chain inet live_rules lo_in { policy accept; }
`,
  );
  assertEquals(differences(sampleTable("live_rules"), live), [
    'rule "fib daddr type local goto hostports" of chain prerouting differs',
    "chain prerouting has 1 rules too many",
    "chain lo_in is attached in another way",
    "chain nothing has 1 rules too many",
  ]);
});

Deno.test("readTable() tells a table that was made again by its handle", () => {
  const first = liveAfter("live_handle", "");
  const second = liveAfter("live_handle", "");
  assert(first && second);
  assert(first.handle !== second.handle);
});

/** Lets something happen just before a message of one type is sent for the first time. */
class InterruptedTransport implements Transport {
  readonly #inner = SocketTransport.open(NETLINK_NETFILTER);
  #interruption: (() => void) | undefined;

  constructor(readonly type: number, interruption: () => void) {
    this.#interruption = interruption;
  }

  send(datagram: Uint8Array<ArrayBuffer>): void {
    if (
      readMessages(new ByteWindow(datagram)).some((m) => m.type === this.type)
    ) {
      this.#interruption?.();
      this.#interruption = undefined;
    }
    this.#inner.send(datagram);
  }

  receive(): Uint8Array<ArrayBuffer> | undefined {
    return this.#inner.receive();
  }

  [Symbol.dispose](): void {
    this.#inner[Symbol.dispose]();
  }
}

Deno.test("readTable() never mixes two states of a table", () => {
  const name = "live_race";
  nft([], `table inet ${name} { chain a { accept; }; }\n`);
  try {
    using connection = new NftablesConnection(
      new Connection(
        new InterruptedTransport(NftMessage.getChain, () =>
          nft(
            [],
            `flush chain inet ${name} a
delete chain inet ${name} a
table inet ${name} { chain b { drop; }; }
`,
          )),
      ),
    );
    assertEquals(
      connection.readTable(name)?.chains.map((c) => [c.name, c.rules.length]),
      [["b", 1]],
    );
  } finally {
    nft(["delete", "table", "inet", name]);
  }
});
