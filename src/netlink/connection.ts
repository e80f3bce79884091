/**
 * Requests and replies over one netlink socket.
 *
 * @module
 */
import { Errno, isSyscallError } from "../../ffi/errno.ts";
import { ByteWindow, ByteWriter } from "./bytes.ts";
import { type Codec, CodecError } from "./codec.ts";
import {
  HEADER_SIZE,
  type Message,
  NLM_F_ACK,
  NLM_F_DUMP,
  NLM_F_DUMP_INTR,
  NLMSG_DONE,
  NLMSG_ERROR,
  NLMSG_NOOP,
  NLMSG_OVERRUN,
  readMessages,
  type Request,
  writeMessage,
} from "./message.ts";
import {
  IncompleteReplyError,
  NetlinkError,
  type NetlinkFailure,
  readErrno,
  readFailure,
} from "./netlink_error.ts";
import { SocketTransport, type Transport } from "./transport.ts";

/**
 * A netlink socket and its sequence numbers.
 *
 * All methods are synchronous: the kernel does its work, and queues its answers, inside the send
 * (netlink_unicast_kernel, net/netlink/af_netlink.c), so an answer that is not there afterwards will not come. No method
 * waits, and none can hang.
 */
export class Connection implements Disposable {
  readonly #transport: Transport;
  readonly #out = new ByteWriter(4096);
  #sequence = 1;

  /** Takes ownership of a transport. */
  constructor(transport: Transport) {
    this.#transport = transport;
  }

  /**
   * Opens a connection, such as for `NETLINK_ROUTE`, in the network namespace that the thread is in. It stays in that
   * namespace wherever the thread goes.
   *
   * @throws {SyscallError}
   */
  static open(protocol: number): Connection {
    return new Connection(SocketTransport.open(protocol));
  }

