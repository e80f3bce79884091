/**
 * Datagrams with what the kernel tells beside them.
 * @module
 */
import { addressOf } from "./buffer.ts";
import { check, Errno } from "./errno.ts";
import type { OwnedFd } from "./fd.ts";
import { libc } from "./libc.ts";

/** A datagram and what came with it; the bytes are valid until the next one is received. */
export interface ReceivedMessage {
  readonly datagram: Uint8Array<ArrayBuffer>;
  /** Of the datagram in bytes: if that is more than the buffer holds, the rest is lost. */
  readonly length: number;
  /** The first piece of ancillary data (cmsg(3)), if there is one. */
  readonly ancillary?: {
    readonly level: number;
    readonly type: number;
    /** Its first four bytes, as a C `int`. */
    readonly value: number;
  };
}

// struct msghdr { void *name; socklen_t namelen; struct iovec *iov; size_t iovlen; void *control; size_t controllen; int flags; }
const SIZE_OF_MSGHDR = 56;
const MSG_IOV = 16;
const MSG_IOVLEN = 24;
const MSG_CONTROL = 32;
const MSG_CONTROLLEN = 40;
const SIZE_OF_IOVEC = 16;
/** `struct cmsghdr`: size_t length, int level, int type. */
const SIZE_OF_CMSGHDR = 16;
const CONTROL_BYTES = 64;
const MSG_DONTWAIT = 0x40;
const MSG_TRUNC = 0x20;

/** Buffers for receiving messages one after the other (recvmsg(2)). */
export class MessageReceiver {
  readonly #datagram: Uint8Array<ArrayBuffer>;
  readonly #control = new Uint8Array(CONTROL_BYTES);
  readonly #iovec = new Uint8Array(SIZE_OF_IOVEC);
  readonly #header = new Uint8Array(SIZE_OF_MSGHDR);
  readonly #view = new DataView(this.#header.buffer);
  readonly #ancillary = new DataView(this.#control.buffer);

  /** Makes buffers for datagrams of up to `bytes`. */
  constructor(bytes: number) {
    this.#datagram = new Uint8Array(bytes);
    const iovec = new DataView(this.#iovec.buffer);
    iovec.setBigUint64(0, addressOf(this.#datagram), true);
    iovec.setBigUint64(8, BigInt(bytes), true);
    this.#view.setBigUint64(MSG_IOV, addressOf(this.#iovec), true);
    this.#view.setBigUint64(MSG_IOVLEN, 1n, true);
    this.#view.setBigUint64(MSG_CONTROL, addressOf(this.#control), true);
  }

  /**
   * Receives what is there, without waiting. Retries when a signal interrupts.
   *
   * @returns `undefined` when nothing is there
   * @throws {SyscallError}
   */
  receive(fd: OwnedFd): ReceivedMessage | undefined {
    const number = fd.fd;
    const c = libc();
    for (;;) {
      this.#view.setBigUint64(MSG_CONTROLLEN, BigInt(CONTROL_BYTES), true);
      const result = libc().recvmsg(
        number,
        this.#header,
        MSG_DONTWAIT | MSG_TRUNC,
      );
      const errno = result < 0 ? c.errno[0] : 0;
      if (errno === Errno.EAGAIN) return undefined;
      if (errno === Errno.EINTR) continue;
      const length = check("recvmsg", result, errno);
      return {
        datagram: this.#datagram.subarray(0, length),
        length,
        ...this.#firstAncillary(),
      };
    }
  }

  #firstAncillary(): Pick<ReceivedMessage, "ancillary"> {
    const bytes = this.#view.getUint32(MSG_CONTROLLEN, true);
    if (bytes < SIZE_OF_CMSGHDR + 4) return {};
    return {
      ancillary: {
        level: this.#ancillary.getInt32(8, true),
        type: this.#ancillary.getInt32(12, true),
        value: this.#ancillary.getInt32(SIZE_OF_CMSGHDR, true),
      },
    };
  }
}
