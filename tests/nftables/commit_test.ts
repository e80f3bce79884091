/** What commits do to the kernel's ruleset. */
import { assert, assertEquals, assertThrows } from "@std/assert";
import { Errno } from "../../ffi/errno.ts";
import {
  isNetlinkError,
  NetlinkError,
} from "../../src/netlink/netlink_error.ts";
import {
  GenerationError,
  NftablesConnection,
} from "../../src/nftables/connection.ts";
import { encodeKey } from "../../src/nftables/datatype.ts";
import { th } from "../../src/nftables/expression.ts";
import { differences } from "../../src/nftables/live.ts";
import type { Element, NftSet, Table } from "../../src/nftables/ruleset.ts";
import {
  equals,
  goto,
  inSet,
  rule,
  verdict,
} from "../../src/nftables/statement.ts";
import { Transaction } from "../../src/nftables/transaction.ts";
import { nft } from "./nft.ts";
import { sampleTable } from "./sample.ts";

const drop = verdict("drop");

const ports: NftSet = {
  name: "ports",
  key: ["inet_proto", "inet_service"],
  data: ["ipv4_addr", "inet_service"],
};

function port(number: number, comment = "a", pod = "10.244.1.5"): Element {
  return {
    key: encodeKey(ports.key, ["tcp", number]),
    data: encodeKey(ports.data ?? [], [pod, 80]),
    comment,
  };
}

/** A connection and a table of its own, which goes at the end. */
class Scratch implements Disposable {
  static #count = 0;
  readonly name = `commit_${Scratch.#count++}`;
  readonly connection = NftablesConnection.open();

  constructor(table: Partial<Table> = {}) {
    this.commit((t) =>
      t.createTable({
        family: "inet",
        name: this.name,
        sets: [ports],
        chains: [],
        ...table,
      })
    );
  }

  commit(
    change: (transaction: Transaction) => void,
    options?: { readonly generation: number },
  ): void {
    const transaction = new Transaction();
    change(transaction);
    this.connection.commit(transaction, options);
  }

  /** The first refusal of a commit. */
  refusal(change: (transaction: Transaction) => void): NetlinkError {
    return assertThrows(() => this.commit(change), NetlinkError);
  }

  numbers(): readonly number[] {
    return this.connection.listElements(this.name, ports)
      .map(({ key }) => (key[4] ?? 0) << 8 | (key[5] ?? 0))
      .sort((a, b) => a - b);
  }

  [Symbol.dispose](): void {
    if (this.connection.getTable(this.name) !== undefined) {
      this.commit((t) => t.deleteTable(this.name));
    }
    this.connection[Symbol.dispose]();
  }
}

Deno.test("commit() does nothing at all when one change is refused", () => {
  using scratch = new Scratch();
  const { name } = scratch;
  const before = nft(["list", "ruleset"]);
  const error = scratch.refusal((t) => {
    t.addElements(name, ports, [port(80), port(81)]);
    t.addSet(name, { name: "added", key: ["ipv4_addr"] });
    t.deleteElements(name, ports, [port(99)]);
    t.addElements(name, ports, [port(82)]);
  });
  assertEquals(error.code, "ENOENT");
  assertEquals(error.operation, `delete elements of ${name} ports`);
  assertEquals(error.attribute, "elements[0]");
  assertEquals(nft(["list", "ruleset"]), before);
});

Deno.test("commit() reports every refused change of a transaction", () => {
  using scratch = new Scratch();
  const { name } = scratch;
  const error = scratch.refusal((t) => {
    t.flushSet(name, "one");
    t.flushSet(name, "two");
  });
  assertEquals(
    error.failures.map((f) => [f.operation, f.code]),
    [[`flush set ${name} one`, "ENOENT"], [
      `flush set ${name} two`,
      "ENOENT",
    ]],
  );
});

Deno.test("exclusive elements are refused when the key is there, even with the same data", () => {
  using scratch = new Scratch();
  const { name, connection } = scratch;
  scratch.commit((t) =>
    t.addElements(name, ports, [port(80, "owner")], { exclusive: true })
  );
  for (
    const again of [port(80, "owner"), port(80, "b"), port(80, "b", "10.9.9.9")]
  ) {
    const error = scratch.refusal((t) =>
      t.addElements(name, ports, [port(79), again, port(81)], {
        exclusive: true,
      })
    );
    assertEquals([error.code, error.attribute], ["EEXIST", "elements[1]"]);
  }
  assertEquals(scratch.numbers(), [80]);
  assertEquals(
    connection.getElement(name, ports, port(80).key)?.comment,
    "owner",
  );
});

