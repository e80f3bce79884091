/**
 * Changes that the kernel makes all at once or not at all.
 *
 * @module
 */
import type { Codec } from "../netlink/codec.ts";
import {
  NLM_F_ACK,
  NLM_F_APPEND,
  NLM_F_CREATE,
  NLM_F_EXCL,
  type Request,
} from "../netlink/message.ts";
import { NfFamily, NfSubsystem } from "../netlink/nfnetlink.ts";
import {
  byteorderOf,
  fieldLengths,
  keyLength,
  typeNumber,
} from "./datatype.ts";
import { encodeElements, encodeKeys } from "./element.ts";
import type { Chain, Element, Hook, NftSet, Rule, Table } from "./ruleset.ts";
import {
  BatchMessage,
  batchMessage,
  chainMessage,
  type ElementAttrs,
  elementMessage,
  type NftBody,
  NftMessage,
  ruleMessage,
  SetFlag,
  setMessage,
  tableMessage,
} from "./tables.ts";
import { encodeComment, encodeSetByteorder } from "./userdata.ts";

/** Hook numbers of the inet family (`NF_INET_*`). */
export const HOOK_NUMBERS: Readonly<Record<Hook["hook"], number>> = {
  prerouting: 0,
  input: 1,
  forward: 2,
  output: 3,
  postrouting: 4,
};

/** Base chain policies (`NF_DROP`, `NF_ACCEPT`). */
export const POLICY_NUMBERS = { drop: 0, accept: 1 } as const;

/** Options of {@linkcode Transaction.addElements}. */
export interface AddElementsOptions {
  /**
   * Fail with EEXIST when an element exists, even with the same data. Otherwise an element with the same data is left
   * as it is, its comment too.
   * @default false
   */
  readonly exclusive?: boolean;
}

/**
 * A list of changes to nf_tables, in order. `NftablesConnection.commit()` applies them together.
 *
 * Building one does no I/O.
 */
export class Transaction {
  readonly #requests: Request<unknown>[] = [];

  /** Whether there is nothing to do. */
  get isEmpty(): boolean {
    return this.#requests.length === 0;
  }

  /**
   * Makes a table with all it holds. The commit fails with EEXIST when a table of this name exists.
   * @throws {RangeError} when an element does not fit its set, or a comment is too long
   */
  createTable(table: Table): void {
    this.#newTable(table, NLM_F_EXCL);
    for (const set of table.sets) {
      this.addSet(table.name, set);
      this.addElements(table.name, set, set.elements ?? []);
    }
    this.#addChains(table);
  }

