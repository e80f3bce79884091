/**
 * What is sent for a change of the node's table. The keys, data and owner of a pod's elements are put into messages that
 * were encoded for an earlier one.
 *
 * @module
 */
import { type EncodedBatch, NO_ANSWER } from "../netlink/batch.ts";
import { HOST_LITTLE_ENDIAN } from "../netlink/bytes.ts";
import { type FieldValue, MAX_FIELDS, Template } from "../netlink/template.ts";
import type { NftSet } from "../nftables/ruleset.ts";
import { Transaction } from "../nftables/transaction.ts";
import { bySet, place, type Placed } from "./elements.ts";
import { ALL_SETS, TABLE } from "./sets.ts";

/** Elements that go and elements that come. */
export interface ElementChange {
  /** The change is refused if one of them is there. */
  readonly add: readonly Placed[] | undefined;
  /** The change is refused if one of them is not there. */
  readonly delete: readonly Placed[] | undefined;
}

/** The change as a transaction. */
export function transactionOf(
  { add, delete: gone }: ElementChange,
): Transaction {
  const transaction = new Transaction();
  for (const [set, elements] of bySet(gone ?? [])) {
    transaction.deleteElements(TABLE, set, elements);
  }
  for (const [set, elements] of bySet(add ?? [])) {
    transaction.addElements(TABLE, set, elements, { exclusive: true });
  }
  return transaction;
}

/**
 * The datagram of a change that is based on a generation of the table; valid until the next one is asked for. Undefined for
 * one that is too large: larger than the elements of a pod with ten ports.
 *
 * @throws {CodecError} if an owner is no plain text
 */
export function usualChange(
  { add, delete: gone }: ElementChange,
  generation: number,
): EncodedBatch<unknown> | undefined {
  const owner = add?.[0]?.element.comment ?? "";
  const fields: FieldValue[] = [owner, swapped(generation)];
  let shape = "";
  if (gone !== undefined) {
    if (gone.length > MAX_FIELDS) return undefined;
    for (const { set, element } of gone) {
      fields.push(element.key);
      shape += tokenOf(set, DELETE);
    }
  }
  if (add !== undefined) {
    if (add.length > MAX_FIELDS) return undefined;
    let last: Uint8Array | undefined;
    for (const { set, element: { key, data, comment } } of add) {
      if (comment !== owner) return undefined;
      if (key === last) shape += tokenOf(set, ADD_SAME_KEY);
      else {
        fields.push(last = key);
        shape += tokenOf(set, ADD);
      }
      if (data !== undefined) fields.push(data);
    }
  }
  if (fields.length > MAX_FIELDS) return undefined;
  // The length of all else follows from the sets.
  const key = shape + String.fromCharCode(owner.length);
  return CHANGE.withKey(key, fields, shape);
}

const DELETE = 0;
const ADD = 1;
/** What is added has the key of the one before: a port is in two sets. */
const ADD_SAME_KEY = 2;
type Way = typeof DELETE | typeof ADD | typeof ADD_SAME_KEY;

const FIRST_TOKEN = 0x30;

/** A letter for each set and what is done in it, so that a text tells the shape of a change. */
const TOKENS: ReadonlyMap<NftSet, readonly string[]> = new Map(
  ALL_SETS.map((set, i) => [
    set,
    [DELETE, ADD, ADD_SAME_KEY].map((way) =>
      String.fromCharCode(FIRST_TOKEN + 3 * i + way)
    ),
  ]),
);

function tokenOf(set: NftSet, way: Way): string {
  const token = TOKENS.get(set)?.[way];
  if (token === undefined) throw new TypeError(`${set.name} is no set of ours`);
  return token;
}

/**
 * Without an acknowledgement: of a batch the kernel answers each error (nfnetlink_rcv_batch), which is there when it was sent,
 * and nft(8) asks for none either. 3 µs less a change.
 */
const CHANGE = new Template((fields: readonly FieldValue[], shape: string) => {
  const [owner, generation, ...rest] = fields as readonly [
    string,
    number,
    ...Uint8Array[],
  ];
  const add: Placed[] = [];
  const gone: Placed[] = [];
  let at = 0;
  let key: Uint8Array = new Uint8Array();
  const next = () => rest[at++] ?? new Uint8Array();
  for (const token of shape) {
    const code = token.charCodeAt(0) - FIRST_TOKEN;
    const set = ALL_SETS[Math.floor(code / 3)];
    if (set === undefined) throw new TypeError(token);
    const way = code % 3;
    if (way !== ADD_SAME_KEY) key = next();
    if (way === DELETE) gone.push(place(set, key));
    else {
      const data = set.data === undefined ? undefined : next();
      add.push(place(set, key, data, owner));
    }
  }
  return {
    requests: transactionOf({ add, delete: gone }).requests(
      swapped(generation),
      false,
    ),
  };
}, NO_ANSWER);

/** A template puts numbers in host order, and a generation is big-endian. */
function swapped(value: number): number {
  return HOST_LITTLE_ENDIAN
    ? (value >>> 24 | value >>> 8 & 0xff00 | value << 8 & 0xff0000 |
      value << 24) >>> 0
    : value;
}
