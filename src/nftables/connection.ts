/**
 * nf_tables of one network namespace.
 *
 * @module
 */
import { Errno, isSyscallError } from "../../ffi/errno.ts";
import { SandboxError } from "../errors.ts";
import type { EncodedBatch } from "../netlink/batch.ts";
import { Connection } from "../netlink/connection.ts";
import { isNetlinkError } from "../netlink/netlink_error.ts";
import { NfFamily } from "../netlink/nfnetlink.ts";
import { NETLINK_NETFILTER } from "../netlink/message.ts";
import { decodeElements, encodeKeys } from "./element.ts";
import type { LiveChain, LiveRule, LiveSet, LiveTable } from "./live.ts";
import type { Element, Hook, NftSet } from "./ruleset.ts";
import {
  chainMessage,
  elementMessage,
  genMessage,
  NftMessage,
  ruleMessage,
  setMessage,
  TableFlag,
  tableMessage,
} from "./tables.ts";
import { HOOK_NUMBERS, POLICY_NUMBERS, Transaction } from "./transaction.ts";
import { decodeComment } from "./userdata.ts";

/** A ruleset that changes during this many readings in a row changes all the time. */
const ATTEMPTS = 32;

/**
 * The ruleset changed since its generation was read, so nothing was done: read again what the change was based on, and
 * try again. Every commit in the network namespace, of any program to any table, makes a new generation.
 */
export class GenerationError extends Error {
  /** `"GenerationError"`. */
  override readonly name = "GenerationError";
  /** The generation that was expected. */
  readonly generation: number;

  /** Makes the error of something that was based on `generation`. */
  constructor(generation: number, options?: ErrorOptions) {
    super(
      `the nf_tables ruleset is no longer generation ${generation}`,
      options,
    );
    this.generation = generation;
  }
}

/** Options of {@linkcode NftablesConnection.commit}. */
export interface CommitOptions {
  /** Refuse the changes unless the ruleset is of this generation; see {@linkcode NftablesConnection.generation}. */
  readonly generation?: number;
}

/** What {@linkcode NftablesConnection.getTable} tells of a table. */
export interface TableInfo {
  /** Changes when a table is deleted and made again. */
  readonly handle: bigint;
  readonly comment?: string;
  /** Whether it is switched off: the kernel enters none of its chains. */
  readonly isDormant: boolean;
}

/**
 * Reads and changes the nf_tables ruleset of the network namespace in which it was opened. Only tables of the inet
 * family are seen.
 *
 * Keep one open for long: closing a netfilter socket that has deleted something waits for an RCU grace period, about
 * 16 ms (nf_tables_module, nft_rcv_nl_event).
 *
 * Every method throws {@linkcode NetlinkError} when the kernel refuses; EPERM means that CAP_NET_ADMIN is missing.
 */
export class NftablesConnection implements Disposable {
  /** The socket, which serves the other netfilter subsystems too, such as conntrack. */
  readonly netlink: Connection;

  /** Takes ownership of a connection of the protocol NETLINK_NETFILTER. */
  constructor(netlink: Connection) {
    this.netlink = netlink;
  }

  /**
   * Opens a connection to the network namespace that the thread is in.
   * @throws {SandboxError} UnsupportedKernel when the kernel has no nf_tables
   * @throws {NetlinkError} EPERM without CAP_NET_ADMIN in the namespace
   */
  static open(): NftablesConnection {
    const connection = new NftablesConnection(openNetfilter());
    try {
      // The first use tells whether the kernel has nf_tables, and loads its module.
      connection.generation();
      return connection;
    } catch (error) {
      connection[Symbol.dispose]();
      throw error;
    }
  }

  /**
   * The number of the ruleset's state. Pass it to {@linkcode commit} when a change depends on what was read after it.
   * @throws {SandboxError} UnsupportedKernel when the kernel has no nf_tables
   */
  generation(): number {
    try {
      const [reply] = this.netlink.request({
        operation: "read the nf_tables generation",
        type: NftMessage.getGen,
        flags: 0,
        codec: genMessage,
        value: { header: {}, attrs: {} },
        isAnswered: true,
      });
      return reply?.attrs.id ?? 0;
    } catch (error) {
      // nfnetlink knows no such subsystem, and found no module (nfnetlink_rcv_msg).
      if (isNetlinkError(error, Errno.EINVAL)) throw unsupported(error);
      throw error;
    }
  }

  /**
   * Makes all changes of a transaction, or none. An empty one does nothing.
   * @throws {GenerationError} when the ruleset is not of `options.generation` any more
   * @throws {NetlinkError} of the first change that the kernel refuses; `failures` has all of them
   */
  commit(transaction: Transaction, options: CommitOptions = {}): void {
    const { generation } = options;
    const requests = transaction.requests(generation);
    if (requests.length === 0) return;
    this.#commit(generation, () => this.netlink.execute(requests));
  }

