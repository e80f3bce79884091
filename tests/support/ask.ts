/**
 * Questions over TCP and UDP, and who answered them: what a test of reachability asks.
 *
 * @module
 */
import { Errno, isSyscallError } from "../../ffi/errno.ts";
import type { NetworkNamespace } from "../../src/namespace/network_namespace.ts";
import {
  type Endpoint,
  type Family,
  familyOf,
  firstReadable,
  formatEndpoint,
  isRefusal,
  TestSocket,
  TIMEOUT_MS,
} from "./sockets.ts";

/** A transport protocol with sockets on every kernel. */
export type Transport = "tcp" | "udp";

/** Both of them. */
export const TRANSPORTS: readonly Transport[] = ["tcp", "udp"];

/** Both families. */
export const FAMILIES: readonly Family[] = [4, 6];

/** Somebody who answers by name. */
export interface Server extends Disposable {
  readonly name: string;
  readonly transport: Transport;
  readonly socket: TestSocket;
}

/** Where a server waits. */
export interface ServerOptions {
  readonly transport: Transport;
  readonly address: string;
  readonly port: number;
  /** For `::`: whether it leaves IPv4 to others. */
  readonly v6Only?: boolean;
}

/** Waits for questions, which {@linkcode ask} has answered. */
export function serve(
  name: string,
  namespace: NetworkNamespace,
  { transport, address, port, v6Only = true }: ServerOptions,
): Server {
  const socket = TestSocket.open(namespace, {
    kind: transport,
    family: familyOf(address),
    local: { address, port },
    v6Only,
  });
  if (transport === "tcp") socket.listen();
  return {
    name,
    transport,
    socket,
    [Symbol.dispose]: () => socket[Symbol.dispose](),
  };
}

/** Who answered, and whom that server saw. */
export interface Answer {
  /** The server's name. */
  readonly server: string;
  /** The client's address, as the server sees it. */
  readonly client: string;
  /** The server's own address and port, as its socket tells it. */
  readonly at: string;
}

/** How a question is asked. */
export interface AskOptions {
  /** The client's own address and port. */
  readonly local?: Partial<Endpoint>;
  /** Bytes of the question, and of the answer. */
  readonly size?: number;
  /** How long to wait before the question counts as unanswered. */
  readonly timeoutMs?: number;
}

/** What became of a question. `refused`: the other side said that nobody is there. */
export type Outcome = Answer | "refused" | "unanswered";

/**
 * Asks `to` from inside `namespace`; whichever of the servers gets the question answers it.
 *
 * @throws {Error} when somebody else answers, or the bytes are not those that were sent
 */
export function ask(
  transport: Transport,
  namespace: NetworkNamespace,
  to: Endpoint,
  servers: readonly Server[],
  options: AskOptions = {},
): Outcome {
  using client = TestSocket.open(namespace, {
    kind: transport,
    family: familyOf(to.address),
    ...options.local === undefined ? {} : { local: options.local },
  });
  try {
    client.connect(to, options.timeoutMs);
  } catch (error) {
    if (isRefusal(error)) return "refused";
    if (isSyscallError(error, Errno.EINPROGRESS)) return "unanswered";
    throw error;
  }
  const mine = servers.filter((server) => server.transport === transport);
  return transport === "tcp"
    ? exchangeOverTcp(client, to, mine, options)
    : exchangeOverUdp(client, mine, options);
}

/** Whom a server at an address of `to` sees, or what became of the question: over TCP and UDP. */
export function seen(
  from: NetworkNamespace,
  to: NetworkNamespace,
  address: string,
  local?: string,
): string[] {
  return TRANSPORTS.map((transport) => {
    using server = serve("x", to, { transport, address, port: 7000 });
    const outcome = ask(transport, from, { address, port: 7000 }, [server], {
      ...(local === undefined ? {} : { local: { address: local } }),
    });
    return typeof outcome === "object" ? outcome.client : outcome;
  });
}

/** Asks over a connected UDP socket, which takes an answer only from where it asked. */
export function exchangeOverUdp(
  client: TestSocket,
  servers: readonly Server[],
  { size = 64, timeoutMs = TIMEOUT_MS }: AskOptions = {},
): Outcome {
  const question = randomBytes(size);
  try {
    client.send(question);
    const sockets = servers.map(({ socket }) => socket);
    const socket = firstReadable([...sockets, client], timeoutMs);
    const server = servers.find((s) => s.socket === socket);
    if (server === undefined) {
      if (client.receive(0) === undefined) return "unanswered";
      throw new Error("somebody else answered");
    }
    const received = server.socket.receive();
    if (received === undefined) throw new Error("the question is gone");
    assertSame(received.data, question);
    const answer = randomBytes(size);
    server.socket.send(answer, received.from);
    assertSame(client.receiveExactly(size), answer);
    return {
      server: server.name,
      client: received.from.address,
      at: formatEndpoint(server.socket.local),
    };
  } catch (error) {
    if (isRefusal(error)) return "refused";
    throw error;
  }
}

function exchangeOverTcp(
  client: TestSocket,
  to: Endpoint,
  servers: readonly Server[],
  { size = 64 }: AskOptions,
): Outcome {
  const readable = firstReadable(servers.map((s) => s.socket), TIMEOUT_MS);
  const server = servers.find((s) => s.socket === readable);
  if (server === undefined) {
    throw new Error(`somebody else answered on ${formatEndpoint(to)}`);
  }
  const { socket, peer } = server.socket.accept();
  using accepted = socket;
  for (
    const [from, into] of [[client, accepted], [accepted, client]] as const
  ) {
    const sent = randomBytes(size);
    from.send(sent);
    assertSame(into.receiveExactly(size), sent);
  }
  return {
    server: server.name,
    client: peer.address,
    at: formatEndpoint(accepted.local),
  };
}

function randomBytes(size: number): Uint8Array<ArrayBuffer> {
  return crypto.getRandomValues(new Uint8Array(size));
}

function assertSame(received: Uint8Array, sent: Uint8Array): void {
  if (received.toBase64() !== sent.toBase64()) {
    throw new Error("other bytes arrived than were sent");
  }
}
