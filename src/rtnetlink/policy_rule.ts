/**
 * Rules that choose the routing table for a packet (ip-rule(8), linux/fib_rules.h).
 *
 * @module
 */
import { Cidr } from "../net/cidr.ts";
import { IpAddress, type IpFamily } from "../net/ip.ts";
import { type Attrs, attrs, type AttrsOf } from "../netlink/attrs.ts";
import {
  bytes,
  type Codec,
  converted,
  cstring,
  type Infer,
  u32,
  u8,
} from "../netlink/codec.ts";
import { NLM_F_CREATE, NLM_F_EXCL, type Request } from "../netlink/message.ts";
import { body, struct, type StructCodec } from "../netlink/struct.ts";
import { RTM_DELRULE, RTM_GETRULE, RTM_NEWRULE } from "./constants.ts";
import { familyNumber, ipFamily } from "./family.ts";
import { ROUTE_PROTOCOL } from "./route.ts";

const headerFields = {
  family: u8,
  dstLen: u8,
  srcLen: u8,
  tos: u8,
  table: u8,
  res1: u8,
  res2: u8,
  action: u8,
  flags: u32,
} as const;
const header: StructCodec<typeof headerFields> = struct(
  "fib_rule_hdr",
  headerFields,
);

const rows = {
  dst: [1, bytes],
  src: [2, bytes],
  iifname: [3, cstring(16)],
  goto: [4, u32],
  priority: [6, u32],
  fwmark: [10, u32],
  suppressPrefixlen: [14, u32, "routes with a prefix this short do not count"],
  table: [15, u32],
  fwmask: [16, u32],
  oifname: [17, cstring(16)],
  l3mdev: [19, u8],
  uidRange: [20, bytes],
  protocol: [21, u8],
  ipProto: [22, u8],
  sportRange: [23, bytes],
  dportRange: [24, bytes],
} as const;
/** Attributes of a rule. */
export const policyRuleAttrs: Attrs<typeof rows> = attrs("FRA_", rows);

type Message = {
  header: Infer<typeof header>;
  attrs: AttrsOf<typeof rows>;
};
/** `struct fib_rule_hdr` and attributes. */
export const policyRuleMessage: Codec<Message> = body(header, policyRuleAttrs);

/** Bits of a packet's mark. */
export interface MarkBits {
  /** The bits that are set. */
  readonly value: number;
  /** The bits that are looked at. */
  readonly mask: number;
}

/** A rule as the kernel reports it. */
export interface PolicyRule {
  /** IP version. */
  readonly family: IpFamily;
  /** The smaller comes first: 0 is the local table, 32766 the main one. */
  readonly priority: number;
  /** The table that it looks up; 0 for a rule that does something else. */
  readonly table: number;
  /** FR_ACT_*: 1 looks up a table, 6 to 8 refuse the packet. */
  readonly action: number;
  /** Only packets from here. */
  readonly source?: Cidr;
  /** Only packets to here. */
  readonly destination?: Cidr;
  /** Only packets that came in by this link. */
  readonly inputLink?: string;
  /** Only packets whose mark has these bits, of those in the mask. */
  readonly mark?: MarkBits;
  /** Whether it has a condition besides source, destination and input link: a mark, a port, a user. */
  readonly hasOtherConditions: boolean;
  /** Whether it holds for what its conditions do not match. */
  readonly inverted: boolean;
  /** Who made it, like that of a route, if it was said. */
  readonly protocol?: number;
  /** Routes whose prefix is this long or shorter do not count: with 0, default routes. */
  readonly suppressedPrefixLength?: number;
}

const FIB_RULE_INVERT = 2;
const NOTHING_SUPPRESSED = 0xffffffff;

