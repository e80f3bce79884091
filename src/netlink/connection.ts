/**
 * Requests and replies over one netlink socket.
 *
 * @module
 */
import { poll } from "../../ffi/poll.ts";
import { Answers, type OnReply } from "./answers.ts";
import { type ByteWindow, ByteWriter } from "./bytes.ts";
import {
  encodeBatch,
  type EncodedBatch,
  replyCodec,
  setSequence,
} from "./batch.ts";
import { type Codec, CodecError } from "./codec.ts";
import { NLM_F_DUMP, type Request } from "./message.ts";
import { IncompleteReplyError } from "./netlink_error.ts";
import { SocketTransport, type Transport } from "./transport.ts";

/**
 * A netlink socket and its sequence numbers.
 *
 * All methods are synchronous: the kernel does its work, and queues its answers, inside the send
 * (netlink_unicast_kernel, net/netlink/af_netlink.c), so an answer that is not there afterwards will not come. No method
 * waits but {@linkcode waitUntil}, and none can hang.
 *
 * Where the kernel may wait for others, {@linkcode executeAsync} does so on another thread: of a connection that nobody
 * else uses meanwhile.
 */
export class Connection implements Disposable {
  readonly #transport: Transport;
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
   * @param absent error numbers with which the kernel says to a query that there is none: no error, and no reply
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
    if (requests.length + queries.length === 0) return [];
    return this.executeBatch(encodeBatch(OUT, { requests, queries }), absent);
  }

  /** As {@linkcode execute}, of what is encoded already: see `Template`. */
  executeBatch<R>(
    batch: EncodedBatch<R>,
    absent: readonly number[] = [],
  ): R[][] {
    const { firstQuery, replies: codecs } = batch;
    if (codecs.length === 0) {
      this.#exchange(batch, absent, undefined);
      return [];
    }
    const replies: R[][] = codecs.map(() => []);
    const onReply: OnReply = (from, { body, end }, index) => {
      const at = index - firstQuery;
      const codec = codecs[at];
      if (codec !== undefined) replies[at]?.push(codec.read(from, body, end));
    };
    this.#exchange(batch, absent, onReply);
    return replies;
  }

  /** As {@linkcode execute}, while the event loop goes on. */
  async executeAsync(
    requests: readonly Request<unknown, unknown>[],
  ): Promise<void> {
    if (requests.length === 0) return;
    const batch = encodeBatch(new ByteWriter(4096), { requests });
    await this.#exchangeAsync(batch, undefined);
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
    return this.#collect(encodeBatch(OUT, { queries: [request] }), 2, absent);
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
    return this.dumpBatch(encodeBatch(OUT, { queries: [request] }, NLM_F_DUMP));
  }

  /**
   * As {@linkcode Connection.dump}, while the event loop goes on: what the kernel has to look through for the first replies, it
   * looks through on another thread. The connection is for nothing else meanwhile.
   *
   * @throws what {@linkcode Connection.dump} throws
   */
  async dumpAsync<T, R = T>(request: Request<T, R>): Promise<R[]> {
    const out = new ByteWriter(256);
    const batch = encodeBatch(out, { queries: [request] }, NLM_F_DUMP);
    for (let attempt = 1;; attempt++) {
      const replies: R[] = [];
      try {
        await this.#exchangeAsync(batch, collector(batch, replies));
        return replies;
      } catch (error) {
        if (!isWorthRepeating(error) || attempt >= DUMP_ATTEMPTS) throw error;
      }
    }
  }

  /** As {@linkcode dump}, of what is encoded already: see `Template`. */
  dumpBatch<R>(batch: EncodedBatch<R>): R[] {
    return this.#collect(batch, DUMP_ATTEMPTS);
  }

  /**
   * As {@linkcode Connection.dump}, of many: all is received at once, and read little by little.
   *
   * @throws what {@linkcode Connection.dump} throws
   */
  *dumpInSteps<T, R = T>(request: Request<T, R>): Generator<void, R[], void> {
    const codec = replyCodec(request);
    const replies: R[] = [];
    for (
      const { from, start, end } of this.dump<T, Unread>({
        ...request,
        reply: unread,
      })
    ) {
      yield;
      try {
        replies.push(codec.read(from, start, end));
      } catch (error) {
        if (!(error instanceof CodecError)) throw error;
        throw error.during(request.operation);
      }
    }
    return replies;
  }

  /**
   * Waits until something is so: asked now, whenever the kernel tells the group of anything, and each millisecond besides.
   * Blocks the thread meanwhile, so that the kernel has the CPU for what is waited for.
   *
   * @returns whether it is so
   * @throws {SyscallError}
   */
  waitUntil(isSo: () => boolean, group: number, timeoutMs: number): boolean {
    if (isSo()) return true;
    const deadline = performance.now() + timeoutMs;
    using hearing = this.#transport.hear?.(group);
    for (;;) {
      // Also right now: it may have become so before the group was heard.
      if (isSoIfAnswered(isSo)) return true;
      if (performance.now() > deadline) return false;
      if (hearing === undefined) poll([], 1);
      else hearing.wait(1);
    }
  }

  /** Closes the socket. */
  [Symbol.dispose](): void {
    this.#transport[Symbol.dispose]();
  }

  /** Repeats a question until its reply is whole. */
  #collect<R>(
    batch: EncodedBatch<R>,
    attempts: number,
    absent: readonly number[] = [],
  ): R[] {
    for (let attempt = 1;; attempt++) {
      const replies: R[] = [];
      try {
        this.#exchange(batch, absent, collector(batch, replies));
        return replies;
      } catch (error) {
        if (!isWorthRepeating(error) || attempt >= attempts) throw error;
      }
    }
  }

  /** Sends the requests and reads until the answer to the last one that has an answer. */
  #exchange(
    batch: EncodedBatch<unknown>,
    absent: readonly number[],
    onReply: OnReply | undefined,
  ): void {
    const first = this.#number(batch);
    const transport = this.#transport;
    transport.send(batch.out.written());
    new Answers(transport, batch, first, absent, onReply).read();
  }

  /** As #exchange, sent on another thread. */
  async #exchangeAsync(
    batch: EncodedBatch<unknown>,
    onReply: OnReply | undefined,
  ): Promise<void> {
    const first = this.#number(batch);
    const datagram = batch.out.written();
    const transport = this.#transport;
    if (transport.sendAsync === undefined) transport.send(datagram);
    else await transport.sendAsync(datagram);
    new Answers(transport, batch, first, [], onReply).read();
  }

  /** Gives the messages their numbers, and returns the first. */
  #number(batch: EncodedBatch<unknown>): number {
    const first = this.#sequence;
    this.#sequence = (first + batch.starts.length) >>> 0;
    setSequence(batch, first);
    return first;
  }
}

