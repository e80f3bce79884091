/**
 * What is sent for a change of the node's table.
 *
 * @module
 */
import type { EncodedBatch } from "../netlink/batch.ts";
import type { Request } from "../netlink/message.ts";
import { ElementBatch, type ElementChange } from "../nftables/element_batch.ts";
import { Transaction } from "../nftables/transaction.ts";
import { bySet } from "./elements.ts";
import { TABLE } from "./sets.ts";

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

const BATCH = new ElementBatch(TABLE);

/**
 * The datagram of a change that is based on a generation of the table; valid until the next one is asked for. Undefined for
 * one that is too large: more than a hundred ports.
 *
 * @throws {RangeError} if an owner is no plain text
 */
export function usualChange(
  change: ElementChange,
  generation: number,
): EncodedBatch<unknown> | undefined {
  const requestAt = (index: number) =>
    transactionOf(change).requests(generation, false)[index] as Request<
      unknown
    >;
  return BATCH.encode(change, generation, requestAt);
}
