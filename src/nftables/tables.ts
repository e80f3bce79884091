/**
 * Attribute tables of nf_tables objects (linux/netfilter/nf_tables.h). All integers are big-endian.
 *
 * @module
 */
import { type Attrs, attrs, type AttrsOf, list } from "../netlink/attrs.ts";
import { body } from "../netlink/struct.ts";
import {
  be32,
  be64,
  bytes,
  type Codec,
  cstring,
  type Infer,
  sbe32,
} from "../netlink/codec.ts";
import { nfgenmsg, nfMessageType, NfSubsystem } from "../netlink/nfnetlink.ts";
import { data, expression, objectName } from "./expression_tables.ts";

/** Message types (`NFT_MSG_*` in the nf_tables subsystem). */
export const NftMessage = {
  newTable: nfMessageType(NfSubsystem.nftables, 0),
  getTable: nfMessageType(NfSubsystem.nftables, 1),
  delTable: nfMessageType(NfSubsystem.nftables, 2),
  newChain: nfMessageType(NfSubsystem.nftables, 3),
  getChain: nfMessageType(NfSubsystem.nftables, 4),
  delChain: nfMessageType(NfSubsystem.nftables, 5),
  newRule: nfMessageType(NfSubsystem.nftables, 6),
  getRule: nfMessageType(NfSubsystem.nftables, 7),
  delRule: nfMessageType(NfSubsystem.nftables, 8),
  newSet: nfMessageType(NfSubsystem.nftables, 9),
  getSet: nfMessageType(NfSubsystem.nftables, 10),
  newSetElem: nfMessageType(NfSubsystem.nftables, 12),
  getSetElem: nfMessageType(NfSubsystem.nftables, 13),
  delSetElem: nfMessageType(NfSubsystem.nftables, 14),
  getGen: nfMessageType(NfSubsystem.nftables, 16),
  newFlowtable: nfMessageType(NfSubsystem.nftables, 22),
  getFlowtable: nfMessageType(NfSubsystem.nftables, 23),
} as const;

/** Brackets of a transaction (`NFNL_MSG_BATCH_*`). */
export const BatchMessage = { begin: 16, end: 17 } as const;

/** Table flags (`NFT_TABLE_F_*`). */
export const TableFlag = { dormant: 0x1 } as const;

/** Set flags (`NFT_SET_*`). */
export const SetFlag = {
  interval: 0x4,
  map: 0x8,
  timeout: 0x10,
  dynamic: 0x20,
  concat: 0x80,
} as const;

/** Element flags (`NFT_SET_ELEM_*`). */
export const ElementFlag = { intervalEnd: 0x1 } as const;

const batchRows = {
  genId: [
    1,
    be32,
    "refuse the batch when the ruleset is not of this generation",
  ],
} as const;
const batch: Attrs<typeof batchRows> = attrs("NFNL_BATCH_", batchRows);

const genRows = {
  id: [1, be32],
  procPid: [2, be32],
  procName: [3, cstring(16)],
} as const;
const gen: Attrs<typeof genRows> = attrs("NFTA_GEN_", genRows);

const tableRows = {
  name: [1, objectName],
  flags: [2, be32],
  use: [3, be32, "number of chains, sets and objects"],
  handle: [4, be64],
  userdata: [6, bytes],
  owner: [7, be32],
} as const;
const table: Attrs<typeof tableRows> = attrs("NFTA_TABLE_", tableRows);

const hook = attrs("NFTA_HOOK_", { hooknum: [1, be32], priority: [2, sbe32] });

const chainRows = {
  table: [1, objectName],
  handle: [2, be64],
  name: [3, objectName],
  hook: [4, hook],
  policy: [5, be32, "NF_DROP 0, NF_ACCEPT 1"],
  use: [6, be32],
  type: [7, cstring(32)],
  flags: [10, be32],
  id: [11, be32],
  userdata: [12, bytes],
} as const;
const chain: Attrs<typeof chainRows> = attrs("NFTA_CHAIN_", chainRows);

