/**
 * What a call of the C library does, as far as dying in front of it or failing it is concerned.
 *
 * @module
 */
import { NETLINK_NETFILTER, NETLINK_ROUTE } from "../../src/netlink/message.ts";
import { O_CREAT, O_TRUNC } from "../../ffi/file.ts";
import { type Call, pathOf } from "./intercept.ts";

/**
 * Calls that leave nothing behind when their process dies: they read, or act on what belongs to the process and goes with
 * it, such as descriptors, locks, and the namespace that a thread is in. Every other function counts as one that changes
 * something, so that a new one is not forgotten.
 */
const LEAVES_NOTHING: ReadonlySet<string> = new Set([
  "fcntl",
  "read",
  "pread",
  "close",
  "flock",
  "readlink",
  "getdents64",
  "statx",
  "ioctl",
  "clock_gettime",
  "geteuid",
  "getpgrp",
  "unshare",
  "setns",
  "socket",
  "bind",
  "connect",
  "setsockopt",
  "getsockname",
  "recv",
  "poll",
]);

/**
 * Whether something outlives the process that would not be there without the call.
 *
 * Between two such calls a death is the same wherever it comes: what the process had is gone, and what stays is what the
 * first of the two left. So it is enough to die in front of each of them, and after the last.
 */
export function changesSomething(call: Call): boolean {
  if (call.name === "open") {
    return (Number(call.args[1]) & (O_CREAT | O_TRUNC)) !== 0;
  }
  // What is opened from a directory on is there already.
  if (call.name === "openat") return false;
  if (call.name === "send") {
    return messagesOf(call).some(({ reads }) => !reads);
  }
  return !LEAVES_NOTHING.has(call.name);
}

/** One netlink message in a datagram that is being sent. */
export interface SentMessage {
  readonly type: number;
  /** Where it begins in the datagram, in bytes. */
  readonly offset: number;
  /** By which its answer is known. */
  readonly sequence: number;
  /** It asks and changes nothing. */
  readonly reads: boolean;
}

/** The messages of a `send` on a netlink socket; none of any other call. */
export function messagesOf({ args, subject }: Call): SentMessage[] {
  const datagram = args[1];
  const protocol = Number(/^netlink (\d+)$/.exec(subject)?.[1] ?? -1);
  if (protocol < 0 || !(datagram instanceof Uint8Array)) return [];
  const view = new DataView(datagram.buffer, datagram.byteOffset);
  const messages: SentMessage[] = [];
  for (let offset = 0; offset + 16 <= datagram.length;) {
    const type = view.getUint16(offset + 4, true);
    messages.push({
      type,
      offset,
      sequence: view.getUint32(offset + 8, true),
      reads: isQuestion(protocol, type),
    });
    offset += (view.getUint32(offset, true) + 3) & ~3;
  }
  return messages;
}

/** The first and the last message of an nf_tables batch, which are no change themselves (linux/netfilter/nfnetlink.h). */
const BATCH_ENDS: readonly number[] = [16, 17];
const CTNETLINK = 1;
const NFTABLES = 10;
/** IPCTNL_MSG_CT_GET and IPCTNL_MSG_CT_GET_STATS. */
const CONNTRACK_GETS: readonly number[] = [1, 5];
/** NFT_MSG_GETTABLE, GETCHAIN, GETRULE, GETSET, GETSETELEM and GETGEN. */
const NFTABLES_GETS: readonly number[] = [1, 4, 7, 10, 13, 16];

function isQuestion(protocol: number, type: number): boolean {
  if (protocol === NETLINK_ROUTE) {
    // NEW, DEL, GET, SET: every kind of object has four numbers from 16 on (linux/rtnetlink.h).
    return (type & 3) === 2;
  }
  // Statistics of sockets.
  if (protocol !== NETLINK_NETFILTER) return true;
  if (BATCH_ENDS.includes(type)) return true;
  const [subsystem, number] = [type >> 8, type & 0xff];
  return subsystem === CTNETLINK
    ? CONNTRACK_GETS.includes(number)
    : subsystem === NFTABLES && NFTABLES_GETS.includes(number);
}

/** A call in a few words, the same in each run: `rename record.cbor.tmp`, `send netlink 0 16,19,19`. */
export function describe(call: Call): string {
  const { name, args, subject } = call;
  if (name === "send") {
    const types = messagesOf(call).map(({ type }) => type).join(",");
    return `send ${subject} ${types}`;
  }
  const path = pathOf(args[BEGINS_AT_DIRECTORY.has(name) ? 1 : 0]);
  const about = subject === "" || name === "openat"
    ? path
    : path === ""
    ? subject
    : `${subject}/${path}`;
  return `${name} ${neutral(about)}`.trim();
}

/** Calls whose first argument is the directory in which the path of the second begins. */
const BEGINS_AT_DIRECTORY: ReadonlySet<string> = new Set([
  "openat",
  "statx",
  "unlinkat",
]);

/** A path without what is new each time. */
function neutral(path: string): string {
  return path
    .replace(/\/proc\/\d+\/fd\/\d+/, "/proc/<pid>/fd/<n>")
    .replace(/\/fd\/\d+$/, "/fd/<n>")
    .replace(/pn-[0-9a-f]{12}/, "pn-<n>")
    .replace(/[0-9a-f]{16}/g, "<id>")
    .split("/").slice(-4).join("/");
}