  /**
   * Sends all requests in one datagram and returns when the kernel has executed them all.
   *
   * rtnetlink executes each message by itself and does not stop at one that fails; what succeeded stays done. An
   * nfnetlink batch is all or nothing.
   *
   * Only one message asks for an acknowledgement: the last one that has NLM_F_ACK among its flags, or else the last one
   * of all. Messages that fail are answered without asking.
   *
   * @param queries sent behind the requests in the same datagram, so that they see what these have done
   * @param absent error numbers with which the kernel says that there is none: no error, and no reply
   * @returns the replies of each query
   * @throws {NetlinkError} if the kernel refuses any of them; `failures` has them all
   * @throws {CodecError} if a value does not fit its codec; nothing is sent then
   * @throws {IncompleteReplyError} if it is not known what the kernel has done
   * @throws {SyscallError}
   */
  execute<T = never, R = T>(
    requests: readonly Request<unknown, unknown>[],
    queries: readonly Request<T, R>[] = [],
    absent: readonly number[] = [],
  ): R[][] {
    const all = [...requests, ...queries as readonly Request<unknown>[]];
    if (all.length === 0) return [];
    let last = all.length - 1;
    for (let i = last; i >= 0; i--) {
      if (((all[i]?.flags ?? 0) & NLM_F_ACK) !== 0) {
        last = i;
        break;
      }
    }
    const replies: R[][] = queries.map(() => []);
    const first = requests.length;
    this.#exchange(
      all,
      last,
      NLM_F_ACK,
      queries.length === 0 ? undefined : (from, { body, end }, index) => {
        const query = queries[index - first];
        if (query === undefined) return;
        replies[index - first]?.push(replyCodec(query).read(from, body, end));
      },
      absent,
    );
    return replies;
  }

  /**
   * Sends one request and returns its replies: none or one for most requests.
   *
   * @param absent error numbers with which the kernel says that there is none: no error, and no reply
   * @throws {NetlinkError} if the kernel refuses it
   * @throws {CodecError} if a value does not fit its codec
   * @throws {IncompleteReplyError} if the reply is not complete
   * @throws {SyscallError}
   */
  request<T, R = T>(
    request: Request<T, R>,
    ...absent: readonly number[]
  ): R[] {
    return this.#collect(request, NLM_F_ACK, 2, absent);
  }

  /**
   * Asks for all objects that match a request.
   *
   * A dump that the kernel reports as interrupted (NLM_F_DUMP_INTR: the table changed meanwhile) is repeated.
   *
   * @throws {NetlinkError} if the kernel refuses it
   * @throws {CodecError} if a value does not fit its codec
   * @throws {IncompleteReplyError} if the table changes during every attempt, or the reply is not complete
   * @throws {SyscallError}
   */
  dump<T, R = T>(request: Request<T, R>): R[] {
    return this.#collect(request, NLM_F_DUMP, DUMP_ATTEMPTS);
  }

  /** Closes the socket. */
  [Symbol.dispose](): void {
    this.#transport[Symbol.dispose]();
  }

  /** Repeats a request that changes nothing until its reply is whole. */
  #collect<T, R>(
    request: Request<T, R>,
    flags: number,
    attempts: number,
    absent: readonly number[] = [],
  ): R[] {
    const codec = replyCodec(request);
    for (let attempt = 1;; attempt++) {
      const replies: R[] = [];
      try {
        const onReply: OnReply = (from, { body, end }) => {
          replies.push(codec.read(from, body, end));
        };
        this.#exchange([request], 0, flags, onReply, absent);
        return replies;
      } catch (error) {
        const repeat = error instanceof IncompleteReplyError &&
          (error.reason === "interrupted" || error.reason === "truncated");
        if (!repeat || attempt >= attempts) throw error;
      }
    }
  }

  /** Sends the requests and reads until the answer to number `last`. */
  #exchange(
    requests: readonly Request<unknown, unknown>[],
    last: number,
    lastFlags: number,
    onReply?: OnReply,
    absent: readonly number[] = [],
  ): void {
    const out = this.#out;
    out.reset();
    const first = this.#sequence;
    this.#sequence = (first + requests.length) >>> 0;
    const starts: number[] = [];
    const endsByReply = lastFlags === NLM_F_ACK &&
      requests[last]?.isAnswered === true;
    for (let i = 0; i < requests.length; i++) {
      starts.push(writeMessage(
        out,
        requests[i] as Request<unknown>,
        (first + i) >>> 0,
        i === last && !endsByReply ? lastFlags : 0,
      ));
    }
    this.#transport.send(out.written());

    const failures: NetlinkFailure[] = [];
    // What goes wrong with one reply is kept until the others are read: the kernel refuses the next dump otherwise.
    let trouble: IncompleteReplyError | CodecError | undefined;
    let done = false;
    const operation = () => requests[last]?.operation ?? "";
    const onMessage = (from: ByteWindow, message: Message) => {
      const index = (message.sequence - first) >>> 0;
      const request = requests[index];
      // Left over from an earlier call that threw, or addressed to nobody.
      if (request === undefined) return;
      if ((message.flags & NLM_F_DUMP_INTR) !== 0) {
        trouble ??= new IncompleteReplyError(
          "interrupted",
          `${operation()}: the table changed during the dump`,
        );
      }
      switch (message.type) {
        case NLMSG_NOOP:
          return;
        case NLMSG_OVERRUN:
          trouble ??= overrun(operation());
          return;
        case NLMSG_ERROR:
        case NLMSG_DONE: {
          const errno = readErrno(from, message);
          if (errno !== 0 && !absent.includes(errno)) {
            const start = starts[index] ?? 0;
            const end = starts[index + 1] ?? out.length;
            failures.push(readFailure(from, message, {
              operation: request.operation,
              index,
              codec: request.codec,
              body: out.written().subarray(start + HEADER_SIZE, end),
            }));
          }
          if (index === last) done = true;
          return;
        }
        default:
          if (endsByReply && index === last) done = true;
          onReply?.(from, message, index);
      }
    };

    while (!done) {
      try {
        const datagram = this.#transport.receive();
        if (datagram === undefined) break;
        // Decoded values may be views, and the transport reuses its buffer.
        const from = new ByteWindow(
          onReply === undefined ? datagram : datagram.slice(),
        );
        for (const message of readMessages(from)) {
          try {
            onMessage(from, message);
          } catch (error) {
            if (!(error instanceof CodecError)) throw error;
            trouble ??= error.during(operation());
          }
        }
      } catch (error) {
        if (error instanceof CodecError) {
          trouble ??= error.during(operation());
        } else if (error instanceof IncompleteReplyError) {
          trouble ??= error;
        } else if (isSyscallError(error, Errno.ENOBUFS)) {
          trouble ??= overrun(operation(), error);
        } else {
          throw error;
        }
      }
    }
    const [failure, ...others] = failures;
    if (failure !== undefined) throw new NetlinkError(failure, others);
    if (trouble !== undefined) throw trouble;
    if (!done) {
      throw new IncompleteReplyError(
        "missing",
        `${operation()}: the kernel gave no answer`,
      );
    }
  }
}

/** What is done with a reply; `index` is the position of its request. */
type OnReply = (from: ByteWindow, message: Message, index: number) => void;

function replyCodec<T, R>(request: Request<T, R>): Codec<R> {
  // Without a reply codec R is T.
  return request.reply ?? request.codec as Codec<unknown> as Codec<R>;
}

function overrun(operation: string, cause?: unknown): IncompleteReplyError {
  return new IncompleteReplyError(
    "overrun",
    `${operation}: the receive buffer of the socket overflowed`,
    { cause },
  );
}

/** A table that changes during this many dumps in a row changes all the time. */
const DUMP_ATTEMPTS = 32;
