/**
 * Sockets and processes inside a network namespace, used from outside.
 *
 * A socket belongs to the namespace it was made in, for good. So each function enters the namespace for the one call
 * that makes the socket or forks the process; all that follows happens in the program's own event loop.
 * @module
 */
import { type Problem, SandboxError } from "../errors.ts";
import { IpAddress } from "../net/ip.ts";
import type { NetworkNamespace } from "./network_namespace.ts";

/** Options of {@linkcode listen}. */
export interface PodListenOptions {
  /** TCP port, or 0 for one that is free. */
  readonly port: number;
  /**
   * Address to listen on, as an IP literal.
   * @default every address, of both families; an IPv4 client then shows as `::ffff:192.0.2.1`
   */
  readonly hostname?: string;
}

/** Options of {@linkcode serve}: those of `Deno.serve`, whose host name is an IP literal here. */
export interface PodServeOptions
  extends PodListenOptions, Omit<Deno.ServeTcpOptions, "port" | "hostname"> {
}

/** Options of {@linkcode connect}. */
export interface PodConnectOptions {
  /** IP literal to connect to: a name would be looked up outside the namespace. */
  readonly hostname: string;
  /** TCP port. */
  readonly port: number;
}

/**
 * Listens for TCP connections inside the namespace.
 *
 * @throws {SandboxError} InvalidSpec, NotPermitted
 * @throws {Deno.errors.AddrInUse} if the port is taken inside
 */
export function listen(
  namespace: NetworkNamespace,
  options: PodListenOptions,
): Deno.TcpListener {
  const { port, hostname } = options;
  validate({ hostname, port, lowestPort: 0 });
  return namespace.run(() =>
    onHostname(hostname, (hostname) => Deno.listen({ port, hostname }))
  );
}

/**
 * Serves HTTP inside the namespace; the handler runs in this program, outside.
 *
 * Prints nothing, unlike `Deno.serve`, unless `onListen` does.
 *
 * @throws {SandboxError} InvalidSpec, NotPermitted
 * @throws {Deno.errors.AddrInUse} if the port is taken inside
 */
export function serve(
  namespace: NetworkNamespace,
  options: PodServeOptions,
  handler: Deno.ServeHandler<Deno.NetAddr>,
): Deno.HttpServer<Deno.NetAddr> {
  const { port, hostname } = options;
  validate({ hostname, port, lowestPort: 0 });
  const onListen = options.onListen ?? (() => {});
  return namespace.run(() =>
    onHostname(
      hostname,
      (hostname) =>
        Deno.serve({ ...options, port, hostname, onListen }, handler),
    )
  );
}

/**
 * Connects to a TCP port from inside the namespace.
 *
 * @returns rejects with the errors of `Deno.connect`, such as ConnectionRefused
 * @throws {SandboxError} InvalidSpec if `hostname` is no IP literal; NotPermitted
 */
export async function connect(
  namespace: NetworkNamespace,
  options: PodConnectOptions,
): Promise<Deno.TcpConn> {
  const { port, hostname } = options;
  validate({ hostname, port, lowestPort: 1 });
  // With an IP literal the socket is made before Deno.connect returns, which is what the namespace is needed for. The
  // promise itself is awaited outside, and is in an object since `run` refuses one.
  const { connecting } = namespace.run(() => ({
    connecting: Deno.connect({ hostname, port }),
  }));
  return await connecting;
}

/**
 * Starts a process inside the namespace: it is born there, and so are its children. Nothing else of it is isolated.
 *
 * `/sys` still shows the network devices of the namespace it was mounted in.
 *
 * @throws {SandboxError} NotPermitted
 * @throws {Deno.errors.NotFound} if there is no such command
 */
export function spawn(
  namespace: NetworkNamespace,
  command: string | URL,
  options: Deno.CommandOptions = {},
): Deno.ChildProcess {
  const child = new Deno.Command(command, options);
  return namespace.run(() => child.spawn());
}

/** Both families on one socket where the kernel has IPv6. */
const EVERY_ADDRESS = ["::", "0.0.0.0"] as const;

function onHostname<T>(
  hostname: string | undefined,
  open: (hostname: string) => T,
): T {
  if (hostname !== undefined) return open(hostname);
  const [both, ipv4] = EVERY_ADDRESS;
  try {
    return open(both);
  } catch (error) {
    if (error instanceof Deno.errors.AddrInUse) throw error;
    return open(ipv4);
  }
}

function validate(
  { hostname, port, lowestPort }: {
    readonly hostname: string | undefined;
    readonly port: number;
    readonly lowestPort: number;
  },
): void {
  const problems: Problem[] = [];
  if (!Number.isInteger(port) || port < lowestPort || port > 65535) {
    problems.push({
      path: "port",
      message: `write a whole number from ${lowestPort} to 65535`,
      received: port,
    });
  }
  if (hostname !== undefined && !isIpLiteral(hostname)) {
    problems.push({
      path: "hostname",
      message: "write an IP address: a name would be looked up outside the pod",
      received: hostname,
    });
  }
  if (problems.length > 0) throw new SandboxError("InvalidSpec", { problems });
}

function isIpLiteral(text: string): boolean {
  try {
    IpAddress.parse(text);
    return true;
  } catch {
    return false;
  }
}
