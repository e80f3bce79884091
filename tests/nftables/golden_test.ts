import { assert, assertEquals } from "@std/assert";
import { decode, encode } from "../../src/netlink/attrs.ts";
import { type Codec, CodecError, type Infer } from "../../src/netlink/codec.ts";
import {
  batchMessage,
  chainMessage,
  elementMessage,
  NftMessage,
  ruleMessage,
  setMessage,
  tableMessage,
} from "../../src/nftables/tables.ts";
import { Transaction } from "../../src/nftables/transaction.ts";
import { sampleTable } from "./sample.ts";

const codecs: Readonly<Record<number, Codec<unknown>>> = {
  16: batchMessage,
  17: batchMessage,
  [NftMessage.newTable]: tableMessage,
  [NftMessage.newChain]: chainMessage,
  [NftMessage.newRule]: ruleMessage,
  [NftMessage.newSet]: setMessage,
  [NftMessage.newSetElem]: elementMessage,
};

function codecOf(type: number): Codec<unknown> {
  const codec = codecs[type];
  assert(codec, `message type ${type}`);
  return codec;
}

/** What nft 1.0.6 sent for the sample ruleset; the command is in the file's first line. */
const golden: readonly { readonly type: number; readonly body: Uint8Array }[] =
  Deno.readTextFileSync(
    new URL("../golden/nftables_sample.txt", import.meta.url),
  ).trimEnd().split("\n").slice(1).map((line) => {
    const [type, hex = ""] = line.split(" ");
    const body = Uint8Array.fromHex(hex);
    if (Number(type) === NftMessage.newSetElem) renumberElements(body);
    return { type: Number(type), body };
  });

/** libnftnl counts up the items of an element list; the kernel sends NFTA_LIST_ELEM, and does not look. */
function renumberElements(body: Uint8Array): void {
  const view = new DataView(body.buffer);
  const NESTED_ELEMENTS = 0x8003;
  for (
    let at = 4;
    at < body.length;
    at += (view.getUint16(at, true) + 3) & ~3
  ) {
    if (view.getUint16(at + 2, true) !== NESTED_ELEMENTS) continue;
    const end = at + view.getUint16(at, true);
    for (
      let item = at + 4;
      item < end;
      item += (view.getUint16(item, true) + 3) & ~3
    ) view.setUint16(item + 2, 0x8001, true);
  }
}

/** What nft sent with one codec, decoded. */
function recorded<T>(type: number, codec: Codec<T>): readonly T[] {
  return golden.filter((m) => m.type === type).map((m) =>
    decode(codec, m.body)
  );
}

/** What we send for the same, after a round trip. */
function ours<T>(type: number, codec: Codec<T>): readonly T[] {
  const transaction = new Transaction();
  transaction.createTable(sampleTable("podnet"));
  return transaction.requests().filter((r) => r.type === type)
    .map((r) => decode(codec, encode(r.codec, r.value)));
}

Deno.test("every table keeps all that nft sends through a round trip", () => {
  for (const { type, body } of golden) {
    const codec = codecOf(type);
    const value = decode(codec, body);
    assertEquals(decode(codec, encode(codec, value)), value);
    assertEquals(encode(codec, value).length, body.length);
  }
});

Deno.test("no table has unknown attributes in what nft sends", () => {
  const unknown = golden.flatMap(({ type, body }) =>
    [
      ...Deno.inspect(decode(codecOf(type), body), { depth: 20 })
        .matchAll(/\$(?:unknown|other)/g),
    ].map(([what]) => `${type}: ${what}`)
  );
  assertEquals(unknown, []);
});

Deno.test("createTable() sends the table, chains and rules that nft sends", () => {
  const { newTable, newChain, newRule } = NftMessage;
  assertEquals(ours(newTable, tableMessage), recorded(newTable, tableMessage));
  assertEquals(ours(newChain, chainMessage), recorded(newChain, chainMessage));
  assertEquals(
    ours(newRule, ruleMessage).map(essentialRule),
    recorded(newRule, ruleMessage).map(essentialRule),
  );
});

/** Without what nft gives needlessly: the number of a set that has a name, and here and there a default. */
function essentialRule(message: unknown): unknown {
  return JSON.parse(
    JSON.stringify(message, (key, value) => {
      if (key === "setId" || (key === "op" && value === "maskXor")) {
        return undefined;
      }
      return value instanceof Uint8Array ? value.toHex() : value;
    }),
  );
}

Deno.test("createTable() sends the sets that nft sends, and less userdata", () => {
  const { newSet } = NftMessage;
  const essential = ({ attrs }: { attrs: Record<string, unknown> }) => ({
    ...attrs,
    id: undefined,
    // nft notes also where a type came from, which it can do without.
    userdata: undefined,
  });
  assertEquals(
    ours(newSet, setMessage).map(essential),
    recorded(newSet, setMessage).map(essential),
  );
});

Deno.test("createTable() sends the elements that nft sends, but for ranges from 0", () => {
  const elementsOf = (messages: readonly Infer<typeof elementMessage>[]) =>
    messages.map(({ attrs: { set, elements = [] } }) => ({
      set,
      // Ranges of one field: nft also ends the gap before the first of them, which changes nothing.
      elements: elements.filter((e) =>
        e.flags === undefined || (e.key?.value?.some((byte) => byte !== 0))
      ).map(({ key, keyEnd, flags, data, userdata }) =>
        [key?.value, keyEnd?.value, data?.value, userdata]
          .map((bytes) => bytes?.toHex() ?? "-").join(" ") + ` ${flags ?? 0}`
      ).sort(),
    }));
  const { newSetElem } = NftMessage;
  assertEquals(
    elementsOf(ours(newSetElem, elementMessage)),
    elementsOf(recorded(newSetElem, elementMessage)),
  );
});

Deno.test("damaged messages decode or throw CodecError", () => {
  let seed = 7;
  const random = (below: number) => {
    seed = (seed * 1103515245 + 12345) & 0x7fffffff;
    return seed % below;
  };
  let refused = 0;
  for (let round = 0; round < 20_000; round++) {
    const message = golden[random(golden.length)];
    assert(message);
    const body = message.body.slice(0, 1 + random(message.body.length));
    for (let i = 0; i < 3; i++) body[random(body.length)] = random(256);
    try {
      decode(codecOf(message.type), body);
    } catch (error) {
      assert(error instanceof CodecError, String(error));
      refused++;
    }
  }
  assert(refused > 1000, `only ${refused} refused`);
});