function toPolicyRule({ header, attrs }: Message): PolicyRule {
  const { suppressPrefixlen = NOTHING_SUPPRESSED } = attrs;
  const network = (address: Uint8Array | undefined, length = 0) =>
    address === undefined
      ? undefined
      : Cidr.of(IpAddress.fromBytes(address), length);
  const source = network(attrs.src, header.srcLen);
  const destination = network(attrs.dst, header.dstLen);
  return {
    family: ipFamily(header.family),
    priority: attrs.priority ?? 0,
    table: attrs.table ?? header.table ?? 0,
    action: header.action ?? 0,
    ...(source === undefined ? {} : { source }),
    ...(destination === undefined ? {} : { destination }),
    ...(attrs.iifname === undefined ? {} : { inputLink: attrs.iifname }),
    ...(attrs.fwmark === undefined && attrs.fwmask === undefined
      ? {}
      : { mark: { value: attrs.fwmark ?? 0, mask: attrs.fwmask ?? 0 } }),
    hasOtherConditions: (header.tos ?? 0) !== 0 ||
      (attrs.fwmark ?? 0) !== 0 || (attrs.fwmask ?? 0) !== 0 ||
      attrs.oifname !== undefined || (attrs.l3mdev ?? 0) !== 0 ||
      attrs.uidRange !== undefined || (attrs.ipProto ?? 0) !== 0 ||
      attrs.sportRange !== undefined || attrs.dportRange !== undefined,
    ...(attrs.protocol === undefined ? {} : { protocol: attrs.protocol }),
    inverted: ((header.flags ?? 0) & FIB_RULE_INVERT) !== 0,
    ...(suppressPrefixlen === NOTHING_SUPPRESSED
      ? {}
      : { suppressedPrefixLength: suppressPrefixlen }),
  };
}

/** Asks for all rules of an IP version, in the order in which they are tried. */
export function dumpPolicyRules(
  family: IpFamily,
): Request<Message, PolicyRule> {
  return {
    operation: `dump IPv${family} policy rules`,
    type: RTM_GETRULE,
    flags: 0,
    codec: policyRuleMessage,
    value: { header: { family: familyNumber(family) }, attrs: {} },
    reply: converted(policyRuleMessage, toPolicyRule),
  };
}

/** Which rule {@linkcode newPolicyRule} makes: packets from a network look up a table. */
export interface PolicyRuleOptions {
  readonly source: Cidr;
  readonly table: number;
  /** The smaller comes first. */
  readonly priority: number;
  /**
   * Who makes it, or has made the one to delete.
   * @default ROUTE_PROTOCOL
   */
  readonly protocol?: number;
  /** Only packets whose mark has these bits. */
  readonly mark?: MarkBits;
}

/** Adds a rule. Refused with EEXIST if it is there. */
export function newPolicyRule(options: PolicyRuleOptions): Request<Message> {
  return ruleRequest("add", RTM_NEWRULE, options, {
    action: TO_TABLE,
    flags: NLM_F_CREATE | NLM_F_EXCL,
  });
}

/** Deletes a rule that {@linkcode newPolicyRule} made. Refused with ENOENT if there is none. */
export function deletePolicyRule(options: PolicyRuleOptions): Request<Message> {
  return ruleRequest("delete", RTM_DELRULE, options);
}

/** `FR_ACT_TO_TBL`. */
const TO_TABLE = 1;

function ruleRequest(
  verb: string,
  type: number,
  { source, table, priority, mark, protocol = ROUTE_PROTOCOL }:
    PolicyRuleOptions,
  { action = 0, flags = 0 } = {},
): Request<Message> {
  return {
    operation: `${verb} policy rule from ${source} to table ${table}`,
    type,
    flags,
    codec: policyRuleMessage,
    value: {
      header: {
        family: familyNumber(source.family),
        srcLen: source.prefixLength,
        action,
      },
      attrs: {
        src: source.network.bytes,
        priority,
        table,
        protocol,
        ...(mark === undefined
          ? {}
          : { fwmark: mark.value, fwmask: mark.mask }),
      },
    },
  };
}
