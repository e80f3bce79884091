/**
 * Netlink datagrams in and out: the seam at which tests put a fake kernel.
 *
 * @module
 */
import { Errno, isSyscallError } from "../../ffi/errno.ts";
import type { OwnedFd } from "../../ffi/fd.ts";
import { poll } from "../../ffi/poll.ts";
import {
  AF_NETLINK,
  connect,
  receive,
  send,
  sendAsync,
  setSocketOption,
  SO_RCVBUF,
  SO_RCVBUFFORCE,
  SO_SNDBUF,
  SO_SNDBUFFORCE,
  SOCK_RAW,
  socket,
  SOL_SOCKET,
} from "../../ffi/socket.ts";
import { keepShape } from "../shape.ts";
import { IncompleteReplyError } from "./netlink_error.ts";

const SOL_NETLINK = 270;
const NETLINK_ADD_MEMBERSHIP = 1;
const NETLINK_DROP_MEMBERSHIP = 2;
const NETLINK_CAP_ACK = 10;
const NETLINK_EXT_ACK = 11;
const NETLINK_GET_STRICT_CHK = 12;

/** Sends and receives whole datagrams. */
export interface Transport extends Disposable {
  /**
   * Sends one datagram of one or more messages. The kernel has done its work, and queued its answers, on return.
   *
   * @throws {SyscallError}
   */
  send(datagram: Uint8Array<ArrayBuffer>): void;
  /**
   * As {@linkcode Transport.send}, while the event loop goes on. Nothing may be sent or received meanwhile.
   *
   * @throws {SyscallError}
   */
  sendAsync?(datagram: Uint8Array<ArrayBuffer>): Promise<void>;
  /**
   * The next datagram, or `undefined` if none is there. The bytes are valid until the next call, also of another transport.
   *
   * @throws {IncompleteReplyError} if the datagram was longer than expected and is lost
   * @throws {SyscallError} ENOBUFS if datagrams before the next one are lost
   */
  receive(): Uint8Array<ArrayBuffer> | undefined;
  /**
   * Receives the multicasts of a group too, until what it returns is disposed.
   *
   * @throws {SyscallError}
   */
  hear?(group: number): Hearing;
}

/** What a multicast group is told is heard. */
export interface Hearing extends Disposable {
  /** Blocks the thread until there is something, which is dropped then, and for no longer than this. */
  wait(timeoutMs: number): void;
}

/**
 * A netlink socket. It belongs for ever to the network namespace that the thread was in when it was opened.
 */
export class SocketTransport implements Transport {
  readonly #fd: OwnedFd;

  private constructor(fd: OwnedFd) {
    this.#fd = fd;
  }

  /**
   * Opens a socket for a netlink protocol, such as `NETLINK_ROUTE`.
   *
   * @param isAlone whether nobody else is in the namespace, who could send to it: then it need not be connected, 5 µs
   * @throws {SyscallError}
   */
  static open(protocol: number, isAlone = false): SocketTransport {
    const fd = socket(AF_NETLINK, SOCK_RAW, protocol);
    try {
      // Errors carry text and place (since 4.12), without an echo of the request (4.3).
      setSocketOption(fd, SOL_NETLINK, NETLINK_EXT_ACK, 1);
      setSocketOption(fd, SOL_NETLINK, NETLINK_CAP_ACK, 1);
      // Dumps honour the filters they are given, and refuse those they cannot honour (4.20).
      setSocketOption(fd, SOL_NETLINK, NETLINK_GET_STRICT_CHK, 1);
      // A connected socket takes unicasts from the kernel only (netlink_getsockbyportid, net/netlink/af_netlink.c).
      if (!isAlone) connect(fd, KERNEL);
      return new SocketTransport(fd);
    } catch (error) {
      fd[Symbol.dispose]();
      throw error;
    }
  }

  /** The descriptor, for waiting on it; the transport keeps owning it. */
  get fd(): OwnedFd {
    return this.#fd;
  }