Deno.test("elements that are not exclusive leave one with the same data as it is", () => {
  using scratch = new Scratch();
  const { name, connection } = scratch;
  scratch.commit((t) => t.addElements(name, ports, [port(80, "first")]));
  scratch.commit((t) => t.addElements(name, ports, [port(80, "second")]));
  assertEquals(
    connection.getElement(name, ports, port(80).key)?.comment,
    "first",
  );
  const error = scratch.refusal((t) =>
    t.addElements(name, ports, [port(80, "first", "10.9.9.9")])
  );
  assertEquals(error.code, "EEXIST");
});

Deno.test("deleteElements() deletes by key, whatever data and comment are given", () => {
  using scratch = new Scratch();
  const { name } = scratch;
  scratch.commit((t) => t.addElements(name, ports, [port(80), port(81)]));
  scratch.commit((t) =>
    t.deleteElements(name, ports, [port(80, "other", "10.9.9.9")])
  );
  assertEquals(scratch.numbers(), [81]);
});

Deno.test("an element is replaced in one transaction", () => {
  using scratch = new Scratch();
  const { name, connection } = scratch;
  scratch.commit((t) => t.addElements(name, ports, [port(80, "a")]));
  scratch.commit((t) => {
    t.deleteElements(name, ports, [port(80)]);
    t.addElements(name, ports, [port(80, "b")], { exclusive: true });
  });
  assertEquals(connection.getElement(name, ports, port(80).key)?.comment, "b");
});

Deno.test("flushSet() empties a set", () => {
  using scratch = new Scratch();
  const { name } = scratch;
  scratch.commit((t) => t.addElements(name, ports, [port(80), port(81)]));
  scratch.commit((t) => t.flushSet(name, "ports"));
  assertEquals(scratch.numbers(), []);
});

Deno.test("getElement() reads one element with its data and comment", () => {
  using scratch = new Scratch();
  const { name, connection } = scratch;
  const all = Array.from({ length: 300 }, (_, i) => port(i, `owner ${i}`));
  scratch.commit((t) => t.addElements(name, ports, all));
  assertEquals(
    connection.getElement(name, ports, port(77).key),
    port(77, "owner 77"),
  );
});

Deno.test("getElement() is undefined without the element, the set or the table", () => {
  using scratch = new Scratch();
  const { name, connection } = scratch;
  const { key } = port(80);
  assertEquals(connection.getElement(name, ports, key), undefined);
  assertEquals(
    connection.getElement(name, { ...ports, name: "none" }, key),
    undefined,
  );
  assertEquals(connection.getElement("no_such_table", ports, key), undefined);
});

Deno.test("what does not exist reads as nothing", () => {
  using connection = NftablesConnection.open();
  assertEquals(connection.getTable("no_such_table"), undefined);
  assertEquals(connection.readTable("no_such_table"), undefined);
  assertEquals(connection.listChains("no_such_table"), []);
  assertEquals(connection.listElements("no_such_table", ports), []);
});

Deno.test("commit() with the present generation works, and with an older one throws GenerationError", () => {
  using scratch = new Scratch();
  const { name, connection } = scratch;
  const generation = connection.generation();
  scratch.commit((t) => t.addElements(name, ports, [port(80)]), { generation });
  const error = assertThrows(
    () =>
      scratch.commit((t) => t.addElements(name, ports, [port(81)]), {
        generation,
      }),
    GenerationError,
  );
  assertEquals(error.generation, generation);
  assert(isNetlinkError(error.cause, 85));
  assertEquals(scratch.numbers(), [80]);
});

