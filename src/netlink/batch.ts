/**
 * Several requests as one datagram.
 *
 * @module
 */
import type { ByteWriter } from "./bytes.ts";
import type { Codec } from "./codec.ts";
import { NLM_F_ACK, type Request, writeMessage } from "./message.ts";

/** Requests that are sent together: what is to be done, then what is asked. */
export interface Batch<T = unknown, R = unknown> {
  /** Without replies. */
  readonly requests?: readonly Request<unknown, unknown>[];
  /** Behind the requests, so that they see what these have done. */
  readonly queries?: readonly Request<T, R>[];
}

/** A batch as bytes. */
export interface EncodedBatch<R> {
  /** Holds all messages. */
  readonly out: ByteWriter;
  /** Where each message begins. */
  readonly starts: readonly number[];
  /** Position of the message whose answer is the end of it all. */
  readonly last: number;
  /** Whether it is answered also when all went well. */
  readonly isAnswered: boolean;
  /** Whether that answer is its reply, and not an acknowledgement. */
  readonly endsByReply: boolean;
  /** Position of the first query. */
  readonly firstQuery: number;
  /** How the replies to each query are read. */
  readonly replies: readonly Codec<R>[];
  /** Whether nothing that they read is a view of the datagram. */
  readonly isScalar: boolean;
  /** The request at a position: what errors say of it. */
  requestAt(index: number): Request<unknown, unknown>;
}

/**
 * Encodes a batch. One message asks for an acknowledgement: the last one that has NLM_F_ACK among its flags, or else the
 * last one of all, unless it is answered anyway.
 *
 * @param out is written from its beginning
 * @param lastFlags what the last message asks for
 * @throws {CodecError} if a value does not fit its codec
 */
export function encodeBatch<T, R>(
  out: ByteWriter,
  { requests = NONE, queries = [] }: Batch<T, R>,
  lastFlags: number = NLM_F_ACK,
): EncodedBatch<R> {
  const firstQuery = requests.length;
  const count = firstQuery + queries.length;
  const requestAt = (index: number) =>
    (index < firstQuery
      ? requests[index]
      : queries[index - firstQuery]) as Request<unknown>;
  let last = count - 1;
  for (let i = last; i >= 0; i--) {
    if ((requestAt(i).flags & NLM_F_ACK) !== 0) {
      last = i;
      break;
    }
  }
  const end = count === 0 ? undefined : requestAt(last);
  const endsByReply = lastFlags === NLM_F_ACK && end?.isAnswered === true;
  out.reset();
  const starts: number[] = [];
  for (let i = 0; i < count; i++) {
    const flags = i === last && !endsByReply ? lastFlags : 0;
    starts.push(writeMessage(out, requestAt(i), 0, flags));
  }
  const replies: Codec<R>[] = [];
  let isScalar = true;
  for (const query of queries) {
    const codec = replyCodec(query);
    replies.push(codec);
    isScalar &&= codec.isScalar === true;
  }
  return {
    out,
    starts,
    last,
    // In what makes something, the bits of NLM_F_DUMP mean NLM_F_REPLACE and NLM_F_EXCL.
    isAnswered: endsByReply || lastFlags !== NO_ANSWER ||
      ((end?.flags ?? 0) & NLM_F_ACK) !== 0,
    endsByReply,
    firstQuery,
    replies,
    isScalar,
    requestAt,
  };
}

const NONE: readonly Request<unknown>[] = [];
const NO_REPLIES: readonly Codec<never>[] = [];

/**
 * What was encoded in another way, has no queries, and is answered by errors only.
 *
 * @param requests what errors say of each message
 */
export function encodedBatch(
  out: ByteWriter,
  starts: readonly number[],
  last: number,
  requests: readonly Request<unknown>[],
): EncodedBatch<never> {
  return {
    out,
    starts,
    last,
    isAnswered: false,
    endsByReply: false,
    firstQuery: starts.length,
    replies: NO_REPLIES,
    isScalar: true,
    requestAt: (index) => requests[index] as Request<unknown>,
  };
}

/** What the last message of a batch asks for of which only errors are answered. */
export const NO_ANSWER = 0;

/** Numbers the messages. */
export function setSequence(
  { out, starts }: EncodedBatch<unknown>,
  first: number,
): void {
  for (let i = 0; i < starts.length; i++) {
    out.setU32((starts[i] as number) + SEQUENCE_OFFSET, (first + i) >>> 0);
  }
}

/** Of `nlmsg_seq` in `struct nlmsghdr`. */
const SEQUENCE_OFFSET = 8;

/** How a reply is read: without a codec for it, as the request. */
export function replyCodec<T, R>(request: Request<T, R>): Codec<R> {
  return request.reply ?? request.codec as Codec<unknown> as Codec<R>;
}