  /**
   * Makes the chains and rules of a table exactly these, and the sets at least these. Sets and elements that exist stay
   * as they are; the table and missing sets are made, without elements. The commit fails with EEXIST when a set exists
   * with other types.
   * @param existingChains the names of all chains that the table has now
   * @throws {RangeError} when a comment is too long
   */
  rebuildTable(table: Table, existingChains: readonly string[]): void {
    this.#newTable(table, 0);
    for (const set of table.sets) this.addSet(table.name, set);
    // Rules go first: a chain that a rule refers to cannot be deleted.
    this.#add(
      NftMessage.delRule,
      0,
      ruleMessage,
      `delete the rules of table ${table.name}`,
      { table: table.name },
    );
    for (const name of existingChains) {
      this.#add(
        NftMessage.delChain,
        0,
        chainMessage,
        `delete chain ${table.name} ${name}`,
        { table: table.name, name },
      );
    }
    this.#addChains(table);
  }

  /** Switches a dormant table on, or makes an empty one: use `NftablesConnection.wakeTable()`. */
  wakeTable(name: string): void {
    this.#newTable({ name }, 0);
  }

  /** Deletes a table and all it holds. The commit fails with ENOENT when it does not exist. */
  deleteTable(name: string): void {
    this.#add(
      NftMessage.delTable,
      0,
      tableMessage,
      `delete table ${name}`,
      { name },
    );
  }

  /**
   * Adds a rule at the end of a chain.
   * @throws {RangeError} when the comment is too long
   */
  addRule(table: string, chain: string, rule: Rule): void {
    this.#add(
      NftMessage.newRule,
      NLM_F_CREATE | NLM_F_APPEND,
      ruleMessage,
      `add rule ${table} ${chain} ${rule.text ?? ""}`.trimEnd(),
      {
        table,
        chain,
        expressions: rule.expressions,
        ...(rule.comment === undefined
          ? {}
          : { userdata: encodeComment(rule.comment) }),
      },
    );
  }

  /**
   * Adds a set without its elements, or leaves one that exists with the same types as it is. The commit fails with
   * EEXIST when it has others.
   */
  addSet(table: string, set: NftSet): void {
    const { name, key, data, dynamic } = set;
    const ranges = set.interval === true;
    this.#add(
      NftMessage.newSet,
      NLM_F_CREATE,
      setMessage,
      `add set ${table} ${name}`,
      {
        table,
        name,
        flags: setFlags(set),
        keyType: typeNumber(key),
        keyLen: keyLength(key),
        ...(data === undefined
          ? {}
          : { dataType: typeNumber(data), dataLen: keyLength(data) }),
        ...(ranges && key.length > 1
          ? { desc: { concat: fieldLengths(key).map((len) => ({ len })) } }
          : {}),
        ...(dynamic === undefined ? {} : { desc: { size: dynamic.size } }),
        ...(dynamic?.timeoutMs === undefined
          ? {}
          : { timeout: BigInt(dynamic.timeoutMs) }),
        // The kernel wants a number; a set is found by its name all the same.
        id: this.#requests.length + 1,
        userdata: encodeSetByteorder(
          byteorderOf(key),
          data === undefined ? undefined : byteorderOf(data),
        ),
      },
    );
  }

  /**
   * Adds elements. The commit fails with EEXIST when a map has one of the keys with other data, or with `exclusive` when
   * the set has one of the keys at all.
   * @throws {RangeError} when an element does not fit the set, or a comment is too long
   */
  addElements(
    table: string,
    set: NftSet,
    elements: readonly Element[],
    options: AddElementsOptions = {},
  ): void {
    this.#elements(
      NftMessage.newSetElem,
      NLM_F_CREATE | (options.exclusive === true ? NLM_F_EXCL : 0),
      `add elements to ${table} ${set.name}`,
      table,
      set.name,
      encodeElements(set, elements),
    );
  }

  /**
   * Deletes elements by key; data and comment are not looked at. The commit fails with ENOENT when one does not exist.
   * @throws {RangeError} when a key does not fit the set
   */
  deleteElements(
    table: string,
    set: NftSet,
    elements: readonly Element[],
  ): void {
    this.#elements(
      NftMessage.delSetElem,
      0,
      `delete elements of ${table} ${set.name}`,
      table,
      set.name,
      encodeKeys(set, elements),
    );
  }

  /** Deletes all elements of a set. */
  flushSet(table: string, set: string): void {
    this.#add(
      NftMessage.delSetElem,
      0,
      elementMessage,
      `flush set ${table} ${set}`,
      { table, set },
    );
  }

  /**
   * The whole batch, for one send.
   * @param generation refuse the batch unless the ruleset is of this generation
   * @param isAcknowledged whether the kernel is to answer also when all went well
   */
  requests(
    generation?: number,
    isAcknowledged = true,
  ): readonly Request<unknown>[] {
    const last = this.#requests.at(-1);
    if (last === undefined) return [];
    const flags = isAcknowledged ? NLM_F_ACK : 0;
    return [
      bracket(BatchMessage.begin, "begin transaction", generation),
      ...this.#requests.slice(0, -1),
      // Kernels before 6.10 do not acknowledge the end of a batch, so the last change is asked for.
      { ...last, flags: last.flags | flags },
      bracket(BatchMessage.end, "end transaction"),
    ];
  }

  #addChains(table: Table): void {
    for (const chain of table.chains) this.#newChain(table.name, chain);
    for (const { name, rules } of table.chains) {
      for (const rule of rules) this.addRule(table.name, name, rule);
    }
  }

  #newTable(
    { name, comment }: Pick<Table, "name" | "comment">,
    flags: number,
  ): void {
    this.#add(
      NftMessage.newTable,
      NLM_F_CREATE | flags,
      tableMessage,
      `add table ${name}`,
      {
        name,
        flags: 0,
        ...(comment === undefined ? {} : { userdata: encodeComment(comment) }),
      },
    );
  }

  #newChain(table: string, { name, hook }: Chain): void {
    this.#add(
      NftMessage.newChain,
      NLM_F_CREATE,
      chainMessage,
      `add chain ${table} ${name}`,
      {
        table,
        name,
        ...(hook === undefined ? {} : {
          hook: { hooknum: HOOK_NUMBERS[hook.hook], priority: hook.priority },
          type: hook.type,
          policy: POLICY_NUMBERS[hook.policy ?? "accept"],
        }),
      },
    );
  }

  #elements(
    type: number,
    flags: number,
    operation: string,
    table: string,
    set: string,
    elements: readonly ElementAttrs[],
  ): void {
    const lists = elements.length <= SURELY_FIT ? [elements] : parts(elements);
    for (const part of lists) {
      if (part.length === 0) continue;
      this.#add(type, flags, elementMessage, operation, {
        table,
        set,
        elements: part,
      });
    }
  }

  #add<A>(
    type: number,
    flags: number,
    codec: Codec<NftBody<A>>,
    operation: string,
    attrs: A,
  ): void {
    this.#requests.push({
      operation,
      type,
      flags,
      codec,
      value: { header: { family: NfFamily.inet }, attrs },
    });
  }
}

