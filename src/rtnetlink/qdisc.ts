/**
 * Queueing disciplines of links (tc(8), linux/rtnetlink.h).
 *
 * @module
 */
import { type Attrs, attrs, type AttrsOf } from "../netlink/attrs.ts";
import {
  bytes,
  type Codec,
  converted,
  cstring,
  i32,
  type Infer,
  u16,
  u32,
  u8,
} from "../netlink/codec.ts";
import {
  NLM_F_CREATE,
  NLM_F_ECHO,
  NLM_F_EXCL,
  NLM_F_REPLACE,
  type Request,
} from "../netlink/message.ts";
import { body, struct, type StructCodec } from "../netlink/struct.ts";
import { RTM_DELQDISC, RTM_GETQDISC, RTM_NEWQDISC } from "./constants.ts";

const tcmsgFields = {
  family: u8,
  pad1: u8,
  pad2: u16,
  ifindex: i32,
  handle: u32,
  parent: u32,
  info: u32,
} as const;
/** `struct tcmsg`. */
export const tcmsg: StructCodec<typeof tcmsgFields> = struct(
  "tcmsg",
  tcmsgFields,
);

const rows = {
  kind: [1, cstring(16)],
  options: [2, bytes, "attributes of the discipline's own"],
} as const;
/** Attributes of a queueing discipline. */
export const qdiscAttrs: Attrs<typeof rows> = attrs("TCA_", rows);

type Message = {
  header: Infer<typeof tcmsg>;
  attrs: AttrsOf<typeof rows>;
};
/** `struct tcmsg` and attributes. */
export const qdiscMessage: Codec<Message> = body(tcmsg, qdiscAttrs);

/** The queue of what a link sends, `TC_H_ROOT`. */
export const EGRESS = 0xffffffff;
/** Where what a link receives is filtered, `TC_H_INGRESS`. */
export const INGRESS = 0xfffffff1;

/** Where a discipline is. */
export interface QdiscReference {
  /** Number of the link. */
  readonly index: number;
  /**
   * {@linkcode EGRESS} or {@linkcode INGRESS}.
   * @default EGRESS
   */
  readonly parent?: number;
}

/** Options of {@linkcode newQdisc}. */
export interface NewQdiscOptions extends QdiscReference {
  /** Name of the discipline, such as `tbf`. */
  readonly kind: string;
  /** Its options, encoded. */
  readonly options?: Uint8Array;
  /**
   * Whether it changes the one that is there, or takes its place.
   * @default false
   */
  readonly replace?: boolean;
}

/** A queueing discipline as the kernel reports it. */
export interface Qdisc {
  /** Name of the discipline. */
  readonly kind: string;
  /** Its options, encoded. */
  readonly options?: Uint8Array;
}

/**
 * Makes a queueing discipline. Refused with ENOENT if the kernel does not have it, with EEXIST if there is one, unless it
 * is to be replaced. On a link that is up the kernel waits for RCU grace periods.
 */
export function newQdisc(
  { index, kind, options, parent, replace = false }: NewQdiscOptions,
): Request<Message> {
  return {
    operation: `add qdisc ${kind} to link #${index}`,
    type: RTM_NEWQDISC,
    flags: NLM_F_CREATE | (replace ? NLM_F_REPLACE : NLM_F_EXCL),
    codec: qdiscMessage,
    value: {
      header: headerOf({ index, parent: parent ?? EGRESS }),
      attrs: { kind, ...(options === undefined ? {} : { options }) },
    },
  };
}

/** Deletes a queueing discipline with its filters. Refused with ENOENT or EINVAL if there is none but the kernel's own. */
export function deleteQdisc(reference: QdiscReference): Request<Message> {
  return {
    operation: `delete qdisc of link #${reference.index}`,
    type: RTM_DELQDISC,
    flags: 0,
    codec: qdiscMessage,
    value: { header: headerOf(reference), attrs: {} },
  };
}

/**
 * Asks for a queueing discipline. Refused with ENOENT if there is none.
 *
 * The kernel answers by a notice, which others that listen for changes get, too (qdisc_get_notify, net/sched/sch_api.c).
 */
export function getQdisc(
  reference: QdiscReference,
): Request<Message, Qdisc> {
  return {
    operation: `get qdisc of link #${reference.index}`,
    type: RTM_GETQDISC,
    flags: NLM_F_ECHO,
    codec: qdiscMessage,
    value: { header: headerOf(reference), attrs: {} },
    reply: converted(qdiscMessage, ({ attrs: { kind = "", options } }) => ({
      kind,
      ...(options === undefined ? {} : { options }),
    })),
  };
}

/** What the ingress discipline is numbered, `TC_H_MAJ(TC_H_INGRESS)`. */
const INGRESS_HANDLE = 0xffff0000;

function headerOf(
  { index, parent = EGRESS }: QdiscReference,
): Message["header"] {
  return {
    ifindex: index,
    parent,
    ...(parent === INGRESS ? { handle: INGRESS_HANDLE } : {}),
  };
}
