/**
 * IPv4 and IPv6 sockets of any network namespace, used synchronously from this thread: the kernel carries packets of a
 * lab from one namespace to the other by itself, so that a test needs no processes, no event loop and no sleeps.
 *
 * @module
 */
import { check, Errno, isSyscallError } from "../../ffi/errno.ts";
import type { OwnedFd } from "../../ffi/fd.ts";
import { libc } from "../../ffi/libc.ts";
import { poll } from "../../ffi/poll.ts";
import {
  AF_INET,
  AF_INET6,
  bind,
  connect,
  getSocketName,
  send,
  setSocketOption,
  SOCK_DGRAM,
  SOCK_RAW,
  SOCK_STREAM,
  socket,
  SOL_SOCKET,
} from "../../ffi/socket.ts";
import { OwnedFd as Descriptor } from "../../ffi/fd.ts";
import type { NetworkNamespace } from "../../src/namespace/network_namespace.ts";
import { IpAddress } from "../../src/net/ip.ts";

// At module level, so that no test is blamed for opening it.
const { symbols: c } = Deno.dlopen("libc.so.6", {
  // int listen(int fd, int backlog);
  listen: { parameters: ["i32", "i32"], result: "i32" },
  // int accept4(int fd, struct sockaddr *address, socklen_t *length, int flags);
  accept4: { parameters: ["i32", "buffer", "buffer", "i32"], result: "i32" },
  // ssize_t sendto(int fd, const void *buffer, size_t size, int flags, const struct sockaddr *to, socklen_t length);
  sendto: {
    parameters: ["i32", "buffer", "usize", "i32", "buffer", "u32"],
    result: "i32",
  },
  // ssize_t recvfrom(int fd, void *buffer, size_t size, int flags, struct sockaddr *from, socklen_t *length);
  recvfrom: {
    parameters: ["i32", "buffer", "usize", "i32", "buffer", "buffer"],
    result: "i32",
  },
});

const IPPROTO_IPV6 = 41;
const IPV6_V6ONLY = 26;
const SO_REUSEADDR = 2;
const SO_SNDTIMEO = 21;
const SOCK_CLOEXEC = 0o2000000;
const MSG_DONTWAIT = 0x40;
const MSG_NOSIGNAL = 0x4000;
const SIZE_OF_SOCKADDR_IN6 = 28;

/** Nothing waits for longer: packets of a lab are on no wire. */
export const TIMEOUT_MS = 20_000;

/** Version of IP. */
export type Family = 4 | 6;

/** An IP address and a port. */
export interface Endpoint {
  readonly address: string;
  readonly port: number;
}

/** As people write it: `192.0.2.1:80`, `[2001:db8::1]:80`. */
export function formatEndpoint({ address, port }: Endpoint): string {
  return address.includes(":") ? `[${address}]:${port}` : `${address}:${port}`;
}

/** The version of an IP address in text. */
export function familyOf(address: string): Family {
  return IpAddress.parse(address).family;
}

/** `struct sockaddr_in` or `struct sockaddr_in6`. */
function sockaddr({ address, port }: Endpoint): Uint8Array<ArrayBuffer> {
  const ip = IpAddress.parse(address);
  const bytes = new Uint8Array(ip.family === 4 ? 16 : SIZE_OF_SOCKADDR_IN6);
  const view = new DataView(bytes.buffer);
  view.setUint16(0, ip.family === 4 ? AF_INET : AF_INET6, true);
  view.setUint16(2, port);
  bytes.set(ip.bytes, ip.family === 4 ? 4 : 8);
  return bytes;
}

/** An IPv4 client of an IPv6 socket is shown as what it is. */
function endpoint(bytes: Uint8Array<ArrayBuffer>): Endpoint {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.length);
  const ip = IpAddress.fromBytes(
    view.getUint16(0, true) === AF_INET
      ? bytes.slice(4, 8)
      : bytes.slice(8, 24),
  );
  return {
    address: ip.isIpv4Mapped
      ? String(IpAddress.fromBytes(ip.bytes.slice(12)))
      : String(ip),
    port: view.getUint16(2),
  };
}

/** What a socket is to be. */
export interface SocketOptions {
  /** `{ raw }` is a raw socket of that IP protocol: an IPv4 one receives packets with their IP header. */
  readonly kind: "tcp" | "udp" | { readonly raw: number };
  readonly family: Family;
  /** The socket's own address; missing parts are for the kernel to choose. */
  readonly local?: Partial<Endpoint>;
  /**
   * Whether an IPv6 socket leaves IPv4 to others.
   * @default true
   */
  readonly v6Only?: boolean;
}

/** A datagram and where it came from. */
export interface Datagram {
  readonly data: Uint8Array<ArrayBuffer>;
  readonly from: Endpoint;
}

/** A socket. Nothing waits for longer than {@linkcode TIMEOUT_MS}. */
export class TestSocket implements Disposable {
  readonly fd: OwnedFd;
  readonly family: Family;

  private constructor(fd: OwnedFd, family: Family) {
    this.fd = fd;
    this.family = family;
  }

