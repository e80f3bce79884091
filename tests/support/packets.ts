/**
 * Packets made by hand and put on a link, past every check of the sender's kernel, and raw sockets that see what arrives.
 *
 * @module
 */
import type { OwnedFd } from "../../ffi/fd.ts";
import { bind, send, SOCK_RAW, socket } from "../../ffi/socket.ts";
import type { NetworkNamespace } from "../../src/namespace/network_namespace.ts";
import { IpAddress } from "../../src/net/ip.ts";
import { MacAddress } from "../../src/net/mac.ts";
import { type Endpoint, type Family, TestSocket } from "./sockets.ts";

const AF_PACKET = 17;
const ETHERTYPE = { 4: 0x0800, 6: 0x86dd } as const;
const IP_PROTOCOL = { tcp: 6, udp: 17 } as const;
const ETHERNET_BYTES = 14;
const SIZE_OF_SOCKADDR_LL = 20;

/** A packet that claims to be from anybody. */
export interface CraftedPacket {
  readonly transport: "tcp" | "udp";
  readonly from: Endpoint;
  readonly to: Endpoint;
}

/** An interface that frames are sent on as they are (packet(7)). */
export class CraftingLink implements Disposable {
  readonly #fd: OwnedFd;
  readonly #nextHop: MacAddress;

  /**
   * @param index of the interface
   * @param nextHop whom the frames are for
   */
  constructor(namespace: NetworkNamespace, index: number, nextHop: MacAddress) {
    // Protocol 0 receives nothing.
    this.#fd = namespace.run(() => socket(AF_PACKET, SOCK_RAW, 0));
    this.#nextHop = nextHop;
    const address = new Uint8Array(SIZE_OF_SOCKADDR_LL);
    const view = new DataView(address.buffer);
    view.setUint16(0, AF_PACKET, true);
    view.setInt32(4, index, true);
    bind(this.#fd, address);
  }

  /** Sends a UDP datagram, or a TCP segment that opens a connection. */
  send(packet: CraftedPacket): void {
    const [ip, family] = ipPacket(packet);
    const frame = new Uint8Array(ETHERNET_BYTES + ip.length);
    frame.set(this.#nextHop.bytes, 0);
    frame.set(MacAddress.parse("02:00:00:00:00:99").bytes, 6);
    new DataView(frame.buffer).setUint16(12, ETHERTYPE[family]);
    frame.set(ip, ETHERNET_BYTES);
    send(this.#fd, frame);
  }

  /** Closes the socket. */
  [Symbol.dispose](): void {
    this.#fd[Symbol.dispose]();
  }
}

function ipPacket(
  { transport, from, to }: CraftedPacket,
): [Uint8Array<ArrayBuffer>, Family] {
  const source = IpAddress.parse(from.address);
  const destination = IpAddress.parse(to.address);
  const segment = transportHeader(transport, from.port, to.port);
  const length = segment.length;
  const protocol = IP_PROTOCOL[transport];
  const pseudo = new Uint8Array([
    ...source.bytes,
    ...destination.bytes,
    0,
    protocol,
    length >> 8,
    length & 0xff,
    ...segment,
  ]);
  new DataView(segment.buffer).setUint16(
    transport === "tcp" ? 16 : 6,
    internetChecksum(pseudo),
  );
  const { family } = destination;
  const header = new Uint8Array(family === 4 ? 20 : 40);
  const view = new DataView(header.buffer);
  if (family === 4) {
    view.setUint8(0, 0x45);
    view.setUint16(2, header.length + length);
    view.setUint8(8, 64);
    view.setUint8(9, protocol);
    header.set(source.bytes, 12);
    header.set(destination.bytes, 16);
    view.setUint16(10, internetChecksum(header));
  } else {
    view.setUint8(0, 0x60);
    view.setUint16(4, length);
    view.setUint8(6, protocol);
    view.setUint8(7, 64);
    header.set(source.bytes, 8);
    header.set(destination.bytes, 24);
  }
  return [new Uint8Array([...header, ...segment]), family];
}

/** A UDP header, or that of a TCP segment with SYN. */
function transportHeader(
  transport: "tcp" | "udp",
  from: number,
  to: number,
): Uint8Array<ArrayBuffer> {
  const bytes = new Uint8Array(transport === "tcp" ? 20 : 8);
  const view = new DataView(bytes.buffer);
  view.setUint16(0, from);
  view.setUint16(2, to);
  if (transport === "udp") {
    view.setUint16(4, bytes.length);
  } else {
    view.setUint32(4, 1000); // sequence number
    view.setUint8(12, 5 << 4); // header length in words
    view.setUint8(13, 0x02); // SYN
    view.setUint16(14, 65535); // window
  }
  return bytes;
}

/** RFC 1071. */
function internetChecksum(bytes: Uint8Array): number {
  let sum = 0;
  for (let i = 0; i < bytes.length; i += 2) {
    sum += ((bytes[i] ?? 0) << 8) | (bytes[i + 1] ?? 0);
  }
  while (sum > 0xffff) sum = (sum & 0xffff) + (sum >>> 16);
  return ~sum & 0xffff;
}

/** Sees the TCP and UDP packets that a machine takes for its own (raw(7)), whether or not somebody listens. */
export class Sniffer implements Disposable {
  readonly #sockets: readonly TestSocket[];

  constructor(namespace: NetworkNamespace) {
    this.#sockets = ([4, 6] as const).flatMap((family) =>
      [IP_PROTOCOL.tcp, IP_PROTOCOL.udp].map((raw) =>
        TestSocket.open(namespace, { kind: { raw }, family })
      )
    );
  }

  /** The source ports of what has arrived since the last call. */
  takeSourcePorts(): number[] {
    const ports: number[] = [];
    for (const socket of this.#sockets) {
      for (let next = socket.receive(0); next; next = socket.receive(0)) {
        const { data } = next;
        const header = socket.family === 4 ? ((data[0] ?? 0) & 0xf) * 4 : 0;
        ports.push(((data[header] ?? 0) << 8) | (data[header + 1] ?? 0));
      }
    }
    return ports;
  }

  /** Closes the sockets. */
  [Symbol.dispose](): void {
    for (const socket of this.#sockets) socket[Symbol.dispose]();
  }
}