/** Of all connections: what is encoded is sent before anything else happens, and each pod has a socket of its own for a moment. */
const OUT = new ByteWriter(4096);

/** Puts the replies to the one query of a batch into a list. */
function collector<R>(
  { replies: [codec] }: EncodedBatch<R>,
  into: R[],
): OnReply {
  return (from, { body, end }) => {
    if (codec !== undefined) into.push(codec.read(from, body, end));
  };
}

/** Whether what failed may be whole the next time. */
function isWorthRepeating(error: unknown): boolean {
  return error instanceof IncompleteReplyError &&
    (error.reason === "interrupted" || error.reason === "truncated");
}

/** What the group is told may have filled the socket, and an answer found no room: then it is asked again later. */
function isSoIfAnswered(isSo: () => boolean): boolean {
  try {
    return isSo();
  } catch (error) {
    const isLost = error instanceof IncompleteReplyError &&
      (error.reason === "overrun" || error.reason === "missing");
    if (isLost) return false;
    throw error;
  }
}

/** Where a reply is. */
interface Unread {
  readonly from: ByteWindow;
  readonly start: number;
  readonly end: number;
}

const unread: Codec<Unread> = {
  type: "unread",
  write: () => {
    throw new TypeError("it is only received");
  },
  read: (from, start, end) => ({ from, start, end }),
};

/** A table that changes during this many dumps in a row changes all the time. */
const DUMP_ATTEMPTS = 32;