  /**
   * Receives the multicasts of a group from now on.
   *
   * @throws {SyscallError} EPERM if the protocol reserves its groups for CAP_NET_ADMIN
   */
  join(group: number): void {
    setSocketOption(this.#fd, SOL_NETLINK, NETLINK_ADD_MEMBERSHIP, group);
  }

  /** Receives the multicasts of a group for a while. */
  hear(group: number): Hearing {
    this.join(group);
    return new Membership(this.#fd, group);
  }

  /** Makes room for datagrams that are not received yet, in bytes of kernel memory. */
  growReceiveBuffer(bytes: number): void {
    // The kernel doubles the value (sk_setsockopt, net/core/sock.c).
    this.#grow(SO_RCVBUFFORCE, SO_RCVBUF, bytes >> 1);
  }

  /** Sends one datagram; grows the socket's buffers if it needs that. */
  send(datagram: Uint8Array<ArrayBuffer>): void {
    try {
      send(this.#fd, datagram);
    } catch (error) {
      if (!isSyscallError(error, Errno.EMSGSIZE)) throw error;
      this.#accept(datagram.length);
      send(this.#fd, datagram);
    }
  }

  /** Sends one datagram on another thread; one that fails is sent once more on this one, for the error. */
  async sendAsync(datagram: Uint8Array<ArrayBuffer>): Promise<void> {
    if (!await sendAsync(this.#fd, datagram)) this.send(datagram);
  }

  /** The next datagram, or `undefined`. */
  receive(): Uint8Array<ArrayBuffer> | undefined {
    const length = receive(this.#fd, buffer);
    if (length === undefined) return undefined;
    if (length > buffer.length) {
      const had = buffer.length;
      // The next one like it fits.
      buffer = new Uint8Array(length);
      throw new IncompleteReplyError(
        "truncated",
        `a datagram of ${length} bytes did not fit ${had}`,
      );
    }
    if (received.length !== length || received.buffer !== buffer.buffer) {
      received = buffer.subarray(0, length);
    }
    return received;
  }

  /** Closes the socket. */
  [Symbol.dispose](): void {
    this.#fd[Symbol.dispose]();
  }

  /** The kernel refuses a datagram larger than the send buffer with EMSGSIZE (netlink_sendmsg). */
  #accept(bytes: number): void {
    // The kernel doubles the value, and takes its own overhead from it.
    const size = Math.min(
      Math.max(bytes + SEND_OVERHEAD_BYTES, USUAL_BYTES),
      MAX_INT32 >> 1,
    );
    this.#grow(SO_SNDBUFFORCE, SO_SNDBUF, size);
    // A failing batch is answered with one datagram a message.
    this.#grow(SO_RCVBUFFORCE, SO_RCVBUF, size);
  }

  #grow(force: number, capped: number, bytes: number): void {
    try {
      setSocketOption(this.#fd, SOL_SOCKET, force, bytes);
    } catch (error) {
      if (!isSyscallError(error, Errno.EPERM)) throw error;
      setSocketOption(this.#fd, SOL_SOCKET, capped, bytes);
    }
  }
}

/** Of a socket that has joined a group. */
class Membership implements Hearing {
  readonly #fd: OwnedFd;
  readonly #group: number;

  constructor(fd: OwnedFd, group: number) {
    this.#fd = fd;
    this.#group = group;
  }

  wait(timeoutMs: number): void {
    if (poll([this.#fd], timeoutMs)[0]) this.#drain();
  }

  [Symbol.dispose](): void {
    setSocketOption(
      this.#fd,
      SOL_NETLINK,
      NETLINK_DROP_MEMBERSHIP,
      this.#group,
    );
    this.#drain();
  }

  #drain(): void {
    try {
      while (receive(this.#fd, buffer) !== undefined);
    } catch (error) {
      // There were more than it has room for.
      if (!isSyscallError(error, Errno.ENOBUFS)) throw error;
    }
  }
}

keepShape(new Membership(undefined as never, 0));

/**
 * Dumps come in datagrams as large as what was received into before, of 32 KiB at most (netlink_dump): of each the kernel
 * allocates all, though most answers are short. With its own data this makes 8 KiB, and 2 µs less a question than with 32.
 */
const FIRST_BUFFER_BYTES = 8192 - 320;
/** Of all sockets: what is received is read before anything else happens, and each pod has a socket of its own for a moment. */
let buffer: Uint8Array<ArrayBuffer> = new Uint8Array(FIRST_BUFFER_BYTES);
/** Most answers are as long as the one before. */
let received = buffer;
const SEND_OVERHEAD_BYTES = 4096;
/** What a socket has by default (net.core.rmem_default), so that no buffer becomes smaller. */
const USUAL_BYTES = 212_992;
const MAX_INT32 = 0x7fffffff;
/** Family, pad, port, groups: all zero but the family means the kernel. */
const KERNEL = new Uint8Array(12);
KERNEL[0] = AF_NETLINK;
