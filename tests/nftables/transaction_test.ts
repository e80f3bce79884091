import { assert, assertEquals, assertThrows } from "@std/assert";
import { encode } from "../../src/netlink/attrs.ts";
import { NLM_F_ACK, NLM_F_EXCL } from "../../src/netlink/message.ts";
import { encodeKey } from "../../src/nftables/datatype.ts";
import type { Element, NftSet } from "../../src/nftables/ruleset.ts";
import { BatchMessage, NftMessage } from "../../src/nftables/tables.ts";
import { Transaction } from "../../src/nftables/transaction.ts";
import { sampleTable } from "./sample.ts";

const map: NftSet = {
  name: "m",
  key: ["ipv4_addr", "inet_proto", "inet_service"],
  data: ["ipv6_addr", "inet_service"],
};

function elements(count: number): readonly Element[] {
  return Array.from({ length: count }, (_, i) => ({
    key: encodeKey(map.key, [`10.0.${i >> 8}.${i & 255}`, "tcp", 80]),
    data: encodeKey(map.data ?? [], ["fd00::1", 80]),
    comment: "0123456789abcdef",
  }));
}

Deno.test("requests() is empty when nothing was added", () => {
  const transaction = new Transaction();
  transaction.addElements("t", map, []);
  assertEquals(transaction.isEmpty, true);
  assertEquals(transaction.requests(7), []);
});

Deno.test("requests() brackets the changes and asks only the last for an answer", () => {
  const transaction = new Transaction();
  transaction.createTable(sampleTable("t"));
  const requests = transaction.requests();
  assertEquals(requests.at(0)?.type, BatchMessage.begin);
  assertEquals(requests.at(-1)?.type, BatchMessage.end);
  const asking = requests.filter((r) => (r.flags & NLM_F_ACK) !== 0);
  assertEquals(asking, requests.slice(-2, -1));
});

Deno.test("requests() puts the generation into the begin, in network byte order", () => {
  const transaction = new Transaction();
  transaction.deleteTable("t");
  const bodyOf = (generation?: number) => {
    const begin = transaction.requests(generation)[0];
    assert(begin);
    return encode(begin.codec, begin.value).toHex();
  };
  // nfgenmsg with NFNL_SUBSYS_NFTABLES, then NFNL_BATCH_GENID.
  assertEquals(bodyOf(), "0000000a");
  assertEquals(bodyOf(0x01020304), "0000000a" + "08000100" + "01020304");
});

Deno.test("requests() can be called again for another attempt", () => {
  const transaction = new Transaction();
  transaction.deleteTable("t");
  assertEquals(transaction.requests(1).length, 3);
  assertEquals(transaction.requests(2).length, 3);
});

Deno.test("addElements() cuts a long list so that each part fits its attribute", () => {
  const transaction = new Transaction();
  const all = elements(10_000);
  transaction.addElements("t", map, all, { exclusive: true });
  const parts = transaction.requests().filter((r) =>
    r.type === NftMessage.newSetElem
  );
  // Encoding throws when an attribute is too long.
  const bytes = parts.map((r) => encode(r.codec, r.value).length);
  assert(bytes.every((size) => size < 0x10000), bytes.join());
  // Not cut finer than needed: all but the last are nearly full.
  assert(bytes.slice(0, -1).every((size) => size > 0xb000), bytes.join());
  assert(parts.every((r) => (r.flags & NLM_F_EXCL) !== 0));
  const sent = parts.flatMap((r) =>
    (r.value as { attrs: { elements: readonly unknown[] } }).attrs.elements
  );
  assertEquals(sent.length, all.length);
});

Deno.test("a part fits also when every element is as long as it can be", () => {
  const names: NftSet = {
    name: "n",
    key: ["ifname", "ifname", "ifname"],
    data: ["ifname", "ifname", "ifname"],
  };
  const name = "a".repeat(15);
  const transaction = new Transaction();
  transaction.addElements(
    "t",
    names,
    Array.from({ length: 1000 }, () => ({
      key: encodeKey(names.key, [name, name, name]),
      data: encodeKey(names.key, [name, name, name]),
      comment: "c".repeat(127),
    })),
  );
  for (const { codec, value } of transaction.requests()) {
    assert(encode(codec, value).length < 0x10000);
  }
});

Deno.test("addElements() refuses keys and data that do not fit the set", () => {
  const [element] = elements(1);
  assert(element);
  const add = (set: NftSet, e: Element) => () =>
    new Transaction().addElements("t", set, [e]);
  const { data: _, ...without } = element;
  assertThrows(add(map, without), RangeError, "use encodeKey");
  assertThrows(
    add(map, { ...element, key: new Uint8Array(4) }),
    RangeError,
    "keys of 12 bytes",
  );
  assertThrows(
    add(map, { ...element, keyEnd: element.key }),
    RangeError,
    "no ranges",
  );
  assertThrows(add({ name: "s", key: map.key }, element), RangeError);
});

Deno.test("comments that nft could not print are refused", () => {
  const [element] = elements(1);
  assert(element);
  for (const comment of ["c".repeat(128), "é".repeat(64), 'a"b', "a\0b"]) {
    assertThrows(
      () => new Transaction().addElements("t", map, [{ ...element, comment }]),
      RangeError,
      "comment",
    );
  }
});
