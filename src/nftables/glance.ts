/**
 * Multicasts of nf_tables, as far as one must read them to know what they are about.
 *
 * @module
 */
import { HOST_LITTLE_ENDIAN } from "../netlink/bytes.ts";
import type { Glance } from "../netlink/feed.ts";
import { elementMessage } from "./tables.ts";
import { decodeComment } from "./userdata.ts";

/** `struct nfgenmsg` */
const HEADER_BYTES = 4;
const ATTRIBUTE_HEADER_BYTES = 4;
/** NFTA_TABLE_NAME, NFTA_CHAIN_TABLE, NFTA_RULE_TABLE, NFTA_SET_TABLE and NFTA_SET_ELEM_LIST_TABLE are all 1, and come first. */
const TABLE_ATTRIBUTE = 1;

const ascii = new TextDecoder("latin1");

/** The table that a message is about; undefined when it is about none, as the end of a transaction. */
export function tableNameOf({ from, body, end }: Glance): string | undefined {
  const at = body + HEADER_BYTES;
  if (at + ATTRIBUTE_HEADER_BYTES > end) return undefined;
  const length = from.view.getUint16(at, HOST_LITTLE_ENDIAN);
  const id = from.view.getUint16(at + 2, HOST_LITTLE_ENDIAN);
  if (id !== TABLE_ATTRIBUTE || at + length > end) return undefined;
  // Without the terminator.
  return ascii.decode(
    from.bytes.subarray(at + ATTRIBUTE_HEADER_BYTES, at + length - 1),
  );
}

/** Elements that a message is about. */
export interface ElementsGlance {
  /** Name of their set. */
  readonly set: string;
  /** Their comments; undefined for those without one. */
  readonly comments: readonly (string | undefined)[];
}

/** The elements that a message is about. */
export function elementsOf({ from, body, end }: Glance): ElementsGlance {
  const { attrs } = elementMessage.read(from, body, end);
  const { set = "", elements = [] } = attrs;
  return {
    set,
    comments: elements.map(({ userdata }) => decodeComment(userdata)),
  };
}