  /** Makes one inside `namespace`, where it stays. */
  static open(
    namespace: NetworkNamespace,
    { kind, family, local, v6Only = true }: SocketOptions,
  ): TestSocket {
    const domain = family === 4 ? AF_INET : AF_INET6;
    const fd = namespace.run(() =>
      typeof kind === "object"
        ? socket(domain, SOCK_RAW, kind.raw)
        : socket(domain, kind === "tcp" ? SOCK_STREAM : SOCK_DGRAM, 0)
    );
    try {
      if (family === 6 && typeof kind === "string") {
        setSocketOption(fd, IPPROTO_IPV6, IPV6_V6ONLY, v6Only ? 1 : 0);
      }
      setSocketOption(fd, SOL_SOCKET, SO_REUSEADDR, 1);
      if (local !== undefined) {
        const any = family === 4 ? "0.0.0.0" : "::";
        bind(fd, sockaddr({ address: any, port: 0, ...local }));
      }
      return new TestSocket(fd, family);
    } catch (error) {
      fd[Symbol.dispose]();
      throw error;
    }
  }

  /** The socket's own address and port. */
  get local(): Endpoint {
    return endpoint(getSocketName(this.fd));
  }

  /**
   * Connects; for TCP, waits until the other side has taken or refused it.
   *
   * @throws {SyscallError} ECONNREFUSED; EINPROGRESS when nobody answers in time
   */
  connect(to: Endpoint, timeoutMs: number = TIMEOUT_MS): void {
    // struct timeval { long tv_sec; long tv_usec; }
    const timeval = new BigInt64Array([
      BigInt(Math.floor(timeoutMs / 1000)),
      BigInt(timeoutMs % 1000 * 1000),
    ]);
    setSocketOption(
      this.fd,
      SOL_SOCKET,
      SO_SNDTIMEO,
      new Uint8Array(timeval.buffer),
    );
    connect(this.fd, sockaddr(to));
  }

  /** Lets TCP clients in. */
  listen(): void {
    check("listen", c.listen(this.fd.fd, 64), libc().errno[0]);
  }

  /** Takes the next TCP client that is there. */
  accept(): { readonly socket: TestSocket; readonly peer: Endpoint } {
    const address = new Uint8Array(SIZE_OF_SOCKADDR_IN6);
    const length = new Uint32Array([address.length]);
    const fd = check(
      "accept4",
      c.accept4(this.fd.fd, address, length, SOCK_CLOEXEC),
      libc().errno[0],
    );
    return {
      socket: new TestSocket(new Descriptor(fd), this.family),
      peer: endpoint(address),
    };
  }

  /** Sends to the peer, or as a datagram to `to`. */
  send(data: Uint8Array<ArrayBuffer>, to?: Endpoint): void {
    if (to === undefined) {
      send(this.fd, data);
      return;
    }
    const address = sockaddr(to);
    const size = BigInt(data.length);
    check(
      "sendto",
      c.sendto(
        this.fd.fd,
        data,
        size,
        MSG_NOSIGNAL,
        address,
        address.length,
      ),
      libc().errno[0],
    );
  }

  /**
   * What is there to receive, or what comes in time; undefined when nothing does. Zero bytes are the end of a TCP stream.
   *
   * @throws {SyscallError} ECONNREFUSED, ECONNRESET
   */
  receive(timeoutMs: number = TIMEOUT_MS): Datagram | undefined {
    poll([this.fd], timeoutMs);
    const buffer = new Uint8Array(65536);
    const address = new Uint8Array(SIZE_OF_SOCKADDR_IN6);
    const length = new Uint32Array([address.length]);
    const result = c.recvfrom(
      this.fd.fd,
      buffer,
      BigInt(buffer.length),
      MSG_DONTWAIT,
      address,
      length,
    );
    const errno = result < 0 ? libc().errno[0] : 0;
    if (errno === Errno.EAGAIN) return undefined;
    check("recvfrom", result, errno);
    // A TCP stream has no sender but its peer.
    const from = length[0] === 0
      ? { address: "0.0.0.0", port: 0 }
      : endpoint(address);
    return { data: buffer.slice(0, result), from };
  }

  /** Exactly `size` bytes of a TCP stream, or a datagram that must be this long. */
  receiveExactly(size: number): Uint8Array<ArrayBuffer> {
    const data = new Uint8Array(size);
    for (let at = 0; at < size;) {
      const part = this.receive();
      if (part === undefined) throw new Error(`${size - at} bytes are missing`);
      if (part.data.length === 0 || part.data.length > size - at) {
        throw new Error(`got ${part.data.length} of ${size - at} bytes`);
      }
      data.set(part.data, at);
      at += part.data.length;
    }
    return data;
  }

  /** Closes it. */
  [Symbol.dispose](): void {
    this.fd[Symbol.dispose]();
  }
}

/** The first of the sockets that has something to receive. */
export function firstReadable(
  sockets: readonly TestSocket[],
  timeoutMs: number,
): TestSocket | undefined {
  return sockets[
    poll(sockets.map(({ fd }) => fd), timeoutMs).indexOf(true)
  ];
}

/** Whether an error is a refusal: a reset, or an ICMP message that says that nobody listens. */
export function isRefusal(error: unknown): boolean {
  return isSyscallError(error, Errno.ECONNREFUSED);
}
