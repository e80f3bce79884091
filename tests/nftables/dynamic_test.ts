import { assertEquals } from "@std/assert";
import { NftablesConnection } from "../../src/nftables/connection.ts";
import {
  countOver,
  forget,
  remember,
  sampled,
} from "../../src/nftables/dynamic.ts";
import { ether, meta } from "../../src/nftables/expression.ts";
import { differences } from "../../src/nftables/live.ts";
import { renderTable } from "./render.ts";
import type { Table } from "../../src/nftables/ruleset.ts";
import { inSet, rule, verdict } from "../../src/nftables/statement.ts";
import { Transaction } from "../../src/nftables/transaction.ts";
import { listTable, nft, normalise } from "./nft.ts";

function ours(name: string): Table {
  return {
    family: "inet",
    name,
    sets: [
      { name: "many", key: ["iface_index"], dynamic: { size: 99 } },
      {
        name: "full",
        key: ["iface_index"],
        dynamic: { size: 99, timeoutMs: 30_000 },
      },
      { name: "many_macs", key: ["ether_addr"], dynamic: { size: 99 } },
      { name: "macs", key: ["ether_addr"], dynamic: { size: 99 } },
    ],
    chains: [{
      name: "c",
      hook: { type: "nat", hook: "prerouting", priority: -95 },
      rules: [
        rule([
          sampled(64),
          countOver(meta.iif, "many", 7),
          remember(meta.iif, "full"),
          verdict("drop"),
        ]),
        rule([forget(meta.iif, "full")]),
        rule([inSet([ether.saddr], "macs"), verdict("accept")]),
        rule([
          countOver(ether.saddr, "many_macs", 7),
          remember(ether.saddr, "macs"),
          verdict("drop"),
        ]),
      ],
    }],
  };
}

Deno.test("sets that rules fill are to nft what it makes itself, and to differences() what they should be", () => {
  using connection = NftablesConnection.open();
  const transaction = new Transaction();
  transaction.createTable(ours("dynamic_ours"));
  connection.commit(transaction);
  try {
    const printed = normalise(listTable("dynamic_ours"));
    assertEquals(printed, normalise(renderTable(ours("dynamic_ours"))));
    const live = connection.readTable("dynamic_ours");
    assertEquals(differences(ours("dynamic_ours"), live), []);
    nft([], printed.replace("dynamic_ours", "dynamic_nfts"));
    try {
      assertEquals(
        normalise(listTable("dynamic_nfts")).replace("nfts", "ours"),
        printed,
      );
      assertEquals(
        differences(
          ours("dynamic_nfts"),
          connection.readTable("dynamic_nfts"),
        ),
        [],
      );
    } finally {
      nft(["delete", "table", "inet", "dynamic_nfts"]);
    }
    const again = new Transaction();
    again.rebuildTable(ours("dynamic_ours"), ["c"]);
    connection.commit(again);
  } finally {
    nft(["delete", "table", "inet", "dynamic_ours"]);
  }
});