Deno.test("a check and a change cannot be separated by another program's commit", () => {
  using scratch = new Scratch();
  const { name, connection } = scratch;
  scratch.commit((t) => t.addElements(name, ports, [port(80, "mine")]));
  // Delete only what is still ours: between reading and committing, another owner takes the port.
  let attempts = 0;
  for (let done = false; !done; attempts++) {
    const generation = connection.generation();
    const owner = connection.getElement(name, ports, port(80).key)?.comment;
    if (attempts === 0) {
      nft(
        [],
        `delete element inet ${name} ports { tcp . 80 }
add element inet ${name} ports { tcp . 80 comment "theirs" : 10.244.1.5 . 80 }
`,
      );
    }
    if (owner !== "mine") break;
    try {
      scratch.commit((t) => t.deleteElements(name, ports, [port(80)]), {
        generation,
      });
      done = true;
    } catch (error) {
      if (!(error instanceof GenerationError)) throw error;
    }
  }
  assertEquals(attempts, 1);
  assertEquals(
    connection.getElement(name, ports, port(80).key)?.comment,
    "theirs",
  );
});

Deno.test("20,000 elements go in and out in one transaction each", () => {
  using scratch = new Scratch();
  const { name } = scratch;
  const all = Array.from({ length: 20_000 }, (_, i) => port(i, `owner ${i}`));
  scratch.commit((t) => t.addElements(name, ports, all, { exclusive: true }));
  assertEquals(scratch.numbers().length, 20_000);
  const error = scratch.refusal((t) => {
    t.deleteElements(name, ports, all);
    t.flushSet(name, "none");
  });
  assertEquals(error.code, "ENOENT");
  assertEquals(scratch.numbers().length, 20_000);
  scratch.commit((t) => t.deleteElements(name, ports, all));
  assertEquals(scratch.numbers(), []);
});

Deno.test("createTable() refuses a table that exists", () => {
  using scratch = new Scratch();
  const error = scratch.refusal((t) =>
    t.createTable(sampleTable(scratch.name))
  );
  assertEquals(error.code, "EEXIST");
  assertEquals(error.operation, `add table ${scratch.name}`);
});

Deno.test("rebuildTable() makes chains and rules anew and leaves the elements", () => {
  using scratch = new Scratch();
  const { name, connection } = scratch;
  scratch.commit((t) => t.addElements(name, ports, [port(80), port(81)]));
  const hook = { type: "filter", hook: "input", priority: 0 } as const;
  const first: Table = {
    family: "inet",
    name,
    sets: [ports],
    chains: [
      { name: "input", hook, rules: [rule([goto("old")])] },
      { name: "old", rules: [rule([drop])] },
    ],
  };
  const second: Table = {
    ...first,
    sets: [ports, { name: "new_set", key: ["ipv4_addr"] }],
    chains: [
      // A chain that keeps its name but not its place.
      {
        name: "input",
        hook: { ...hook, priority: 7 },
        rules: [rule([goto("new")])],
      },
      {
        name: "new",
        rules: [
          rule([equals(th.dport, 1), drop]),
          rule([inSet([th.dport], "numbers"), drop], { comment: "last" }),
        ],
      },
    ],
  };
  const withNumbers = {
    ...second,
    sets: [...second.sets, { name: "numbers", key: ["inet_service"] } as const],
  };
  for (const table of [first, withNumbers, withNumbers, first]) {
    scratch.commit((t) => t.rebuildTable(table, connection.listChains(name)));
    assertEquals(differences(table, connection.readTable(name)), []);
    assertEquals(connection.listChains(name), table.chains.map((c) => c.name));
    assertEquals(scratch.numbers(), [80, 81]);
  }
});

Deno.test("rebuildTable() makes a table that is missing", () => {
  using scratch = new Scratch();
  const { name, connection } = scratch;
  nft(["delete", "table", "inet", name]);
  const table = sampleTable(name);
  scratch.commit((t) => t.rebuildTable(table, []));
  assertEquals(differences(table, connection.readTable(name)), []);
});

Deno.test("rebuildTable() refuses to change the types of a set", () => {
  using scratch = new Scratch();
  const { name } = scratch;
  const error = scratch.refusal((t) =>
    t.rebuildTable({
      family: "inet",
      name,
      sets: [{ ...ports, data: ["ipv6_addr", "inet_service"] }],
      chains: [],
    }, [])
  );
  assertEquals(error.errno, Errno.EEXIST);
  assertEquals(error.operation, `add set ${name} ports`);
});
