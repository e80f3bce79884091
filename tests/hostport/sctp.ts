/**
 * The first two packets of an SCTP association (RFC 9260), over raw sockets: no kernel with SCTP is needed.
 *
 * @module
 */
import type { NetworkNamespace } from "../../src/namespace/network_namespace.ts";
import {
  type Endpoint,
  type Family,
  familyOf,
  TestSocket,
  TIMEOUT_MS,
} from "../support/sockets.ts";

const IPPROTO_SCTP = 132;
const INIT = 1;
const INIT_ACK = 2;
const COMMON_HEADER_BYTES = 12;
const CHUNK_BYTES = 20;

/** A packet with one INIT or INIT-ACK chunk. */
interface Packet {
  readonly sourcePort: number;
  readonly destinationPort: number;
  readonly verificationTag: number;
  readonly chunk: number;
  readonly initiateTag: number;
}

/** Who answered an INIT, and whom the server saw. */
export interface Association {
  /** The server's name. */
  readonly server: string;
  /** The client's address, as the server sees it. */
  readonly client: string;
  /** The port that the server was asked on. */
  readonly port: number;
}

/** Who answers INITs, on any port. */
export interface SctpServer {
  readonly name: string;
  readonly namespace: NetworkNamespace;
}

/**
 * Sends an INIT from inside `namespace`, lets the server answer it, and receives the INIT-ACK. Checks CRC32c of both.
 *
 * @returns undefined when the INIT does not reach the server
 */
export function associate(
  namespace: NetworkNamespace,
  to: Endpoint,
  server: SctpServer,
  options: { readonly timeoutMs?: number } = {},
): Association | undefined {
  const family = familyOf(to.address);
  const kind = { raw: IPPROTO_SCTP };
  using listener = TestSocket.open(server.namespace, { kind, family });
  using client = TestSocket.open(namespace, { kind, family });
  client.connect({ address: to.address, port: 0 });
  const [port = 0, clientTag = 0, serverTag = 0] = crypto.getRandomValues(
    new Uint32Array(3),
  );
  const sourcePort = 1024 + port % 60000;
  client.send(encode({
    sourcePort,
    destinationPort: to.port,
    verificationTag: 0,
    chunk: INIT,
    initiateTag: clientTag,
  }));
  const init = receive(
    listener,
    family,
    ({ chunk, initiateTag }) => chunk === INIT && initiateTag === clientTag,
    options.timeoutMs,
  );
  if (init === undefined) return undefined;
  listener.send(
    encode({
      sourcePort: init.packet.destinationPort,
      destinationPort: init.packet.sourcePort,
      verificationTag: init.packet.initiateTag,
      chunk: INIT_ACK,
      initiateTag: serverTag,
    }),
    { address: init.from, port: 0 },
  );
  // A connected raw socket takes packets from where it sent to, and from nobody else.
  const answer = receive(
    client,
    family,
    (packet) =>
      packet.chunk === INIT_ACK &&
      packet.sourcePort === to.port &&
      packet.destinationPort === sourcePort &&
      packet.verificationTag === clientTag &&
      packet.initiateTag === serverTag,
  );
  if (answer === undefined) throw new Error("no INIT-ACK came back");
  return {
    server: server.name,
    client: init.from,
    port: init.packet.destinationPort,
  };
}

/** The next packet that is the expected one; others are none of our business. */
function receive(
  socket: TestSocket,
  family: Family,
  isExpected: (packet: Packet) => boolean,
  timeoutMs: number = TIMEOUT_MS,
): { readonly packet: Packet; readonly from: string } | undefined {
  for (;;) {
    const received = socket.receive(timeoutMs);
    if (received === undefined) return undefined;
    const { data, from } = received;
    const headerBytes = family === 4 ? ((data[0] ?? 0) & 0xf) * 4 : 0;
    const packet = decode(data.slice(headerBytes));
    if (packet !== undefined && isExpected(packet)) {
      return { packet, from: from.address };
    }
  }
}

function encode(packet: Packet): Uint8Array<ArrayBuffer> {
  const bytes = new Uint8Array(COMMON_HEADER_BYTES + CHUNK_BYTES);
  const view = new DataView(bytes.buffer);
  view.setUint16(0, packet.sourcePort);
  view.setUint16(2, packet.destinationPort);
  view.setUint32(4, packet.verificationTag);
  view.setUint8(12, packet.chunk);
  view.setUint16(14, CHUNK_BYTES);
  view.setUint32(16, packet.initiateTag);
  view.setUint32(20, 65536); // receiver window
  view.setUint16(24, 1); // outbound streams
  view.setUint16(26, 1); // inbound streams
  view.setUint32(28, packet.initiateTag); // first sequence number
  // RFC 9260, appendix A: the one field in the order of little-endian machines.
  view.setUint32(8, crc32c(bytes), true);
  return bytes;
}

function decode(bytes: Uint8Array<ArrayBuffer>): Packet | undefined {
  if (bytes.length !== COMMON_HEADER_BYTES + CHUNK_BYTES) return undefined;
  const view = new DataView(bytes.buffer);
  const checksum = view.getUint32(8, true);
  view.setUint32(8, 0);
  const right = crc32c(bytes);
  if (checksum !== right) {
    throw new Error(
      `CRC32c is ${checksum.toString(16)}, not ${right.toString(16)}`,
    );
  }
  return {
    sourcePort: view.getUint16(0),
    destinationPort: view.getUint16(2),
    verificationTag: view.getUint32(4),
    chunk: view.getUint8(12),
    initiateTag: view.getUint32(16),
  };
}

/** CRC-32C, the Castagnoli polynomial, reflected. */
export function crc32c(bytes: Uint8Array): number {
  let crc = 0xffffffff;
  for (const byte of bytes) {
    crc ^= byte;
    for (let bit = 0; bit < 8; bit++) {
      crc = (crc >>> 1) ^ ((crc & 1) === 0 ? 0 : 0x82f63b78);
    }
  }
  return (crc ^ 0xffffffff) >>> 0;
}
