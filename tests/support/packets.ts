/**
 * Packets made by hand and put on a link, past every check of the sender's kernel, and raw sockets that see what arrives.
 *
 * @module
 */
import type { OwnedFd } from "../../ffi/fd.ts";
import { bind, send, SOCK_RAW, socket } from "../../ffi/socket.ts";
import type { NetworkNamespace } from "../../src/namespace/network_namespace.ts";
import type { MacAddress } from "../../src/net/mac.ts";
import {
  type Bytes,
  ipFrame,
  ipPacket,
  PROTOCOL,
  tcpSyn,
  udp,
} from "./frames.ts";
import { type Endpoint, TestSocket } from "./sockets.ts";

const AF_PACKET = 17;
const SIZE_OF_SOCKADDR_LL = 20;

/** An interface that frames are put on as they are (packet(7)). */
export class Wire implements Disposable {
  readonly #fd: OwnedFd;

  /** @param index of the interface */
  constructor(namespace: NetworkNamespace, index: number) {
    // Protocol 0 receives nothing.
    this.#fd = namespace.run(() => socket(AF_PACKET, SOCK_RAW, 0));
    const address = new Uint8Array(SIZE_OF_SOCKADDR_LL);
    const view = new DataView(address.buffer);
    view.setUint16(0, AF_PACKET, true);
    view.setInt32(4, index, true);
    bind(this.#fd, address);
  }

  /** Sends a frame. */
  send(frame: Bytes): void {
    send(this.#fd, frame);
  }

  /** Closes the socket. */
  [Symbol.dispose](): void {
    this.#fd[Symbol.dispose]();
  }
}

/** A packet that claims to be from anybody. */
export interface CraftedPacket {
  readonly transport: "tcp" | "udp";
  readonly from: Endpoint;
  readonly to: Endpoint;
}

/** An interface, and the one machine that is reached by it. */
export class CraftingLink implements Disposable {
  readonly #wire: Wire;
  readonly #nextHop: MacAddress;

  /**
   * @param index of the interface
   * @param nextHop whom the frames are for
   */
  constructor(namespace: NetworkNamespace, index: number, nextHop: MacAddress) {
    this.#wire = new Wire(namespace, index);
    this.#nextHop = nextHop;
  }

  /** Sends a UDP datagram, or a TCP segment that opens a connection. */
  send({ transport, from, to }: CraftedPacket): void {
    const flow = { from, to };
    const packet = ipPacket({
      from: from.address,
      to: to.address,
      protocol: PROTOCOL[transport],
      payload: transport === "tcp" ? tcpSyn(flow) : udp(flow, new Uint8Array()),
    });
    this.#wire.send(ipFrame(packet, { to: this.#nextHop }));
  }

  /** Closes the socket. */
  [Symbol.dispose](): void {
    this.#wire[Symbol.dispose]();
  }
}

/** Sees the TCP and UDP packets that a machine takes for its own (raw(7)), whether or not somebody listens. */
export class Sniffer implements Disposable {
  readonly #sockets: readonly TestSocket[];

  constructor(namespace: NetworkNamespace) {
    this.#sockets = ([4, 6] as const).flatMap((family) =>
      [PROTOCOL.tcp, PROTOCOL.udp].map((raw) =>
        TestSocket.open(namespace, { kind: { raw }, family })
      )
    );
  }

  /** The source ports of what has arrived since the last call; those of masqueraded packets are not the sender's. */
  takeSourcePorts(): number[] {
    return this.#take(0);
  }

  /** The destination ports of what has arrived since the last call. */
  takeDestinationPorts(): number[] {
    return this.#take(2);
  }

  /** Numbers of 16 bits that are so many bytes after the beginning of the segments. */
  #take(offset: number): number[] {
    const ports: number[] = [];
    for (const socket of this.#sockets) {
      for (let next = socket.receive(0); next; next = socket.receive(0)) {
        const { data } = next;
        const header = socket.family === 4 ? ((data[0] ?? 0) & 0xf) * 4 : 0;
        const at = header + offset;
        ports.push(((data[at] ?? 0) << 8) | (data[at + 1] ?? 0));
      }
    }
    return ports;
  }

  /** Closes the sockets. */
  [Symbol.dispose](): void {
    for (const socket of this.#sockets) socket[Symbol.dispose]();
  }
}