  /**
   * As {@linkcode commit}, of a transaction that is encoded already, with the generation that it expects.
   * @throws {GenerationError}
   * @throws {NetlinkError}
   */
  commitEncoded(batch: EncodedBatch<unknown>, generation: number): void {
    this.#commit(generation, () => this.netlink.executeBatch(batch));
  }

  #commit(generation: number | undefined, send: () => void): void {
    try {
      send();
    } catch (error) {
      if (generation !== undefined && isNetlinkError(error, Errno.ERESTART)) {
        throw new GenerationError(generation, { cause: error });
      }
      throw error;
    }
  }

  /** The table of this name, or undefined. */
  getTable(name: string): TableInfo | undefined {
    const [reply] = this.netlink.request({
      operation: `get table ${name}`,
      type: NftMessage.getTable,
      flags: 0,
      codec: tableMessage,
      value: { header: { family: NfFamily.inet }, attrs: { name } },
    }, Errno.ENOENT);
    return reply === undefined ? undefined : {
      handle: reply.attrs.handle ?? 0n,
      isDormant: ((reply.attrs.flags ?? 0) & TableFlag.dormant) !== 0,
      ...commented(reply.attrs.userdata),
    };
  }

  /**
   * Switches a dormant table on; does nothing when there is none. It is a commit of its own, since newer kernels refuse with
   * EINVAL one that also adds base chains (nf_tables_addchain).
   * @throws {GenerationError} when the ruleset changes during every one of many attempts
   */
  wakeTable(name: string): void {
    for (let attempt = 1;; attempt++) {
      const generation = this.generation();
      if (this.getTable(name)?.isDormant !== true) return;
      const transaction = new Transaction();
      transaction.wakeTable(name);
      try {
        // Should somebody have deleted it, this would make an empty one.
        return this.commit(transaction, { generation });
      } catch (error) {
        if (!(error instanceof GenerationError) || attempt === ATTEMPTS) {
          throw error;
        }
      }
    }
  }

  /**
   * Reads one element by its key, at a cost that does not depend on the size of the set. Undefined when the set does not
   * have it, or there is no such set, or one with keys of another length. Not for sets of ranges.
   */
  getElement(table: string, set: NftSet, key: Uint8Array): Element | undefined {
    return this.getElements(table, [{ set, key }])[0];
  }

  /** Reads several elements by few datagrams; see {@linkcode getElement}. */
  getElements(
    table: string,
    wanted: readonly { readonly set: NftSet; readonly key: Uint8Array }[],
  ): (Element | undefined)[] {
    const elements: (Element | undefined)[] = [];
    for (let at = 0; at < wanted.length; at += QUERIES_AT_ONCE) {
      const some = wanted.slice(at, at + QUERIES_AT_ONCE);
      const found = this.netlink.execute(
        [],
        some.map(({ set, key }) => elementQuery(table, set, key)),
        [Errno.ENOENT, Errno.EINVAL],
      );
      for (const [i, { set }] of some.entries()) {
        elements.push(
          decodeElements(set, found[i]?.[0]?.attrs.elements ?? []).at(0),
        );
      }
    }
    return elements;
  }

  /** All elements of a set, in no order; none when there is no such set. */
  listElements(table: string, set: NftSet): readonly Element[] {
    const replies = orNone(() =>
      this.netlink.dump({
        operation: `list set ${table} ${set.name}`,
        type: NftMessage.getSetElem,
        flags: 0,
        codec: elementMessage,
        value: {
          header: { family: NfFamily.inet },
          attrs: { table, set: set.name },
        },
      })
    );
    return decodeElements(set, replies.flatMap((r) => r.attrs.elements ?? []));
  }

  /** The names of a table's chains; none when there is no such table. */
  listChains(table: string): readonly string[] {
    return this.#chains(table).map((chain) => chain.name);
  }

  /**
   * A table as it is, without its elements; undefined when there is none of this name.
   * @throws {GenerationError} when the ruleset changes during every one of many attempts
   */
  readTable(name: string): LiveTable | undefined {
    let generation = this.generation();
    for (let attempt = 0; attempt < ATTEMPTS; attempt++) {
      const table = this.#readTable(name);
      const after = this.generation();
      if (after === generation) return table;
      generation = after;
    }
    throw new GenerationError(generation);
  }

  /** Closes the socket. */
  [Symbol.dispose](): void {
    this.netlink[Symbol.dispose]();
  }

  #readTable(name: string): LiveTable | undefined {
    const info = this.getTable(name);
    if (info === undefined) return undefined;
    const rules = this.#rules(name);
    return {
      name,
      ...info,
      sets: this.#sets(name),
      chains: this.#chains(name).map((chain) => ({
        ...chain,
        rules: rules.get(chain.name) ?? [],
      })),
    };
  }

  #chains(table: string): readonly Omit<LiveChain, "rules">[] {
    return this.netlink.dump({
      operation: `list chains of ${table}`,
      type: NftMessage.getChain,
      flags: 0,
      codec: chainMessage,
      value: { header: { family: NfFamily.inet }, attrs: {} },
    }).filter(({ attrs }) => attrs.table === table).map(({ attrs }) => {
      const hook = hookOf(attrs.type, attrs.hook, attrs.policy);
      return {
        name: attrs.name ?? "",
        handle: attrs.handle ?? 0n,
        ...(hook === undefined ? {} : { hook }),
      };
    });
  }

  #rules(table: string): ReadonlyMap<string, readonly LiveRule[]> {
    const replies = this.netlink.dump({
      operation: `list rules of ${table}`,
      type: NftMessage.getRule,
      flags: 0,
      codec: ruleMessage,
      value: { header: { family: NfFamily.inet }, attrs: { table } },
    });
    return Map.groupBy(
      replies.map(({ attrs }) => ({
        chain: attrs.chain ?? "",
        handle: attrs.handle ?? 0n,
        expressions: attrs.expressions ?? [],
        ...commented(attrs.userdata),
      })),
      (rule) => rule.chain,
    );
  }

  #sets(table: string): readonly LiveSet[] {
    const replies = orNone(() =>
      this.netlink.dump({
        operation: `list sets of ${table}`,
        type: NftMessage.getSet,
        flags: 0,
        codec: setMessage,
        value: { header: { family: NfFamily.inet }, attrs: { table } },
      })
    );
    return replies.map(({ attrs }) => ({
      name: attrs.name ?? "",
      flags: attrs.flags ?? 0,
      keyType: attrs.keyType ?? 0,
      keyBytes: attrs.keyLen ?? 0,
      dataType: attrs.dataType ?? 0,
      dataBytes: attrs.dataLen ?? 0,
    }));
  }
}

