/**
 * Transactions of nothing but elements, as bytes: what is sent for each pod, and for each change of its ports.
 *
 * They are those of a {@linkcode Transaction}, whose requests and attributes by name take ten times as long; a test holds one
 * against the other. What is before the elements of a message is encoded once.
 *
 * @module
 */
import { NLA_F_NESTED } from "../netlink/attrs.ts";
import {
  encodeBatch,
  type EncodedBatch,
  encodedBatch,
  NO_ANSWER,
} from "../netlink/batch.ts";
import { ByteWriter, HOST_LITTLE_ENDIAN } from "../netlink/bytes.ts";
import {
  HEADER_SIZE,
  NLM_F_CREATE,
  NLM_F_EXCL,
  type Request,
} from "../netlink/message.ts";
import { NfFamily } from "../netlink/nfnetlink.ts";
import type { Element, NftSet } from "./ruleset.ts";
import { BatchMessage, elementMessage, NftMessage } from "./tables.ts";
import { bracket, SURELY_FIT } from "./transaction.ts";
import { writeComment } from "./userdata.ts";

/** An element and its set. */
export interface ElementOfSet {
  readonly set: NftSet;
  readonly element: Element;
}

/** Elements that go and elements that come. */
export interface ElementChange {
  /** The change is refused if one of them is there. */
  readonly add: readonly ElementOfSet[] | undefined;
  /** The change is refused if one of them is not there. */
  readonly delete: readonly ElementOfSet[] | undefined;
}

/** Writes changes of a table's elements into memory of its own. */
export class ElementBatch {
  readonly #out = new ByteWriter(4096);
  readonly #add: Heads;
  readonly #delete: Heads;
  #begin: Uint8Array | undefined;
  #end: Uint8Array | undefined;
  #starts: number[] = [];

  /** Of the table of this name. */
  constructor(table: string) {
    this.#add = new Heads(
      table,
      NftMessage.newSetElem,
      NLM_F_CREATE | NLM_F_EXCL,
    );
    this.#delete = new Heads(table, NftMessage.delSetElem, 0);
  }

  /**
   * Encodes a change that is based on a generation of the ruleset, without asking for an acknowledgement: of a batch the kernel
   * answers each error (nfnetlink_rcv_batch), which is there when it was sent, and nft(8) asks for none either. 3 µs less.
   *
   * Keys and data must be as long as those of their sets, which have no ranges.
   *
   * @param requestAt makes the request at a position, for errors
   * @returns valid until the next one; undefined if a set has too many elements for one message
   * @throws {RangeError} when a comment is too long, or nft could not read it
   */
  encode(
    change: ElementChange,
    generation: number,
    requestAt: (index: number) => Request<unknown>,
  ): EncodedBatch<never> | undefined {
    const out = this.#out;
    out.reset();
    this.#starts = [];
    const begin = this.#start(
      this.#begin ??= encoded(
        bracket(BatchMessage.begin, "begin transaction", 0),
      ),
    );
    out.setU32(begin + GENERATION_OFFSET, bigEndian(generation));
    const gone = change.delete;
    if (gone !== undefined && !this.#write(gone, this.#delete, false)) {
      return undefined;
    }
    const { add } = change;
    if (add !== undefined && !this.#write(add, this.#add, true)) {
      return undefined;
    }
    const last = this.#starts.length;
    this.#start(
      this.#end ??= encoded(bracket(BatchMessage.end, "end transaction")),
    );
    return encodedBatch(out, this.#starts, last, requestAt);
  }

  /** Copies a message, or its head, and returns where it is. */
  #start(head: Uint8Array): number {
    const at = this.#out.length;
    this.#starts.push(at);
    this.#out.bytes(head);
    return at;
  }

  /** One message for each set. */
  #write(
    elements: readonly ElementOfSet[],
    heads: Heads,
    isWhole: boolean,
  ): boolean {
    const out = this.#out;
    const written: NftSet[] = [];
    for (let i = 0; i < elements.length; i++) {
      const { set } = elements[i] as ElementOfSet;
      if (written.includes(set)) continue;
      written.push(set);
      const start = this.#start(heads.of(set));
      const list = out.length - ATTRIBUTE_HEADER;
      let count = 0;
      for (let j = i; j < elements.length; j++) {
        const other = elements[j] as ElementOfSet;
        if (other.set !== set) continue;
        if (++count > SURELY_FIT) return false;
        writeElement(out, other.element, isWhole);
      }
      out.end(list);
      out.setU32(start, out.length - start);
    }
    return true;
  }
}

/** The beginnings of messages, up to the first element. */
class Heads {
  readonly #table: string;
  readonly #type: number;
  readonly #flags: number;
  readonly #heads = new Map<NftSet, Uint8Array>();

  constructor(table: string, type: number, flags: number) {
    this.#table = table;
    this.#type = type;
    this.#flags = flags;
  }

  of(set: NftSet): Uint8Array {
    let head = this.#heads.get(set);
    if (head === undefined) {
      head = encoded({
        operation: `change elements of ${set.name}`,
        type: this.#type,
        flags: this.#flags,
        codec: elementMessage,
        value: {
          header: { family: NfFamily.inet },
          attrs: { table: this.#table, set: set.name, elements: [] },
        },
      });
      this.#heads.set(set, head);
    }
    return head;
  }
}

function encoded<T>(request: Request<T>): Uint8Array {
  const out = new ByteWriter();
  encodeBatch(out, { requests: [request as Request<unknown>] }, NO_ANSWER);
  return out.finish();
}

const ATTRIBUTE_HEADER = 4;
/** After the header, `struct nfgenmsg`, and the header of NFNL_BATCH_GENID. */
const GENERATION_OFFSET = HEADER_SIZE + 4 + ATTRIBUTE_HEADER;

/** NFTA_LIST_ELEM */
const LIST_ELEM = 1 | NLA_F_NESTED;
/** NFTA_SET_ELEM_KEY, NFTA_SET_ELEM_DATA, NFTA_SET_ELEM_USERDATA */
const KEY = 1 | NLA_F_NESTED;
const DATA = 2 | NLA_F_NESTED;
const USERDATA = 6;
/** NFTA_DATA_VALUE */
const DATA_VALUE = 1;

/** @param isWhole with data and comment */
function writeElement(
  out: ByteWriter,
  { key, data, comment }: Element,
  isWhole: boolean,
): void {
  const element = out.begin(LIST_ELEM);
  writeData(out, KEY, key);
  if (isWhole) {
    if (data !== undefined) writeData(out, DATA, data);
    if (comment !== undefined) {
      const userdata = out.begin(USERDATA);
      writeComment(out, comment);
      out.end(userdata);
    }
  }
  out.end(element);
}

function writeData(out: ByteWriter, type: number, value: Uint8Array): void {
  const nest = out.begin(type);
  const attribute = out.begin(DATA_VALUE);
  // Faster than bytes() for so few.
  out.put(out.reserve(value.length), value);
  out.end(attribute);
  out.end(nest);
}

/** What is to be put in host order, so that it is in network order. */
function bigEndian(value: number): number {
  return HOST_LITTLE_ENDIAN
    ? (value >>> 24 | value >>> 8 & 0xff00 | value << 8 & 0xff0000 |
      value << 24) >>> 0
    : value;
}
