/**
 * A filter that sends all that a link receives to another link (tc-u32(8), tc-mirred(8)). The classifier `u32` with a match
 * of nothing stands for all packets: `matchall` is younger, and not everywhere.
 *
 * @module
 */
import { type Attrs, attrs, type AttrsOf } from "../netlink/attrs.ts";
import {
  type Codec,
  converted,
  cstring,
  i32,
  type Infer,
  u16,
  u32,
  u8,
} from "../netlink/codec.ts";
import { NLM_F_CREATE, NLM_F_EXCL, type Request } from "../netlink/message.ts";
import { body, struct, type StructCodec } from "../netlink/struct.ts";
import { RTM_GETTFILTER, RTM_NEWTFILTER } from "./constants.ts";
import { INGRESS, tcmsg } from "./qdisc.ts";

/** `struct tc_mirred`, whose first five fields are the macro `tc_gen`. */
const mirredFields = {
  index: u32,
  capab: u32,
  action: u32,
  refcnt: u32,
  bindcnt: u32,
  eaction: u32,
  ifindex: u32,
} as const;
const mirred: StructCodec<typeof mirredFields> = struct(
  "tc_mirred",
  mirredFields,
);
/** `TC_ACT_STOLEN`, `TCA_EGRESS_REDIR`. */
const STOLEN = 4;
const REDIRECT = 1;

/** `struct tc_u32_sel` with one `struct tc_u32_key`. */
const selectorFields = {
  flags: u8,
  offshift: u8,
  nkeys: u8,
  pad: u8,
  offmask: u16,
  off: u16,
  offoff: u16,
  hoff: u16,
  hmask: u32,
  keyMask: u32,
  keyVal: u32,
  keyOff: i32,
  keyOffmask: i32,
} as const;
const selector: StructCodec<typeof selectorFields> = struct(
  "tc_u32_sel",
  selectorFields,
);
/** `TC_U32_TERMINAL`. */
const TERMINAL = 1;

const mirredRows = { parms: [2, mirred] } as const;
/** Options of the action `mirred`. */
export const mirredAttrs: Attrs<typeof mirredRows> = attrs(
  "TCA_MIRRED_",
  mirredRows,
);

const actionRows = {
  kind: [1, cstring(16)],
  options: [2, mirredAttrs],
} as const;
/** An action of a filter. */
export const actionAttrs: Attrs<typeof actionRows> = attrs(
  "TCA_ACT_",
  actionRows,
);

/** Actions are numbered from 1 in their order. */
const actionListRows = { first: [1, actionAttrs] } as const;
const actionList: Attrs<typeof actionListRows> = attrs("", actionListRows);

const u32Rows = { sel: [5, selector], act: [7, actionList] } as const;
/** Options of the classifier `u32`. */
export const u32Attrs: Attrs<typeof u32Rows> = attrs("TCA_U32_", u32Rows);

const filterRows = { kind: [1, cstring(16)], options: [2, u32Attrs] } as const;
/** Attributes of a filter. */
export const filterAttrs: Attrs<typeof filterRows> = attrs("TCA_", filterRows);

type Message = {
  header: Infer<typeof tcmsg>;
  attrs: AttrsOf<typeof filterRows>;
};
/** `struct tcmsg` and attributes of a filter. */
export const filterMessage: Codec<Message> = body(tcmsg, filterAttrs);

/** Where filters of what a link receives are, `TC_H_MAJ(TC_H_INGRESS)`. */
const INGRESS_FILTERS = INGRESS - 0xfff1;
/** Priority 1 and `ETH_P_ALL` in network byte order (`TC_H_MAKE`). */
const FIRST_OF_ALL_PROTOCOLS = 0x0001_0300;

/** Sends all that a link receives to another link, as if that were to send it. The link needs an ingress discipline. */
export function newRedirect(
  { index, target }: { readonly index: number; readonly target: number },
): Request<Message> {
  return {
    operation: `redirect what comes in by link #${index} to #${target}`,
    type: RTM_NEWTFILTER,
    flags: NLM_F_CREATE | NLM_F_EXCL,
    codec: filterMessage,
    value: {
      header: {
        ifindex: index,
        parent: INGRESS_FILTERS,
        info: FIRST_OF_ALL_PROTOCOLS,
      },
      attrs: {
        kind: "u32",
        options: {
          sel: { flags: TERMINAL, nkeys: 1 },
          act: {
            first: {
              kind: "mirred",
              options: {
                parms: { action: STOLEN, eaction: REDIRECT, ifindex: target },
              },
            },
          },
        },
      },
    },
  };
}

/** Asks where what a link receives is sent to, as numbers of links; 0 is one that is gone. */
export function dumpRedirects(
  index: number,
): Request<Message, number | undefined> {
  return {
    operation: `dump filters of link #${index}`,
    type: RTM_GETTFILTER,
    flags: 0,
    codec: filterMessage,
    value: { header: { ifindex: index, parent: INGRESS_FILTERS }, attrs: {} },
    reply: converted(
      filterMessage,
      ({ attrs }) => attrs.options?.act?.first?.options?.parms?.ifindex,
    ),
  };
}
