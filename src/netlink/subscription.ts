/**
 * What the kernel multicasts, as an asynchronous sequence.
 *
 * @module
 */
import { Errno, isSyscallError } from "../../ffi/errno.ts";
import { pollAsync } from "../../ffi/poll.ts";
import { ByteWindow } from "./bytes.ts";
import { type Codec, CodecError } from "./codec.ts";
import { type Message, readMessages } from "./message.ts";
import { IncompleteReplyError } from "./netlink_error.ts";
import { SocketTransport } from "./transport.ts";

/** One message that the kernel has multicast. */
export interface Notification<T> {
  /** Nothing is missing before this message. */
  readonly overflow: false;
  /** Message type, such as RTM_NEWLINK. */
  readonly type: number;
  /** The body. */
  readonly value: T;
}

/** Messages are lost: what was derived from earlier ones has to be read anew. */
export interface Overflow {
  /** The socket's receive buffer was full, or a message could not be read. */
  readonly overflow: true;
  /** Why the message could not be read. */
  readonly cause?: CodecError;
}

/** Options of {@linkcode Subscription.open}. */
export interface SubscriptionOptions<T> {
  /** Netlink protocol, such as NETLINK_ROUTE. */
  readonly protocol: number;
  /** Multicast groups, such as RTNLGRP_LINK. */
  readonly groups: readonly number[];
  /** How the body of each message type is read; other types, and bodies read as `undefined`, are passed over. */
  readonly codecs: ReadonlyMap<number, Codec<T | undefined>>;
  /**
   * Room for notifications that are not consumed yet, in bytes of kernel memory; a link takes 4 KiB. Without
   * CAP_NET_ADMIN capped at net.core.rmem_max.
   * @default 4 MiB
   */
  readonly receiveBufferBytes?: number;
  /** Closes the subscription when it is aborted; whoever asks for notifications gets its reason then. */
  readonly signal?: AbortSignal;
}

/**
 * The notifications of some multicast groups, from the moment of opening, for one consumer.
 *
 * Waiting keeps the process alive until the subscription is closed; leaving a `for await` closes it.
 */
export class Subscription<T>
  implements
    AsyncIterableIterator<Notification<T> | Overflow>,
    AsyncDisposable {
  readonly #transport: SocketTransport;
  /** Ends the wait under way. */
  readonly #ending = new AbortController();
  readonly #codecs: ReadonlyMap<number, Codec<T | undefined>>;
  readonly #queue: (Notification<T> | Overflow)[] = [];
  /** The wait under way, which has to end before the socket is closed. */
  #waiting: Promise<unknown> | undefined;
  #closing: Promise<void> | undefined;
  /** What has closed it, if it was that. */
  #abortedBy: AbortSignal | undefined;

  private constructor(
    transport: SocketTransport,
    codecs: ReadonlyMap<number, Codec<T | undefined>>,
  ) {
    this.#transport = transport;
    this.#codecs = codecs;
  }

  /**
   * Subscribes, in the network namespace that the thread is in; the subscription stays with that namespace.
   *
   * @throws {SyscallError}
   */
  static open<T>(options: SubscriptionOptions<T>): Subscription<T> {
    using owned = new DisposableStack();
    const transport = owned.use(SocketTransport.open(options.protocol));
    transport.growReceiveBuffer(options.receiveBufferBytes ?? 4 << 20);
    for (const group of options.groups) transport.join(group);
    owned.move();
    const subscription = new Subscription(transport, options.codecs);
    const { signal } = options;
    signal?.addEventListener("abort", () => {
      subscription.#abortedBy = signal;
      void subscription.close();
    }, { signal: subscription.#ending.signal });
    return subscription;
  }

  /**
   * The next notification; waits for it without blocking the event loop. Done when the subscription is closed.
   *
   * @throws {SyscallError}
   * @throws the reason of the signal that has closed it
   */
  async next(): Promise<IteratorResult<Notification<T> | Overflow, undefined>> {
    while (this.#closing === undefined) {
      const event = this.#queue.shift();
      if (event !== undefined) return { done: false, value: event };
      if (this.#receive()) continue;
      // Calls that overlap share one wait.
      await (this.#waiting ??= this.#wait());
    }
    this.#abortedBy?.throwIfAborted();
    return { done: true, value: undefined };
  }

  /** Closes the subscription when a `for await` is left. */
  async return(): Promise<
    IteratorResult<Notification<T> | Overflow, undefined>
  > {
    await this.close();
    return { done: true, value: undefined };
  }

  /** The subscription itself. */
  [Symbol.asyncIterator](): this {
    return this;
  }

  /** Ends a pending wait at once, and closes the socket; notifications not consumed yet are dropped. */
  close(): Promise<void> {
    return this.#closing ??= this.#close();
  }

  /** Closes the subscription. */
  [Symbol.asyncDispose](): Promise<void> {
    return this.close();
  }

  async #close(): Promise<void> {
    using _transport = this.#transport;
    this.#ending.abort();
    // Another thread polls the socket until then: its number must not be given to another file.
    await this.#waiting;
  }

  async #wait(): Promise<void> {
    try {
      await pollAsync([this.#transport.fd], -1, this.#ending.signal);
    } finally {
      this.#waiting = undefined;
    }
  }

  /** Queues what one datagram holds; false if none is there. */
  #receive(): boolean {
    try {
      const datagram = this.#transport.receive();
      if (datagram === undefined) return false;
      // Values may be views, and the transport reuses its buffer.
      const from = new ByteWindow(datagram.slice());
      for (const message of readMessages(from)) this.#push(from, message);
    } catch (error) {
      if (error instanceof CodecError) {
        this.#queue.push({ overflow: true, cause: error });
      } else if (
        error instanceof IncompleteReplyError ||
        isSyscallError(error, Errno.ENOBUFS)
      ) {
        this.#queue.push({ overflow: true });
      } else {
        throw error;
      }
    }
    return true;
  }

  #push(from: ByteWindow, { type, body, end }: Message): void {
    const value = this.#codecs.get(type)?.read(from, body, end);
    if (value === undefined) return;
    this.#queue.push({ overflow: false, type, value });
  }
}
