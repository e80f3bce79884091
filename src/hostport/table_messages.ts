/**
 * What is sent for a change of the node's table. The keys, data and owner of a pod's elements are put into messages that
 * were encoded for an earlier one.
 *
 * @module
 */
import type { EncodedBatch } from "../netlink/batch.ts";
import { HOST_LITTLE_ENDIAN } from "../netlink/bytes.ts";
import { MAX_FIELDS, Template } from "../netlink/template.ts";
import type { NftSet } from "../nftables/ruleset.ts";
import { Transaction } from "../nftables/transaction.ts";
import { bySet, type Placed } from "./elements.ts";
import { ALL_SETS, TABLE } from "./sets.ts";

/** Elements that go and elements that come. */
export interface ElementChange {
  /** The change is refused if one of them is there. */
  readonly add?: readonly Placed[];
  /** The change is refused if one of them is not there. */
  readonly delete?: readonly Placed[];
}

/** The change as a transaction. */
export function transactionOf(
  { add = [], delete: gone = [] }: ElementChange,
): Transaction {
  const transaction = new Transaction();
  for (const [set, elements] of bySet(gone)) {
    transaction.deleteElements(TABLE, set, elements);
  }
  for (const [set, elements] of bySet(add)) {
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
  { add = [], delete: gone = [] }: ElementChange,
  generation: number,
): EncodedBatch<unknown> | undefined {
  if (add.length + gone.length > MAX_FIELDS) return undefined;
  const owner = add[0]?.element.comment ?? "";
  const fields: ChangeFields = { owner, generation: swapped(generation) };
  const shape: string[] = [];
  let size = 2;
  let last: Uint8Array | undefined;
  for (const { set, element } of gone) {
    fields[`key${shape.length}`] = element.key;
    shape.push(`-${set.name}`);
    size++;
  }
  for (const { set, element: { key, data, comment } } of add) {
    if (comment !== owner) return undefined;
    const sign = key === last ? SAME_KEY : "+";
    if (sign === "+") {
      fields[`key${shape.length}`] = last = key;
      size++;
    }
    if (data !== undefined) {
      fields[`data${shape.length}`] = data;
      size++;
    }
    shape.push(sign + set.name);
  }
  return size > MAX_FIELDS ? undefined : CHANGE.with(fields, shape.join(" "));
}

/** What is added has the key of the one before: a port is in two sets. */
const SAME_KEY = "=";

interface ChangeFields {
  readonly owner: string;
  readonly generation: number;
  [bytes: `key${number}` | `data${number}`]: Uint8Array;
}

const CHANGE = new Template((fields: ChangeFields, shape: string) => {
  const add: Placed[] = [];
  const gone: Placed[] = [];
  let key: Uint8Array | undefined;
  for (const [i, token] of shape.split(" ").entries()) {
    const set = SETS_BY_NAME.get(token.slice(1));
    if (!token.startsWith(SAME_KEY)) key = fields[`key${i}`];
    const data = fields[`data${i}`];
    if (set === undefined || key === undefined) throw new TypeError(token);
    const element = { key, ...(data === undefined ? {} : { data }) };
    if (token.startsWith("-")) gone.push({ set, element });
    else add.push({ set, element: { ...element, comment: fields.owner } });
  }
  const generation = swapped(fields.generation);
  return {
    requests: transactionOf({ add, delete: gone }).requests(generation),
  };
});

const SETS_BY_NAME: ReadonlyMap<string, NftSet> = new Map(
  ALL_SETS.map((set) => [set.name, set]),
);

/** A template puts numbers in host order, and a generation is big-endian. */
function swapped(value: number): number {
  return HOST_LITTLE_ENDIAN
    ? (value >>> 24 | value >>> 8 & 0xff00 | value << 8 & 0xff0000 |
      value << 24) >>> 0
    : value;
}