const ruleRows = {
  table: [1, objectName],
  chain: [2, objectName],
  handle: [3, be64],
  expressions: [4, list(1, expression)],
  position: [6, be64],
  userdata: [7, bytes],
  id: [9, be32],
} as const;
const rule: Attrs<typeof ruleRows> = attrs("NFTA_RULE_", ruleRows);

const setField = attrs("NFTA_SET_FIELD_", { len: [1, be32, "bytes"] });
const setDesc = attrs("NFTA_SET_DESC_", {
  size: [1, be32],
  concat: [2, list(1, setField)],
});

const setRows = {
  table: [1, objectName],
  name: [2, objectName],
  flags: [3, be32],
  keyType: [4, be32, "nft's number, 6 bits a field; the kernel stores it only"],
  keyLen: [5, be32, "bytes"],
  dataType: [6, be32],
  dataLen: [7, be32, "bytes"],
  policy: [8, be32],
  desc: [9, setDesc],
  id: [10, be32, "of this transaction"],
  timeout: [11, be64, "ms"],
  userdata: [13, bytes],
  handle: [16, be64],
} as const;
const set: Attrs<typeof setRows> = attrs("NFTA_SET_", setRows);

const elementRows = {
  key: [1, data],
  data: [2, data],
  flags: [3, be32],
  userdata: [6, bytes],
  keyEnd: [10, data],
} as const;
const element: Attrs<typeof elementRows> = attrs(
  "NFTA_SET_ELEM_",
  elementRows,
);

const elementListRows = {
  table: [1, objectName],
  set: [2, objectName],
  elements: [3, list(1, element)],
  setId: [4, be32],
} as const;
const elementList: Attrs<typeof elementListRows> = attrs(
  "NFTA_SET_ELEM_LIST_",
  elementListRows,
);

const flowtableHook = attrs("NFTA_FLOWTABLE_HOOK_", {
  num: [1, be32],
  priority: [2, sbe32],
  devs: [3, list(1, cstring(16)), "names of links"],
});
const flowtableRows = {
  table: [1, objectName],
  name: [2, objectName],
  hook: [3, flowtableHook],
  use: [4, be32],
  handle: [5, be64],
  flags: [7, be32],
} as const;
const flowtable: Attrs<typeof flowtableRows> = attrs(
  "NFTA_FLOWTABLE_",
  flowtableRows,
);

/** An element as the kernel carries it. */
export type ElementAttrs = AttrsOf<typeof elementRows>;

/** A whole message: the nfnetlink header and the attributes of one object. */
export type NftBody<A> = { header: Infer<typeof nfgenmsg>; attrs: A };
type Message<R> = R extends Attrs<infer Rows> ? Codec<NftBody<AttrsOf<Rows>>>
  : never;

/** Batch begin and end. */
export const batchMessage: Message<typeof batch> = body(nfgenmsg, batch);
/** The generation of the ruleset. */
export const genMessage: Message<typeof gen> = {
  ...body(nfgenmsg, gen),
  isScalar: true,
};
/** Tables. */
export const tableMessage: Message<typeof table> = body(nfgenmsg, table);
/** Chains. */
export const chainMessage: Message<typeof chain> = body(nfgenmsg, chain);
/** Rules. */
export const ruleMessage: Message<typeof rule> = body(nfgenmsg, rule);
/** Sets and maps. */
export const setMessage: Message<typeof set> = body(nfgenmsg, set);
/** Elements of one set. */
export const elementMessage: Message<typeof elementList> = body(
  nfgenmsg,
  elementList,
);
/** Flowtables: shortcuts of established connections around the hooks. */
export const flowtableMessage: Message<typeof flowtable> = body(
  nfgenmsg,
  flowtable,
);

/** The tables by name, for checks against the kernel's headers. */
export const objectTables = {
  flowtable,
  flowtableHook,
  gen,
  table,
  hook,
  chain,
  rule,
  set,
  setDesc,
  setField,
  element,
  elementList,
} as const;
