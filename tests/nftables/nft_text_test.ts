import { assertEquals } from "@std/assert";
import { NftablesConnection } from "../../src/nftables/connection.ts";
import { differences } from "../../src/nftables/live.ts";
import { renderTable } from "./render.ts";
import { Transaction } from "../../src/nftables/transaction.ts";
import { listTable, nft, normalise } from "./nft.ts";
import { sampleTable, sampleText } from "./sample.ts";

Deno.test("nft prints our table as it prints its own, and as renderTable() does", () => {
  using connection = NftablesConnection.open();
  const ours = new Transaction();
  ours.createTable(sampleTable("text_ours"));
  connection.commit(ours);
  try {
    const printed = normalise(listTable("text_ours"));
    assertEquals(printed, normalise(renderTable(sampleTable("text_ours"))));

    nft([], sampleText("text_nfts"));
    try {
      assertEquals(
        printed,
        normalise(listTable("text_nfts")).replace("text_nfts", "text_ours"),
      );
    } finally {
      nft(["delete", "table", "inet", "text_nfts"]);
    }
  } finally {
    nft(["delete", "table", "inet", "text_ours"]);
  }
});

Deno.test("readTable() and listElements() read what nft has loaded", () => {
  using connection = NftablesConnection.open();
  nft([], sampleText("text_read"));
  try {
    const wanted = sampleTable("text_read");
    const live = connection.readTable("text_read");
    assertEquals(differences(wanted, live), []);
    assertEquals(live?.comment, wanted.comment);
    assertEquals(
      live?.chains.flatMap((chain) => chain.rules).map((rule) => rule.comment),
      wanted.chains.flatMap((chain) => chain.rules).map((rule) => rule.comment),
    );
    const filled = {
      ...wanted,
      sets: wanted.sets.map((set) => ({
        ...set,
        elements: connection.listElements("text_read", set),
      })),
    };
    assertEquals(renderTable(filled), renderTable(wanted));
  } finally {
    nft(["delete", "table", "inet", "text_read"]);
  }
});

Deno.test("nft deletes our elements and ranges by the text that it prints", () => {
  using connection = NftablesConnection.open();
  const wanted = sampleTable("text_delete");
  const create = new Transaction();
  create.createTable(wanted);
  connection.commit(create);
  try {
    nft(
      [],
      `delete element inet text_delete hp4 { tcp . 8080 }
delete element inet text_delete nonmasq4 { 10.128.0.0/9, 192.0.2.7, 224.0.0.0/3 }
delete element inet text_delete ranges { tcp . 80-90 }
`,
    );
    const left = (name: string) => {
      const set = wanted.sets.find((set) => set.name === name);
      return set && connection.listElements("text_delete", set).length;
    };
    assertEquals([left("hp4"), left("nonmasq4"), left("ranges")], [1, 2, 1]);
  } finally {
    nft(["delete", "table", "inet", "text_delete"]);
  }
});