/** An answer takes up to 8 KiB of the socket's receive buffer, which has 208 KiB by default. */
const QUERIES_AT_ONCE = 16;

function elementQuery(table: string, set: NftSet, key: Uint8Array) {
  return {
    operation: `get element of ${table} ${set.name}`,
    type: NftMessage.getSetElem,
    flags: 0,
    codec: elementMessage,
    value: {
      header: { family: NfFamily.inet },
      attrs: {
        table,
        set: set.name,
        elements: encodeKeys(set, [{ key }]),
      },
    },
    isAnswered: true,
  };
}

function openNetfilter(): Connection {
  try {
    return Connection.open(NETLINK_NETFILTER);
  } catch (error) {
    if (isSyscallError(error, Errno.EPROTONOSUPPORT)) throw unsupported(error);
    throw error;
  }
}

function unsupported(cause: unknown): SandboxError {
  return new SandboxError(
    "UnsupportedKernel",
    { feature: "nf_tables" },
    { cause },
  );
}

/** Replies of a dump, none when what it names does not exist. */
function orNone<T>(request: () => T[]): T[] {
  try {
    return request();
  } catch (error) {
    if (isNetlinkError(error, Errno.ENOENT)) return [];
    throw error;
  }
}

function commented(
  userdata: Uint8Array | undefined,
): { readonly comment?: string } {
  const comment = decodeComment(userdata);
  return comment === undefined ? {} : { comment };
}

function keyOfValue<K extends string>(
  numbers: Readonly<Record<K, number>>,
  value: number | undefined,
): K | undefined {
  return (Object.keys(numbers) as K[]).find((key) => numbers[key] === value);
}

function hookOf(
  type: string | undefined,
  hook: { readonly hooknum?: number; readonly priority?: number } | undefined,
  policy: number | undefined,
): Required<Hook> | undefined {
  if (hook === undefined) return undefined;
  const name = keyOfValue(HOOK_NUMBERS, hook.hooknum);
  if (
    name === undefined ||
    (type !== "filter" && type !== "nat" && type !== "route")
  ) return undefined;
  return {
    type,
    hook: name,
    priority: hook.priority ?? 0,
    policy: keyOfValue(POLICY_NUMBERS, policy) ?? "accept",
  };
}

/** The generation after a commit (nf_tables_commit leaves 0 out). */
export function nextGeneration(generation: number): number {
  return (generation + 1) >>> 0 || 1;
}
