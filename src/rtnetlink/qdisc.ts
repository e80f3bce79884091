/**
 * Queueing disciplines of links (tc(8), linux/rtnetlink.h).
 *
 * @module
 */
import { type Attrs, attrs, type AttrsOf } from "../netlink/attrs.ts";
import {
  bytes,
  type Codec,
  cstring,
  i32,
  type Infer,
  u16,
  u32,
  u8,
} from "../netlink/codec.ts";
import { NLM_F_CREATE, NLM_F_EXCL, type Request } from "../netlink/message.ts";
import { body, struct, type StructCodec } from "../netlink/struct.ts";
import { RTM_NEWQDISC } from "./constants.ts";

const headerFields = {
  family: u8,
  pad1: u8,
  pad2: u16,
  ifindex: i32,
  handle: u32,
  parent: u32,
  info: u32,
} as const;
const header: StructCodec<typeof headerFields> = struct("tcmsg", headerFields);

const rows = {
  kind: [1, cstring(16)],
  options: [2, bytes, "attributes of the discipline's own"],
} as const;
/** Attributes of a queueing discipline. */
export const qdiscAttrs: Attrs<typeof rows> = attrs("TCA_", rows);

type Message = {
  header: Infer<typeof header>;
  attrs: AttrsOf<typeof rows>;
};
/** `struct tcmsg` and attributes. */
export const qdiscMessage: Codec<Message> = body(header, qdiscAttrs);

/** The queue of a link itself. */
const TC_H_ROOT = 0xffffffff;

/** Options of {@linkcode newQdisc}. */
export interface NewQdiscOptions {
  /** Number of the link. */
  readonly index: number;
  /** Name of the discipline, such as `tbf`. */
  readonly kind: string;
  /** Its options, encoded. */
  readonly options?: Uint8Array;
}

/** Makes a queueing discipline the root of a link. Refused with ENOENT if the kernel does not have it. */
export function newQdisc(
  { index, kind, options }: NewQdiscOptions,
): Request<Message> {
  return {
    operation: `add qdisc ${kind} to link #${index}`,
    type: RTM_NEWQDISC,
    flags: NLM_F_CREATE | NLM_F_EXCL,
    codec: qdiscMessage,
    value: {
      header: { ifindex: index, parent: TC_H_ROOT },
      attrs: { kind, ...(options === undefined ? {} : { options }) },
    },
  };
}
