/**
 * Sockets that wait for packets of others (sock_diag(7)).
 *
 * @module
 */
import { IpAddress, type IpFamily } from "../net/ip.ts";
import type { Connection } from "../netlink/connection.ts";
import { HOST_LITTLE_ENDIAN } from "../netlink/bytes.ts";
import type { Infer } from "../netlink/codec.ts";
import { NLM_F_DUMP } from "../netlink/message.ts";
import { Template } from "../netlink/template.ts";
import {
  SOCK_DIAG_BY_FAMILY,
  socketMessage,
  socketRequest,
  TCPDIAG_GETSOCK,
  tcpRequest,
} from "./tables.ts";

/** A TCP socket that listens, or a UDP socket that is bound and not connected. */
export interface ListeningSocket {
  /** `0.0.0.0` or `::` for all addresses; an IPv6 socket that is bound to one of IPv4 has it as `::ffff:10.0.0.1`. */
  readonly address: IpAddress;
  readonly port: number;
  /** Whether an IPv6 socket leaves IPv4 to others; one on `::` that does not takes packets of both. */
  readonly v6Only: boolean;
  /** As in `/proc/<pid>/fd`: `socket:[inode]`. */
  readonly inode: number;
  /** User id of the owner. */
  readonly uid: number;
}

/** Which sockets {@linkcode listListeners} looks for. */
export interface ListenerQuery {
  /** Not SCTP: asking for it makes the kernel load its module. */
  readonly protocol: "tcp" | "udp";
  /** 6 is IPv6 sockets, among them those that take IPv4 too. */
  readonly family: IpFamily;
  /**
   * Only those on this port.
   * @default those on all ports
   */
  readonly port?: number;
  /**
   * Only those on ports from `port` to this one.
   * @default port
   */
  readonly lastPort?: number;
}

const AF = { 4: 2, 6: 10 } as const;
const PROTOCOL = { tcp: 6, udp: 17 } as const;

/** Bits of socket states (net/tcp_states.h): TCP_LISTEN, and TCP_CLOSE, the state of an unconnected UDP socket. */
const STATES = { tcp: 1 << 10, udp: 1 << 7 } as const;

/**
 * The sockets that wait in the network namespace of the connection. The kernel compares the port.
 * @param connection of the protocol NETLINK_SOCK_DIAG
 * @throws {NetlinkError} when the kernel refuses, ENOENT when it has no statistics of this protocol
 */
export function listListeners(
  connection: Connection,
  query: ListenerQuery,
): readonly ListeningSocket[] {
  const { protocol, family } = query;
  return connection.dump({
    operation: `list ${protocol} listeners${onPorts(query)}`,
    type: SOCK_DIAG_BY_FAMILY,
    flags: 0,
    codec: socketRequest,
    value: {
      header: {
        family: AF[family],
        protocol: PROTOCOL[protocol],
        states: STATES[protocol],
        ...NO_COOKIE,
      },
      attrs: portFilter(query),
    },
    reply: socketMessage,
  }).map(toSocket);
}

/**
 * The TCP sockets of both families that wait, by the older request, which does not tell families apart: the kernel looks
 * through all of its places for listeners once and not twice, 15 µs.
 * @param connection of the protocol NETLINK_SOCK_DIAG
 * @throws {NetlinkError} when the kernel refuses
 */
export function listTcpListeners(
  connection: Connection,
  ports: PortQuery = {},
): readonly ListeningSocket[] {
  const { bytecode } = portFilter(ports);
  const question = TCP.with(bytecode === undefined ? [] : [bytecode]);
  return connection.dumpBatch(question).map(toSocket);
}

/** INET_DIAG_NOCOOKIE. */
const NO_COOKIE = { cookie0: 0xffffffff, cookie1: 0xffffffff } as const;

/** Asked before each pod with host ports. */
const TCP = new Template(([bytecode]: readonly Uint8Array[]) => ({
  queries: [{
    operation: "list tcp listeners",
    type: TCPDIAG_GETSOCK,
    flags: 0,
    codec: tcpRequest,
    value: {
      header: { states: STATES.tcp, ...NO_COOKIE },
      attrs: bytecode === undefined ? {} : { bytecode },
    },
    reply: socketMessage,
  }],
}), NLM_F_DUMP);

type PortQuery = Pick<ListenerQuery, "port" | "lastPort">;

function onPorts({ port, lastPort = port }: PortQuery): string {
  if (port === undefined) return "";
  return port === lastPort
    ? ` on port ${port}`
    : ` on ports ${port} to ${lastPort}`;
}

function portFilter(
  { port, lastPort = port }: PortQuery,
): { bytecode?: Uint8Array } {
  if (port === undefined || lastPort === undefined) return {};
  putPorts(port, lastPort);
  return { bytecode: PROGRAM };
}

function toSocket(
  { header, attrs }: Infer<typeof socketMessage>,
): ListeningSocket {
  return {
    address: addressOf(header.family === AF[4] ? 4 : 6, [
      header.source0,
      header.source1,
      header.source2,
      header.source3,
    ]),
    port: header.sourcePort ?? 0,
    v6Only: attrs.skv6only === 1,
    inode: header.inode ?? 0,
    uid: header.uid ?? 0,
  };
}

/** Codes of instructions that compare the source port: it is at least, at most, the number in the slot after it. */
const INET_DIAG_BC_S_GE = 2;
const INET_DIAG_BC_S_LE = 3;
/** `struct inet_diag_bc_op`: u8 code, u8 yes, u16 no; and the slot, of the same form, with the port in `no`. */
const COMPARISON_BYTES = 8;
const PROGRAM_BYTES = 2 * COMPARISON_BYTES;

/**
 * A filter program of two comparisons, whose ports are put in before it is sent. `yes` leads to the next instruction, and at
 * last to the end of the program, which accepts; `no` leads 4 bytes beyond that, which rejects (net/ipv4/inet_diag.c,
 * inet_diag_bc_run).
 */
const PROGRAM = new Uint8Array([
  ...[INET_DIAG_BC_S_GE, COMPARISON_BYTES, ...u16(PROGRAM_BYTES + 4)],
  ...[0, 0, 0, 0],
  ...[INET_DIAG_BC_S_LE, COMPARISON_BYTES, ...u16(COMPARISON_BYTES + 4)],
  ...[0, 0, 0, 0],
]);

const PORTS = new DataView(PROGRAM.buffer);

function putPorts(first: number, last: number): void {
  putPort(COMPARISON_BYTES - 2, first);
  putPort(2 * COMPARISON_BYTES - 2, last);
}

function putPort(at: number, port: number): void {
  if (!Number.isInteger(port) || port < 0 || port > 0xffff) {
    throw new RangeError(`${port} is not a port`);
  }
  PORTS.setUint16(at, port, HOST_LITTLE_ENDIAN);
}

/** In host order. */
function u16(value: number): [number, number] {
  const [low, high] = [value & 0xff, value >> 8];
  return HOST_LITTLE_ENDIAN ? [low, high] : [high, low];
}

function addressOf(
  family: IpFamily,
  words: readonly (number | undefined)[],
): IpAddress {
  const bytes = new Uint8Array(
    new Uint32Array(words.map((w) => w ?? 0)).buffer,
  );
  return IpAddress.fromBytes(family === 4 ? bytes.subarray(0, 4) : bytes);
}
