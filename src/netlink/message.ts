/**
 * Netlink messages: the header, the flags, and what a caller asks the kernel.
 *
 * @module
 */
import {
  type ByteWindow,
  type ByteWriter,
  HOST_LITTLE_ENDIAN,
} from "./bytes.ts";
import { type Codec, CodecError } from "./codec.ts";

// Protocols, flags and types of linux/netlink.h.

/** rtnetlink: links, addresses, routes, neighbours. */
export const NETLINK_ROUTE = 0;
/** Socket statistics. */
export const NETLINK_SOCK_DIAG = 4;

/** nf_tables, conntrack and the rest of netfilter. */
export const NETLINK_NETFILTER = 12;

/** Every request carries it; {@linkcode writeMessage} adds it. */
export const NLM_F_REQUEST = 0x01;
/** The reply has several messages, ended by NLMSG_DONE. */
export const NLM_F_MULTI = 0x02;
/** Answer with NLMSG_ERROR also when all went well. */
export const NLM_F_ACK = 0x04;
/** Tell the asker, too, of what is told to those who listen. */
export const NLM_F_ECHO = 0x08;
/** The table changed during the dump, which may lack or repeat entries. */
export const NLM_F_DUMP_INTR = 0x10;
/** Ask for every object instead of one (NLM_F_ROOT and NLM_F_MATCH). */
export const NLM_F_DUMP = 0x300;
/** New: replace the object if it exists. */
export const NLM_F_REPLACE = 0x100;
/** New: fail with EEXIST if the object exists. */
export const NLM_F_EXCL = 0x200;
/** New: create the object if it does not exist. */
export const NLM_F_CREATE = 0x400;
/** New: add at the end of the list. */
export const NLM_F_APPEND = 0x800;
/** An acknowledgement without the body of the request. */
export const NLM_F_CAPPED = 0x100;
/** An acknowledgement with attributes of its own (extended acknowledgement). */
export const NLM_F_ACK_TLVS = 0x200;

/** Nothing: to be skipped. */
export const NLMSG_NOOP = 1;
/** An error, or with error 0 an acknowledgement. */
export const NLMSG_ERROR = 2;
/** The end of a multi-message reply. */
export const NLMSG_DONE = 3;
/** The kernel lost data. */
export const NLMSG_OVERRUN = 4;

/** Size of `struct nlmsghdr` in bytes. */
export const HEADER_SIZE = 16;

/**
 * One question to the kernel: data only, executed by a `Connection`.
 *
 * `T` is the body that is sent, `R` the body of each reply.
 */
export interface Request<T, R = T> {
  /** What the request is for, such as `create veth pn-12ab`: errors begin with it. */
  readonly operation: string;
  /** Message type, such as RTM_NEWLINK. */
  readonly type: number;
  /** NLM_F_CREATE and the like; the connection adds NLM_F_REQUEST, NLM_F_ACK and NLM_F_DUMP. */
  readonly flags: number;
  /** How the body is written, and read if {@linkcode reply} is not given. */
  readonly codec: Codec<T>;
  /** The body. */
  readonly value: T;
  /** How the bodies of the replies are read. */
  readonly reply?: Codec<R>;
  /**
   * Whether the kernel answers it with one message, or an error, always: then there is no need for an acknowledgement too.
   * @default false
   */
  readonly isAnswered?: boolean;
}

/**
 * Appends one message and returns the offset at which it starts.
 *
 * @throws {CodecError} if the value does not fit its codec
 */
export function writeMessage<T, R>(
  out: ByteWriter,
  request: Request<T, R>,
  sequence: number,
  extraFlags = 0,
): number {
  const at = out.reserve(4);
  out.u16(request.type, HOST_LITTLE_ENDIAN);
  out.u16(request.flags | extraFlags | NLM_F_REQUEST, HOST_LITTLE_ENDIAN);
  out.u32(sequence, HOST_LITTLE_ENDIAN);
  out.reserve(4);
  try {
    request.codec.write(out, request.value);
  } catch (error) {
    throw error instanceof CodecError ? error.during(request.operation) : error;
  }
  out.setU32(at, out.length - at);
  out.reserve(-out.length & 3);
  return at;
}

/** One message of a received datagram. Offsets are absolute. */
export interface Message {
  /** Message type. */
  readonly type: number;
  /** Message flags. */
  readonly flags: number;
  /** Sequence number: that of the request in a reply. */
  readonly sequence: number;
  /** Where the body starts. */
  readonly body: number;
  /** Where the body ends. */
  readonly end: number;
}

/**
 * Cuts a datagram into its messages.
 *
 * @param total how many bytes it has
 * @throws {CodecError} if a length does not fit
 */
export function readMessages(
  { view }: ByteWindow,
  total: number = view.byteLength,
): Message[] {
  const messages: Message[] = [];
  for (let at = 0; at < total;) {
    const size = total - at < HEADER_SIZE
      ? 0
      : view.getUint32(at, HOST_LITTLE_ENDIAN);
    if (size < HEADER_SIZE || size > total - at) {
      throw new CodecError(
        `message length ${size} does not fit ${total - at} bytes`,
      );
    }
    messages.push({
      type: view.getUint16(at + 4, HOST_LITTLE_ENDIAN),
      flags: view.getUint16(at + 6, HOST_LITTLE_ENDIAN),
      sequence: view.getUint32(at + 8, HOST_LITTLE_ENDIAN),
      body: at + HEADER_SIZE,
      end: at + size,
    });
    at += (size + 3) & ~3;
  }
  return messages;
}
