/**
 * What the kernel answers to a datagram of requests.
 *
 * @module
 */
import { Errno, isSyscallError } from "../../ffi/errno.ts";
import { keepShape } from "../shape.ts";
import type { EncodedBatch } from "./batch.ts";
import { ByteWindow } from "./bytes.ts";
import { CodecError } from "./codec.ts";
import {
  HEADER_SIZE,
  type Message,
  NLM_F_DUMP_INTR,
  NLMSG_DONE,
  NLMSG_ERROR,
  NLMSG_NOOP,
  NLMSG_OVERRUN,
  readMessages,
} from "./message.ts";
import {
  IncompleteReplyError,
  NetlinkError,
  type NetlinkFailure,
  readErrno,
  readFailure,
  type RefusedMessage,
} from "./netlink_error.ts";
import type { Transport } from "./transport.ts";

/** What is done with a reply; `index` is the position of its request. */
export type OnReply = (
  from: ByteWindow,
  message: Message,
  index: number,
) => void;

/** Reads the answers to one batch. An object without closures: a pod has a dozen of these. */
export class Answers {
  readonly #transport: Transport;
  readonly #batch: EncodedBatch<unknown>;
  readonly #first: number;
  readonly #absent: readonly number[];
  readonly #onReply: OnReply | undefined;
  #failures: NetlinkFailure[] | undefined;
  /** What goes wrong with one reply is kept until the others are read: the kernel refuses the next dump otherwise. */
  #trouble: IncompleteReplyError | CodecError | undefined;
  #isDone = false;

  /**
   * @param first number of the first message
   * @param absent error numbers with which the kernel says that there is none of what a query asks for
   */
  constructor(
    transport: Transport,
    batch: EncodedBatch<unknown>,
    first: number,
    absent: readonly number[],
    onReply: OnReply | undefined,
  ) {
    this.#transport = transport;
    this.#batch = batch;
    this.#first = first;
    this.#absent = absent;
    this.#onReply = onReply;
  }

  /**
   * Reads until the answer to the last message that has one.
   *
   * @throws {NetlinkError} if the kernel refused any of the messages
   * @throws {CodecError} if a reply does not fit its codec
   * @throws {IncompleteReplyError} if it is not known what the kernel has done
   * @throws {SyscallError}
   */
  read(): void {
    while (!this.#isDone) {
      try {
        const datagram = this.#transport.receive();
        if (datagram === undefined) break;
        this.#readDatagram(datagram);
      } catch (error) {
        if (error instanceof CodecError) {
          this.#trouble ??= error.during(this.#operation());
        } else if (error instanceof IncompleteReplyError) {
          this.#trouble ??= error;
        } else if (isSyscallError(error, Errno.ENOBUFS)) {
          this.#trouble ??= overrun(this.#operation(), error);
        } else {
          throw error;
        }
      }
    }
    if (this.#failures !== undefined) {
      const [failure, ...others] = this.#failures;
      if (failure !== undefined) throw new NetlinkError(failure, others);
    }
    if (this.#trouble !== undefined) throw this.#trouble;
    if (!this.#isDone && this.#batch.isAnswered) {
      throw new IncompleteReplyError(
        "missing",
        `${this.#operation()}: the kernel gave no answer`,
      );
    }
  }

  #readDatagram(datagram: Uint8Array<ArrayBuffer>): void {
    const mayBeKept = this.#onReply !== undefined && !this.#batch.isScalar;
    let from = windowOf(datagram);
    for (const message of readMessages(from, datagram.length)) {
      // Decoded values may be views, and the transport reuses its buffer. Nothing is kept of what is no reply: 2 µs.
      if (
        mayBeKept && from.bytes.buffer === datagram.buffer &&
        message.type > NLMSG_OVERRUN
      ) {
        from = new ByteWindow(datagram.slice());
      }
      try {
        this.#take(from, message);
      } catch (error) {
        if (!(error instanceof CodecError)) throw error;
        this.#trouble ??= error.during(this.#operation());
      }
    }
  }

  #take(from: ByteWindow, message: Message): void {
    const { starts, last, endsByReply } = this.#batch;
    const index = (message.sequence - this.#first) >>> 0;
    // Left over from an earlier call that threw, or addressed to nobody.
    if (index >= starts.length) return;
    if ((message.flags & NLM_F_DUMP_INTR) !== 0) {
      this.#trouble ??= new IncompleteReplyError(
        "interrupted",
        `${this.#operation()}: the table changed during the dump`,
      );
    }
    switch (message.type) {
      case NLMSG_NOOP:
        return;
      case NLMSG_OVERRUN:
        this.#trouble ??= overrun(this.#operation());
        return;
      case NLMSG_ERROR:
      case NLMSG_DONE: {
        const errno = readErrno(from, message);
        if (errno !== 0 && !this.#isAbsent(index, errno)) {
          const failure = readFailure(
            from,
            message,
            refused(this.#batch, index),
          );
          (this.#failures ??= []).push(failure);
        }
        if (index === last) this.#isDone = true;
        return;
      }
      default:
        if (endsByReply && index === last) this.#isDone = true;
        this.#onReply?.(from, message, index);
    }
  }

  #isAbsent(index: number, errno: number): boolean {
    return index >= this.#batch.firstQuery && this.#absent.includes(errno);
  }

  #operation(): string {
    const { last } = this.#batch;
    return this.#batch.requestAt(last)?.operation ?? "";
  }
}

keepShape(
  new Answers(undefined as never, undefined as never, 0, [], undefined),
);

/** For the error: which message it was. */
function refused(batch: EncodedBatch<unknown>, index: number): RefusedMessage {
  const { out, starts } = batch;
  const { operation, codec } = batch.requestAt(index);
  const start = starts[index] ?? 0;
  const end = starts[index + 1] ?? out.length;
  const body = out.written().subarray(start + HEADER_SIZE, end);
  return { operation, index, codec, body };
}

function overrun(operation: string, cause?: unknown): IncompleteReplyError {
  return new IncompleteReplyError(
    "overrun",
    `${operation}: the receive buffer of the socket overflowed`,
    { cause },
  );
}

/** A window on a datagram that is at the beginning of its memory, which mostly is that of the one before. */
function windowOf(datagram: Uint8Array<ArrayBuffer>): ByteWindow {
  const { buffer, byteOffset } = datagram;
  if (byteOffset !== 0) return new ByteWindow(datagram);
  if (last?.bytes.buffer !== buffer) {
    last = new ByteWindow(new Uint8Array(buffer));
  }
  return last;
}

let last: ByteWindow | undefined;