/** `NFTA_SET_FLAGS` of a set. */
export function setFlags(set: Omit<NftSet, "elements">): number {
  const ranges = set.interval === true;
  return (ranges ? SetFlag.interval : 0) |
    (ranges && set.key.length > 1 ? SetFlag.concat : 0) |
    (set.data === undefined ? 0 : SetFlag.map) |
    (set.dynamic === undefined ? 0 : SetFlag.dynamic) |
    (set.dynamic?.timeoutMs === undefined ? 0 : SetFlag.timeout);
}

/** Begin or end of a transaction. */
export function bracket(
  type: number,
  operation: string,
  genId?: number,
): Request<unknown> {
  return {
    operation,
    type,
    flags: 0,
    codec: batchMessage,
    value: {
      header: { resId: NfSubsystem.nftables },
      attrs: genId === undefined ? {} : { genId },
    },
  } satisfies Request<NftBody<{ genId?: number }>>;
}

/** A list of elements is one attribute, whose length has 16 bits. */
const MAX_LIST_BYTES = 0xffff - 4;

/** So many fit, whatever they are: keys and data have 64 bytes at most (NFT_DATA_VALUE_MAXLEN), userdata 256. */
export const SURELY_FIT = 128;

/** Cuts elements into lists that each fit one attribute. */
function* parts(
  elements: readonly ElementAttrs[],
): Iterable<readonly ElementAttrs[]> {
  let part: ElementAttrs[] = [];
  let bytes = 0;
  for (const element of elements) {
    const size = sizeBound(element);
    if (bytes + size > MAX_LIST_BYTES) {
      yield part;
      part = [];
      bytes = 0;
    }
    part.push(element);
    bytes += size;
  }
  if (part.length > 0) yield part;
}

/** At least the encoded size: headers are 4 bytes, values are padded to 4 and nested once. */
function sizeBound({ key, keyEnd, data, userdata }: ElementAttrs): number {
  const value = (bytes: Uint8Array | undefined) => 8 + (bytes?.length ?? 0) + 3;
  return 4 + value(key?.value) + value(keyEnd?.value) + value(data?.value) +
    value(userdata) + 8;
}
