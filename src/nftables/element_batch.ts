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
import type { Infer } from "../netlink/codec.ts";
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
  readonly #additions: Heads;
  readonly #deletions: Heads;
  #begin: Head | undefined;
  #end: Head | undefined;
  #starts: number[] = [];
  #requests: Request<unknown>[] = [];

  /** Of the table of this name. */
  constructor(table: string) {
    this.#additions = new Heads((set) => ({
      operation: `add elements to ${table} ${set}`,
      type: NftMessage.newSetElem,
      flags: NLM_F_CREATE | NLM_F_EXCL,
      codec: elementMessage,
      value: emptyList(table, set),
    }));
    this.#deletions = new Heads((set) => ({
      operation: `delete elements of ${table} ${set}`,
      type: NftMessage.delSetElem,
      flags: 0,
      codec: elementMessage,
      value: emptyList(table, set),
    }));
  }

  /**
   * Encodes a change that is based on a generation of the ruleset, without asking for an acknowledgement: of a batch the kernel
   * answers each error (nfnetlink_rcv_batch), which is there when it was sent, and nft(8) asks for none either. 3 µs less.
   *
   * Keys and data must be as long as those of their sets, which have no ranges.
   *
   * @returns valid until the next one
   * @throws {RangeError} when a comment is too long, or nft could not read it
   */
  encode(
    { add, delete: gone }: ElementChange,
    generation: number,
  ): EncodedBatch<never> {
    const out = this.#out;
    out.reset();
    this.#starts = [];
    const requests = this.#requests = [];
    const begin = this.#start(
      this.#begin ??= headOf(
        bracket(BatchMessage.begin, "begin transaction", 0),
      ),
    );
    out.setU32(begin + GENERATION_OFFSET, bigEndian(generation));
    if (gone !== undefined) this.#write(gone, this.#deletions, false);
    if (add !== undefined) this.#write(add, this.#additions, true);
    const last = this.#starts.length;
    this.#start(
      this.#end ??= headOf(bracket(BatchMessage.end, "end transaction")),
    );
    return encodedBatch(out, this.#starts, last, requests);
  }

  /** Copies a message, or its head, and returns where it is. */
  #start({ bytes, request }: Head): number {
    const at = this.#out.length;
    this.#starts.push(at);
    this.#requests.push(request);
    this.#out.bytes(bytes);
    return at;
  }

  /** A message for each set, or for some of its elements. */
  #write(
    elements: readonly ElementOfSet[],
    heads: Heads,
    isWhole: boolean,
  ): void {
    const written: NftSet[] = [];
    for (let i = 0; i < elements.length; i++) {
      const { set } = elements[i] as ElementOfSet;
      if (written.includes(set)) continue;
      written.push(set);
      let next = i;
      while (next < elements.length) {
        next = this.#writeMessage(elements, next, heads.of(set), set, isWhole);
      }
    }
  }

  /** Writes elements of the set from a position on, and returns where the next message goes on. */
  #writeMessage(
    elements: readonly ElementOfSet[],
    from: number,
    head: Head,
    set: NftSet,
    isWhole: boolean,
  ): number {
    const out = this.#out;
    const start = this.#start(head);
    const list = out.length - ATTRIBUTE_HEADER;
    let count = 0;
    let at = from;
    for (; at < elements.length; at++) {
      const other = elements[at] as ElementOfSet;
      if (other.set !== set) continue;
      if (count++ === SURELY_FIT) break;
      writeElement(out, other.element, isWhole);
    }
    out.end(list);
    out.setU32(start, out.length - start);
    return at;
  }
}

/** A message, or the beginning of one up to the first element. */
interface Head {
  readonly bytes: Uint8Array;
  /** What errors say of it. */
  readonly request: Request<unknown>;
}

function headOf<T>(of: Request<T>): Head {
  const request = of as Request<unknown>;
  const out = new ByteWriter();
  encodeBatch(out, { requests: [request] }, NO_ANSWER);
  return { bytes: out.finish(), request };
}

/** The beginnings of messages for each set. */
class Heads {
  readonly #request: (set: string) => Request<ElementList>;
  readonly #heads = new Map<NftSet, Head>();

  constructor(request: (set: string) => Request<ElementList>) {
    this.#request = request;
  }

  of(set: NftSet): Head {
    let head = this.#heads.get(set);
    if (head === undefined) {
      head = headOf(this.#request(set.name));
      this.#heads.set(set, head);
    }
    return head;
  }
}

type ElementList = Infer<typeof elementMessage>;

function emptyList(table: string, set: string): ElementList {
  return {
    header: { family: NfFamily.inet },
    attrs: { table, set, elements: [] },
  };
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
