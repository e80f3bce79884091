/**
 * Limits of the machine that many pods can meet.
 *
 * @module
 */
import type { NetworkNamespace } from "../../namespace/network_namespace.ts";
import type { Connection } from "../../netlink/connection.ts";
import { dumpNeighbours } from "../../rtnetlink/neighbour.ts";
import { readIfPresent, readNumber, type Witness } from "./witness.ts";

/** Limits, and how much of them is used. What this kernel does not tell is missing. */
export interface LimitFacts {
  /** Network namespaces that one user may have (user.max_net_namespaces). */
  readonly maxNetworkNamespaces?: number;
  /** Mounts in one mount namespace (fs.mount-max). */
  readonly maxMounts?: number;
  /** Mounts in this mount namespace. */
  readonly mounts?: number;
  /** Connections that are tracked at most, by the whole machine (net.netfilter.nf_conntrack_max). */
  readonly maxTrackedConnections?: number;
  /** Connections that the node tracks. */
  readonly trackedConnections?: number;
  /** Neighbours that are not permanent, at most, by IP version (gc_thresh3). */
  readonly maxNeighbours: Readonly<Partial<Record<4 | 6, number>>>;
  /** Neighbours of the node that are not permanent, by IP version. */
  readonly neighbours: Readonly<Partial<Record<4 | 6, number>>>;
  /** Largest buffers that sockets may ask for, in bytes (net.core.rmem_max, wmem_max). */
  readonly maxReceiveBuffer?: number;
  /** As {@linkcode LimitFacts.maxReceiveBuffer}, for what is sent. */
  readonly maxSendBuffer?: number;
  /** Ports that the node's own clients use (net.ipv4.ip_local_port_range). */
  readonly localPorts?: readonly [first: number, last: number];
  /** Ports that processes without privileges may use begin here (net.ipv4.ip_unprivileged_port_start). */
  readonly unprivilegedPortStart?: number;
}

/** Looks. */
export function limitFacts(
  witness: Witness,
  namespace: NetworkNamespace,
  route: Connection | undefined,
): LimitFacts {
  const inside = (name: string) =>
    witness.see(
      `sysctl ${name.replaceAll("/", ".")}`,
      () => namespace.run(() => readIfPresent(`/proc/sys/${name}`)),
    );
  const number = (name: string) => {
    const text = inside(name);
    return text === undefined ? undefined : Number(text);
  };
  const neighbours = (family: 4 | 6) =>
    route === undefined ? undefined : witness.see(
      `IPv${family} neighbours`,
      () =>
        route.dump(dumpNeighbours({ family }))
          .filter(({ permanent }) => !permanent).length,
    );
  const mounts = witness.see(
    "mounts",
    () => readIfPresent("/proc/thread-self/mountinfo")?.split("\n").length,
  );
  const [first, last] = (inside("net/ipv4/ip_local_port_range") ?? "")
    .split(/\s+/).map(Number);
  const machine = (name: string) =>
    witness.see(`sysctl ${name}`, () => readNumber(`/proc/sys/${name}`));
  return defined({
    maxNetworkNamespaces: machine("user/max_net_namespaces"),
    maxMounts: machine("fs/mount-max"),
    mounts,
    maxTrackedConnections: number("net/netfilter/nf_conntrack_max"),
    trackedConnections: number("net/netfilter/nf_conntrack_count"),
    maxNeighbours: defined({
      4: machine("net/ipv4/neigh/default/gc_thresh3"),
      6: machine("net/ipv6/neigh/default/gc_thresh3"),
    }),
    neighbours: defined({ 4: neighbours(4), 6: neighbours(6) }),
    maxReceiveBuffer: machine("net/core/rmem_max"),
    maxSendBuffer: machine("net/core/wmem_max"),
    localPorts: first && last ? [first, last] as const : undefined,
    unprivilegedPortStart: number("net/ipv4/ip_unprivileged_port_start"),
  });
}

/** An object without its undefined fields. */
type Defined<T> =
  & { readonly [K in keyof T as undefined extends T[K] ? never : K]: T[K] }
  & {
    readonly [K in keyof T as undefined extends T[K] ? K : never]?: Exclude<
      T[K],
      undefined
    >;
  };

function defined<T extends object>(value: T): Defined<T> {
  return Object.fromEntries(
    Object.entries(value).filter(([, field]) => field !== undefined),
  ) as Defined<T>;
}
