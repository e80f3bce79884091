/**
 * Programs run inside a network namespace, to read back what podnet did and to meddle with it.
 *
 * @module
 */
import type { NetworkNamespace } from "../../src/namespace/network_namespace.ts";

/**
 * Runs shell commands, such as `ip link set eth0 down`, to their end, and returns what they printed.
 *
 * @throws {Error} when one fails
 */
export function command(namespace: NetworkNamespace, line: string): string {
  const { success, stdout, stderr } = namespace.run(() =>
    new Deno.Command("sh", { args: ["-ec", line], stdin: "null" }).outputSync()
  );
  const decoder = new TextDecoder();
  if (success) return decoder.decode(stdout);
  throw new Error(`${line}: ${decoder.decode(stderr)}`);
}

/** What `ip -j` tells of an address. */
export interface IpAddressInfo {
  readonly family: "inet" | "inet6";
  readonly local: string;
  readonly prefixlen: number;
  /** Only while the kernel has not finished its checks. */
  readonly tentative?: boolean;
}

/** What `ip -j addr` tells of a link. */
export interface IpLink {
  readonly ifname: string;
  readonly flags: readonly string[];
  readonly mtu: number;
  readonly address: string;
  /** Only where the other end is in another namespace. */
  readonly link_netnsid?: number;
  readonly addr_info: readonly IpAddressInfo[];
}

/** What `ip -j route` tells of a route. */
export interface IpRoute {
  readonly dst: string;
  /** Missing where the kernel answers itself. */
  readonly dev?: string;
  readonly gateway?: string;
  readonly prefsrc?: string;
}

/** Links with their addresses: `ip -j addr show` and what follows. */
export function ipLinks(namespace: NetworkNamespace, which = ""): IpLink[] {
  return ipJson(namespace, `ip -j addr show ${which}`);
}

/** Routes of one family: `ip -j route show` and what follows. */
export function ipRoutes(
  namespace: NetworkNamespace,
  family: 4 | 6,
  which = "",
): IpRoute[] {
  return ipJson(namespace, `ip -j -${family} route show ${which}`);
}

/** ip(8) prints nothing at all for an empty list of some kinds. */
function ipJson<T>(namespace: NetworkNamespace, line: string): T[] {
  return JSON.parse(command(namespace, line) || "[]");
}
