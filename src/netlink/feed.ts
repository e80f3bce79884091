/**
 * Multicasts looked at as they are, without decoding: for those who only want to know what to look at again.
 *
 * @module
 */
import { Errno, isSyscallError } from "../../ffi/errno.ts";
import type { OwnedFd } from "../../ffi/fd.ts";
import { MessageReceiver } from "../../ffi/message.ts";
import { setSocketOption } from "../../ffi/socket.ts";
import { ByteWindow } from "./bytes.ts";
import { CodecError } from "./codec.ts";
import { type Message, readMessages } from "./message.ts";
import { SocketTransport } from "./transport.ts";

const SOL_NETLINK = 270;
const NETLINK_LISTEN_ALL_NSID = 8;
/** What is multicast is one object a datagram, and far smaller. */
const DATAGRAM_BYTES = 64 * 1024;

/** Options of {@linkcode Feed.open}. */
export interface FeedOptions {
  /** Netlink protocol, such as NETLINK_ROUTE. */
  readonly protocol: number;
  /** Multicast groups, such as RTNLGRP_LINK. */
  readonly groups: readonly number[];
  /**
   * Also from the namespaces that this one has a number for, as it has for every peer of its veth links
   * (NETLINK_LISTEN_ALL_NSID, netlink(7)); those of other users need CAP_NET_BROADCAST there.
   * @default false
   */
  readonly peerNamespaces?: boolean;
  /** Room for what is not drained yet, in bytes of kernel memory. */
  readonly receiveBufferBytes: number;
}

/** One message of a {@linkcode Feed}, valid until the visit is over. */
export interface Glance extends Message {
  /** The bytes that `body` and `end` point into. */
  readonly from: ByteWindow;
  /** The namespace it comes from, as the socket's own numbers it; undefined for its own. */
  readonly namespaceId: number | undefined;
}

/** The messages of some multicast groups, from the moment of opening. */
export class Feed implements Disposable {
  readonly #transport: SocketTransport;
  readonly #receiver = new MessageReceiver(DATAGRAM_BYTES);

  private constructor(transport: SocketTransport) {
    this.#transport = transport;
  }

  /**
   * Subscribes, in the network namespace that the thread is in; the feed stays with that namespace.
   *
   * @throws {SyscallError}
   */
  static open(options: FeedOptions): Feed {
    using owned = new DisposableStack();
    const transport = owned.use(SocketTransport.open(options.protocol));
    transport.growReceiveBuffer(options.receiveBufferBytes);
    if (options.peerNamespaces) {
      setSocketOption(transport.fd, SOL_NETLINK, NETLINK_LISTEN_ALL_NSID, 1);
    }
    for (const group of options.groups) transport.join(group);
    owned.move();
    return new Feed(transport);
  }

  /** For waiting on it; the feed keeps owning it. */
  get fd(): OwnedFd {
    return this.#transport.fd;
  }

  /**
   * Shows all messages that are there, without waiting.
   *
   * @returns false when messages were lost: anything may have happened
   * @throws {SyscallError}
   */
  drain(visit: (glance: Glance) => void): boolean {
    let isWhole = true;
    for (;;) {
      try {
        const received = this.#receiver.receive(this.#transport.fd);
        if (received === undefined) return isWhole;
        const { datagram, ancillary } = received;
        const namespaceId = ancillary?.level === SOL_NETLINK &&
            ancillary.type === NETLINK_LISTEN_ALL_NSID
          ? ancillary.value
          : undefined;
        const from = new ByteWindow(datagram);
        for (const message of readMessages(from)) {
          visit({ ...message, from, namespaceId });
        }
      } catch (error) {
        if (
          !(error instanceof CodecError) &&
          !isSyscallError(error, Errno.ENOBUFS)
        ) throw error;
        isWhole = false;
      }
    }
  }

  /** Unsubscribes. */
  [Symbol.dispose](): void {
    this.#transport[Symbol.dispose]();
  }
}
