/**
 * The kernel's refusals.
 *
 * @module
 */
import { errnoName } from "../../ffi/errno.ts";
import { attrs } from "./attrs.ts";
import { type ByteWindow, HOST_LITTLE_ENDIAN } from "./bytes.ts";
import { bytes, type Codec, CodecError, cstring, u32 } from "./codec.ts";
import { missingAt, pathAt } from "./inspect.ts";
import {
  HEADER_SIZE,
  type Message,
  NLM_F_ACK_TLVS,
  NLM_F_CAPPED,
  NLMSG_ERROR,
} from "./message.ts";

/** Attributes of an extended acknowledgement (enum nlmsgerr_attrs, linux/netlink.h). */
export const errorAttrs = attrs("NLMSGERR_ATTR_", {
  msg: [1, cstring(4096), "the kernel's words"],
  offs: [2, u32, "offset of the offending attribute in the request"],
  cookie: [3, bytes],
  policy: [4, bytes, "what the attribute may hold"],
  missType: [5, u32, "number of a missing attribute"],
  missNest: [6, u32, "offset of the nest that lacks it"],
});

/** One message that the kernel refused. */
export interface NetlinkFailure {
  /** What the message was for, such as `create veth pn-12ab`. */
  readonly operation: string;
  /** Position of the message in its batch, from 0. */
  readonly index: number;
  /** Error number, positive, such as 34. */
  readonly errno: number;
  /** Its name, such as `ERANGE`; `EPERM` means that CAP_NET_ADMIN is missing. */
  readonly code: string;
  /** The kernel's words, if it had any. */
  readonly kernelMessage?: string;
  /** The attribute that the kernel blames, or misses, such as `linkinfo.veth.peer.mtu`. */
  readonly attribute?: string;
  /** The attribute is missing, not wrong. */
  readonly missing?: true;
}

/** The kernel refused a message. */
export class NetlinkError extends Error implements NetlinkFailure {
  /** `"NetlinkError"`. */
  override readonly name = "NetlinkError";
  /** What the first refused message was for. */
  readonly operation: string;
  /** Its position in the batch, from 0. */
  readonly index: number;
  /** Error number, positive. */
  readonly errno: number;
  /** Name of the error number. */
  readonly code: string;
  /** The kernel's words, if it had any. */
  declare readonly kernelMessage?: string;
  /** The attribute that the kernel blames, or misses. */
  declare readonly attribute?: string;
  /** The attribute is missing, not wrong. */
  declare readonly missing?: true;
  /** All refused messages of the batch, in the order of the answers. */
  readonly failures: readonly NetlinkFailure[];

  /** Makes the error of a call whose first refused message is `first`. */
  constructor(first: NetlinkFailure, others: readonly NetlinkFailure[] = []) {
    super(describe(first));
    this.operation = first.operation;
    this.index = first.index;
    this.errno = first.errno;
    this.code = first.code;
    if (first.kernelMessage !== undefined) {
      this.kernelMessage = first.kernelMessage;
    }
    if (first.attribute !== undefined) this.attribute = first.attribute;
    if (first.missing) this.missing = true;
    this.failures = [first, ...others];
  }
}

/** Whether `error` is a {@linkcode NetlinkError} with one of these error numbers. */
export function isNetlinkError(
  error: unknown,
  ...errnos: readonly number[]
): error is NetlinkError {
  return error instanceof NetlinkError && errnos.includes(error.errno);
}

function describe(failure: NetlinkFailure): string {
  const { operation, code, kernelMessage, attribute, missing } = failure;
  return `${operation}: ${code}` +
    (kernelMessage === undefined ? "" : `: ${kernelMessage}`) +
    (attribute === undefined
      ? ""
      : ` (${missing ? "missing " : ""}${attribute})`);
}

/** Why the answer to a call is not complete. */
export type IncompleteReplyReason =
  /** Nothing more is queued, and the last answer is not among what came. */
  | "missing"
  /** The socket's receive buffer overflowed. */
  | "overrun"
  /** A datagram was longer than the buffer. */
  | "truncated"
  /** The dumped table changed during every attempt. */
  | "interrupted";

/** The kernel's answer to a call is not complete, so what it has done is not known. */
export class IncompleteReplyError extends Error {
  /** `"IncompleteReplyError"`. */
  override readonly name = "IncompleteReplyError";
  /** What is wrong with the answer. */
  readonly reason: IncompleteReplyReason;
  /** Makes the error. */
  constructor(
    reason: IncompleteReplyReason,
    message: string,
    options?: ErrorOptions,
  ) {
    super(message, options);
    this.reason = reason;
  }
}

/** What {@linkcode readFailure} needs to know of the refused message. */
export interface RefusedMessage {
  /** What it was for. */
  readonly operation: string;
  /** Its position in the batch. */
  readonly index: number;
  /** How its body was written. */
  readonly codec: Codec<unknown>;
  /** Its body. */
  readonly body: Uint8Array;
}

/** Error number in the body of NLMSG_ERROR or NLMSG_DONE, positive; 0 for success. */
export function readErrno(from: ByteWindow, message: Message): number {
  if (message.end - message.body >= 4) {
    return -from.view.getInt32(message.body, HOST_LITTLE_ENDIAN);
  }
  // NLMSG_DONE may come without a body.
  if (message.type !== NLMSG_ERROR) return 0;
  throw new CodecError("an error message without an error number");
}

/** Decodes NLMSG_ERROR, or NLMSG_DONE with an error, with its extended acknowledgement. */
export function readFailure(
  from: ByteWindow,
  message: Message,
  refused: RefusedMessage,
): NetlinkFailure {
  const errno = readErrno(from, message);
  const ack = readExtendedAck(from, message);
  const { operation, index, codec, body } = refused;
  let attribute = "";
  let missing = false;
  if (ack.offs !== undefined) {
    attribute = pathAt(codec, body, ack.offs - HEADER_SIZE);
  } else if (ack.missType !== undefined) {
    const nest = ack.missNest;
    missing = true;
    attribute = missingAt(
      codec,
      body,
      nest === undefined ? undefined : nest - HEADER_SIZE,
      ack.missType,
    );
  }
  return {
    operation,
    index,
    errno,
    code: errnoName(errno),
    ...(ack.msg === undefined || ack.msg === ""
      ? {}
      : { kernelMessage: ack.msg }),
    ...(attribute === "" ? {} : { attribute }),
    ...(missing ? { missing } : {}),
  };
}

type ExtendedAck = {
  msg?: string;
  offs?: number;
  missType?: number;
  missNest?: number;
};

function readExtendedAck(from: ByteWindow, message: Message): ExtendedAck {
  if ((message.flags & NLM_F_ACK_TLVS) === 0) return {};
  let at = message.body + 4;
  if (message.type === NLMSG_ERROR) {
    // struct nlmsgerr repeats the header of the request, and the body too unless capped.
    if (message.end - at < HEADER_SIZE) return {};
    const echoed = message.flags & NLM_F_CAPPED
      ? HEADER_SIZE
      : from.view.getUint32(at, HOST_LITTLE_ENDIAN);
    if (echoed > message.end - at) return {};
    at += (echoed + 3) & ~3;
  }
  if (at > message.end) return {};
  try {
    return errorAttrs.read(from, at, message.end);
  } catch (error) {
    // The error number counts; damaged words about it do not.
    if (error instanceof CodecError) return {};
    throw error;
  }
}
