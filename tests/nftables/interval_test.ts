/** Sets of ranges in the kernel: what they match, and changes to them. */
import { assert, assertEquals, assertThrows } from "@std/assert";
import { NetlinkError } from "../../src/netlink/netlink_error.ts";
import { NftablesConnection } from "../../src/nftables/connection.ts";
import { encodeKey } from "../../src/nftables/datatype.ts";
import { ip, meta, th } from "../../src/nftables/expression.ts";
import type { Element, NftSet, Rule } from "../../src/nftables/ruleset.ts";
import { equals, inSet, notInSet, rule } from "../../src/nftables/statement.ts";
import { Transaction } from "../../src/nftables/transaction.ts";
import { counter, range } from "./sample.ts";

const nets: NftSet = { name: "nets", key: ["ipv4_addr"], interval: true };

/** A table whose one rule counts what this machine sends. */
class Counting implements Disposable {
  readonly connection = NftablesConnection.open();

  constructor(readonly name: string, sets: readonly NftSet[], counting: Rule) {
    this.commit((t) =>
      t.createTable({
        family: "inet",
        name,
        sets,
        chains: [{
          name: "output",
          hook: { type: "filter", hook: "output", priority: 0 },
          rules: [counting],
        }],
      })
    );
  }

  commit(change: (transaction: Transaction) => void): void {
    const transaction = new Transaction();
    change(transaction);
    this.connection.commit(transaction);
  }

  #packets(): bigint {
    const [rule] = this.connection.readTable(this.name)?.chains[0]?.rules ?? [];
    const last = rule?.expressions.at(-1);
    assert(last && "counter" in last);
    return last.counter.packets ?? 0n;
  }

  /** Whether the rule matches a TCP packet to this address and port. */
  async matches(hostname: string, port = 9): Promise<boolean> {
    const before = this.#packets();
    try {
      using _connection = await Deno.connect({ hostname, port });
    } catch (error) {
      assert(error instanceof Deno.errors.ConnectionRefused, String(error));
    }
    return this.#packets() > before;
  }

  /** Of these, the addresses to which the rule matches a packet. */
  async matching(...hostnames: readonly string[]): Promise<string[]> {
    const matching: string[] = [];
    for (const hostname of hostnames) {
      if (await this.matches(hostname)) matching.push(hostname);
    }
    return matching;
  }

  [Symbol.dispose](): void {
    this.commit((t) => t.deleteTable(this.name));
    this.connection[Symbol.dispose]();
  }
}

Deno.test("a set of ranges has the addresses from the first to the last, and no others", async () => {
  using table = new Counting(
    "interval_match",
    [{
      ...nets,
      elements: [
        range("ipv4_addr", "127.1.0.0", "127.1.255.255"),
        // Next to the one before: the end of one and the start of the other have the same key.
        range("ipv4_addr", "127.2.0.0"),
        range("ipv4_addr", "127.4.0.3", "127.4.0.5"),
      ],
    }],
    rule([inSet([ip.daddr], "nets"), counter]),
  );
  assertEquals(
    await table.matching(
      ...["127.0.255.255", "127.1.0.0", "127.1.7.7", "127.1.255.255"],
      ...["127.2.0.0", "127.2.0.1", "127.4.0.2", "127.4.0.3", "127.4.0.5"],
      ...["127.4.0.6", "127.255.255.254"],
    ),
    [
      "127.1.0.0",
      "127.1.7.7",
      "127.1.255.255",
      "127.2.0.0",
      "127.4.0.3",
      "127.4.0.5",
    ],
  );
});

Deno.test("a range that reaches the last address has no end in the kernel", async () => {
  const open = range("ipv4_addr", "127.8.0.0", "255.255.255.255");
  using table = new Counting(
    "interval_open",
    [{ ...nets, elements: [open] }],
    // The port leaves out the answers, which go to 127.0.0.1.
    rule([equals(th.dport, 9), notInSet([ip.daddr], "nets"), counter]),
  );
  assertEquals(
    await table.matching("127.7.255.255", "127.8.0.0", "127.255.255.254"),
    ["127.7.255.255"],
  );
  assertEquals(table.connection.listElements(table.name, nets), [open]);
});

Deno.test("ranges are added and deleted one by one", async () => {
  const first = range("ipv4_addr", "127.1.0.0", "127.1.0.9", "first");
  const second = range("ipv4_addr", "127.1.0.10", "127.1.0.19", "second");
  using table = new Counting(
    "interval_change",
    [nets],
    rule([inSet([ip.daddr], "nets"), counter]),
  );
  const { name, connection } = table;
  const ends = ["127.1.0.0", "127.1.0.9", "127.1.0.10", "127.1.0.19"] as const;
  const add = (e: Element) =>
    table.commit((t) => t.addElements(name, nets, [e], { exclusive: true }));
  const remove = (e: Element) =>
    table.commit((t) => t.deleteElements(name, nets, [e]));

  add(second);
  add(first);
  assertEquals(connection.listElements(name, nets), [first, second]);
  assertEquals(await table.matching(...ends), [...ends]);
  assertEquals(assertThrows(() => add(first), NetlinkError).code, "EEXIST");

  remove(first);
  assertEquals(connection.listElements(name, nets), [second]);
  assertEquals(await table.matching(...ends), ends.slice(2));
  remove(second);
  assertEquals(await table.matching(...ends), []);
  add(first);
  assertEquals(await table.matching(...ends), ends.slice(0, 2));
});

Deno.test("the kernel refuses a range that overlaps one it has", () => {
  using table = new Counting(
    "interval_overlap",
    [{ ...nets, elements: [range("ipv4_addr", "127.1.0.0", "127.1.0.9")] }],
    rule([inSet([ip.daddr], "nets"), counter]),
  );
  const error = assertThrows(
    () =>
      table.commit((t) =>
        t.addElements(table.name, nets, [
          range("ipv4_addr", "127.1.0.5", "127.1.0.20"),
        ])
      ),
    NetlinkError,
  );
  assertEquals(error.code, "EEXIST");
});

Deno.test("a set of ranges of concatenations compares each field", async () => {
  const key = ["inet_proto", "inet_service"] as const;
  using table = new Counting(
    "interval_concat",
    [{
      name: "ports",
      key,
      interval: true,
      elements: [
        { key: encodeKey(key, ["tcp", 7]), keyEnd: encodeKey(key, ["tcp", 9]) },
        { key: encodeKey(key, ["udp", 11]) },
      ],
    }],
    rule([inSet([meta.l4proto, th.dport], "ports"), counter]),
  );
  const matched: number[] = [];
  for (const port of [6, 7, 8, 9, 10, 11]) {
    if (await table.matches("127.0.0.1", port)) matched.push(port);
  }
  assertEquals(matched, [7, 8, 9]);
});

Deno.test("equals() with a network matches the network, whatever its length", async () => {
  for (
    const [network, inside, outside] of [
      ["127.16.0.0/12", ["127.16.0.0", "127.31.255.255"], [
        "127.15.255.255",
        "127.32.0.0",
      ]],
      ["127.16.0.0/16", ["127.16.0.0", "127.16.255.255"], [
        "127.15.255.255",
        "127.17.0.0",
      ]],
      ["127.16.0.4/32", ["127.16.0.4"], ["127.16.0.3", "127.16.0.5"]],
    ] as const
  ) {
    using table = new Counting(
      "interval_network",
      [],
      rule([equals(ip.daddr, network), counter]),
    );
    assertEquals(await table.matching(...inside, ...outside), [...inside]);
  }
});
