/**
 * nft's own notes inside nf_tables objects: type-length-value triples that the kernel stores and never reads
 * (libnftnl `udata.h`). With them `nft list ruleset` prints comments and element values.
 *
 * @module
 */

import type { ByteWriter } from "../netlink/bytes.ts";

/** Comments of tables, chains, rules and elements all have type 0. */
const COMMENT = 0;

/** Flags of an element (`NFTNL_UDATA_SET_ELEM_FLAGS`). */
const ELEMENT_FLAGS = 1;

/** A range without an end in the kernel: it reaches to the last key there is. */
const ELEMENT_OPEN_END = 1;

/** Triples of a set (`NFTNL_UDATA_SET_*`). */
const SET = { keyByteorder: 0, dataByteorder: 1 } as const;

/** nft's `enum byteorder`, without which it prints numbers of a set in the wrong order. */
const BYTEORDER = { concatenation: 0, host: 1, big: 2 } as const;

/** How the values of a set's key or data are stored. */
export type Byteorder = keyof typeof BYTEORDER;

/** Longest comment, in bytes with the terminator (`NFTNL_UDATA_COMMENT_MAXLEN`). */
const COMMENT_MAX_BYTES = 128;

const encoder = new TextEncoder();
// A byte order mark in front would otherwise vanish, and the comment be somebody else's.
const decoder = new TextDecoder("utf-8", { ignoreBOM: true });

function triples(
  fields: readonly (readonly [type: number, value: Uint8Array])[],
): Uint8Array<ArrayBuffer> {
  const out = new Uint8Array(
    fields.reduce((size, [, value]) => size + 2 + value.length, 0),
  );
  let at = 0;
  for (const [type, value] of fields) {
    out.set([type, value.length], at);
    out.set(value, at + 2);
    at += 2 + value.length;
  }
  return out;
}

/**
 * Userdata that holds a comment.
 * @throws {RangeError} when the comment is longer than 127 bytes of UTF-8, nft's limit, or holds a NUL or `"`,
 * which nft could not read back
 */
export function encodeComment(comment: string): Uint8Array<ArrayBuffer> {
  return triples([[COMMENT, commentText(comment)]]);
}

/**
 * Writes what {@linkcode encodeComment} makes. Pods are changed in turn, and to make it for each takes 3 µs.
 * @throws {RangeError}
 */
export function writeComment(out: ByteWriter, comment: string): void {
  if (!isPlain(comment)) return out.bytes(encodeComment(comment));
  out.u8(COMMENT);
  out.u8(comment.length + 1);
  out.text(comment);
  out.u8(0);
}

/** Whether it is short enough, and each character is one byte that nft can read. */
function isPlain(comment: string): boolean {
  if (comment.length >= COMMENT_MAX_BYTES) return false;
  for (let i = 0; i < comment.length; i++) {
    const code = comment.charCodeAt(i);
    if (code === 0 || code === QUOTE || code > 0x7f) return false;
  }
  return true;
}

const QUOTE = 0x22;

/**
 * Userdata of an element, or undefined when it needs none.
 * @throws {RangeError} when nft could not read the comment; see {@linkcode encodeComment}
 */
export function encodeElementUserdata(
  comment: string | undefined,
  openEnd: boolean,
): Uint8Array<ArrayBuffer> | undefined {
  if (openEnd) {
    const flags = [ELEMENT_FLAGS, u32(ELEMENT_OPEN_END)] as const;
    return triples(
      comment === undefined
        ? [flags]
        : [[COMMENT, commentText(comment)], flags],
    );
  }
  if (comment === undefined) return undefined;
  // Elements that are added together mostly have one owner.
  if (comment !== last?.comment) {
    last = { comment, userdata: encodeComment(comment) };
  }
  return last.userdata;
}

let last:
  | { readonly comment: string; readonly userdata: Uint8Array<ArrayBuffer> }
  | undefined;

function commentText(comment: string): Uint8Array {
  const text = encoder.encode(`${comment}\0`);
  if (text.length > COMMENT_MAX_BYTES || text.indexOf(0) !== text.length - 1) {
    throw new RangeError(
      `comment ${JSON.stringify(comment)} must have at most ${
        COMMENT_MAX_BYTES - 1
      } bytes and no NUL`,
    );
  }
  if (comment.includes('"')) {
    throw new RangeError(`comment ${JSON.stringify(comment)} must not hold "`);
  }
  return text;
}

/** The comment in userdata, or undefined when there is none or the userdata is not nft's. */
export function decodeComment(
  userdata: Uint8Array | undefined,
): string | undefined {
  if (userdata === undefined) return undefined;
  for (let at = 0; at + 2 <= userdata.length;) {
    const [type, size] = userdata.subarray(at, at + 2);
    const end = at + 2 + (size ?? 0);
    if (end > userdata.length) return undefined;
    if (type === COMMENT) {
      const text = userdata.subarray(at + 2, end);
      const nul = text.indexOf(0);
      return decoder.decode(nul === -1 ? text : text.subarray(0, nul));
    }
    at = end;
  }
  return undefined;
}

function u32(value: number): Uint8Array {
  return new Uint8Array(new Uint32Array([value]).buffer);
}

/** Userdata of a set: how nft is to print keys and data. */
export function encodeSetByteorder(
  key: Byteorder,
  data?: Byteorder,
): Uint8Array<ArrayBuffer> {
  return triples([
    [SET.keyByteorder, u32(BYTEORDER[key])],
    ...(data === undefined
      ? []
      : [[SET.dataByteorder, u32(BYTEORDER[data])] as const]),
  ]);
}
