import { assertEquals } from "@std/assert";
import type { Hook, Table } from "../../src/nftables/ruleset.ts";
import { renderRule, renderTable } from "./render.ts";
import { rule, verdict } from "../../src/nftables/statement.ts";
import { counter } from "./sample.ts";

function tableWith(hook: Hook): Table {
  return {
    family: "inet",
    name: "t",
    sets: [],
    chains: [{ name: "c", hook, rules: [rule([counter, verdict("drop")])] }],
  };
}

Deno.test("renderTable() writes a chain as nft does", () => {
  assertEquals(
    renderTable(tableWith({ type: "filter", hook: "forward", priority: 0 })),
    `table inet t {
	chain c {
		type filter hook forward priority filter; policy accept;
		counter drop
	}
}
`,
  );
});

Deno.test("renderTable() names a priority where nft does", () => {
  const priority = (hook: Hook["hook"], priority: number) =>
    /priority (.*?);/.exec(
      renderTable(tableWith({ type: "filter", hook, priority })),
    )?.[1];
  assertEquals(priority("prerouting", -300), "raw");
  assertEquals(priority("output", -310), "raw - 10");
  assertEquals(priority("output", -311), "-311");
  assertEquals(priority("output", -140), "mangle + 10");
  assertEquals(priority("prerouting", -100), "dstnat");
  // The NAT priorities have their names in one hook only.
  assertEquals(priority("output", -100), "-100");
  assertEquals(priority("postrouting", 105), "srcnat + 5");
  assertEquals(priority("input", 100), "100");
});

Deno.test("renderRule() names the expressions of a rule without text", () => {
  assertEquals(
    renderRule({ expressions: [{ counter: {} }, { masq: {} }], comment: "c" }),
    '[ counter ] [ masq ] comment "c"',
  );
});
