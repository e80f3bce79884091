/**
 * Layouts of socket statistics (linux/inet_diag.h). Ports are big-endian, the rest is in host byte order.
 *
 * @module
 */
import { type Attrs, attrs, type AttrsOf } from "../netlink/attrs.ts";
import { body, struct, type StructCodec } from "../netlink/struct.ts";
import {
  be16,
  bytes,
  type Codec,
  type Infer,
  u32,
  u8,
} from "../netlink/codec.ts";

/** The request and reply type (`SOCK_DIAG_BY_FAMILY`). */
export const SOCK_DIAG_BY_FAMILY = 20;

/** The request type for TCP sockets of both families at once (`TCPDIAG_GETSOCK`). */
export const TCPDIAG_GETSOCK = 18;

/** `struct inet_diag_sockid` with addresses as words, for they are always 16 bytes. */
const sockid = {
  sourcePort: be16,
  destinationPort: be16,
  source0: u32,
  source1: u32,
  source2: u32,
  source3: u32,
  destination0: u32,
  destination1: u32,
  destination2: u32,
  destination3: u32,
  interface: u32,
  cookie0: u32,
  cookie1: u32,
} as const;

const requestFields = {
  family: u8,
  protocol: u8,
  extensions: u8,
  pad: u8,
  states: u32,
  ...sockid,
} as const;
const requestHeader: StructCodec<typeof requestFields> = struct(
  "inet_diag_req_v2",
  requestFields,
);

const requestRows = {
  bytecode: [1, bytes, "a program that says which sockets to report"],
} as const;
const requestAttrs: Attrs<typeof requestRows> = attrs(
  "INET_DIAG_REQ_",
  requestRows,
);

/** A question for sockets. */
export const socketRequest: Codec<
  { header: Infer<typeof requestHeader>; attrs: AttrsOf<typeof requestRows> }
> = body(requestHeader, requestAttrs);

const tcpRequestFields = {
  family: u8,
  sourceLength: u8,
  destinationLength: u8,
  extensions: u8,
  ...sockid,
  states: u32,
  pad: u32,
} as const;
const tcpRequestHeader: StructCodec<typeof tcpRequestFields> = struct(
  "inet_diag_req",
  tcpRequestFields,
);

/** A question for TCP sockets of both families. */
export const tcpRequest: Codec<
  { header: Infer<typeof tcpRequestHeader>; attrs: AttrsOf<typeof requestRows> }
> = body(tcpRequestHeader, requestAttrs);

const socketFields = {
  family: u8,
  state: u8,
  timer: u8,
  retransmits: u8,
  ...sockid,
  expires: u32,
  receiveQueue: u32,
  sendQueue: u32,
  uid: u32,
  inode: u32,
} as const;
const socketHeader: StructCodec<typeof socketFields> = struct(
  "inet_diag_msg",
  socketFields,
);

const socketRows = {
  skv6only: [11, u8, "1: an IPv6 socket that does not take IPv4"],
} as const;
const socketAttrs: Attrs<typeof socketRows> = attrs("INET_DIAG_", socketRows);

/** A socket. */
export const socketMessage: Codec<
  { header: Infer<typeof socketHeader>; attrs: AttrsOf<typeof socketRows> }
> = body(socketHeader, socketAttrs);

/** The tables by name, for checks against the kernel's headers. */
export const sockdiagTables = {
  request: requestAttrs,
  socket: socketAttrs,
} as const;
