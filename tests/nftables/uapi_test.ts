/** Every row of our tables has the number that the kernel's own headers give its name. */
import { assert, assertEquals } from "@std/assert";
import { type Attrs, kernelName, type Rows } from "../../src/netlink/attrs.ts";
import { conntrackTables } from "../../src/conntrack/tables.ts";
import { expressionTables } from "../../src/nftables/expression_tables.ts";
import { objectTables } from "../../src/nftables/tables.ts";
import { sockdiagTables } from "../../src/sockdiag/tables.ts";

/** Constants of all `enum {}` blocks of a header. */
function enumConstants(path: string): Map<string, number> {
  const source = Deno.readTextFileSync(path)
    .replace(/\/\*[\s\S]*?\*\/|^\s*#.*$/gm, "");
  const constants = new Map<string, number>();
  for (const [, block = ""] of source.matchAll(/enum\s*\w*\s*\{([^}]*)\}/g)) {
    let next = 0;
    for (const entry of block.split(",")) {
      const match = /^(\w+)(?:\s*=\s*(.+))?$/s.exec(entry.trim());
      if (match === null) continue;
      const [, name = "", value] = match;
      if (value !== undefined) {
        next = constants.get(value.trim()) ?? Number(value);
      }
      constants.set(name, next++);
    }
  }
  return constants;
}

const headers = [
  "netfilter/nf_tables.h",
  "netfilter/nfnetlink.h",
  "netfilter/nfnetlink_conntrack.h",
  "inet_diag.h",
].map((name) => enumConstants(`/usr/include/linux/${name}`));

function constant(name: string): number | undefined {
  return headers.map((header) => header.get(name)).find((n) => n !== undefined);
}

Deno.test("attribute numbers are those of linux/*.h", () => {
  const tables: readonly Attrs<Rows>[] = [
    ...Object.values(expressionTables),
    ...Object.values(objectTables),
    ...Object.values(conntrackTables),
    ...Object.values(sockdiagTables),
  ];
  let rows = 0;
  for (const { prefix, rows: table } of tables) {
    for (const [field, [id]] of Object.entries(table)) {
      const name = kernelName(prefix, field);
      assertEquals(`${name}=${id}`, `${name}=${constant(name)}`);
      rows++;
    }
  }
  assert(rows > 100, `${rows} rows`);
});
