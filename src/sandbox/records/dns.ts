/**
 * The resolver's files for a pod, as text for the runtime to mount into its containers.
 * @module
 */

import { IpAddress } from "../../net/ip.ts";
import type { NormalisedDns, NormalisedSpec } from "../../spec/sandbox_spec.ts";

/** The names of the resolver's files. */
export const DNS_FILES = ["resolv.conf", "hosts"] as const;

/** Contents of the resolver's files. */
export interface DnsFiles {
  /** /etc/resolv.conf. */
  readonly resolvConf: string;
  /** /etc/hosts. */
  readonly hosts: string;
}

/** What a node's resolv.conf hands on to pods. */
export type Resolver = Required<
  Pick<NormalisedDns, "nameservers" | "searches" | "options">
>;

/** Nothing. */
export const NO_RESOLVER: Resolver = {
  nameservers: [],
  searches: [],
  options: [],
};

/**
 * Makes the resolver's files.
 * @param addresses the pod's addresses
 * @param node what the node's own resolv.conf says, for what the spec leaves out
 */
export function dnsFiles(
  spec: Pick<NormalisedSpec, "dns">,
  addresses: readonly string[],
  node: Resolver = NO_RESOLVER,
): DnsFiles {
  return {
    resolvConf: resolvConf(spec.dns, node),
    hosts: HOSTS + ownHosts(spec.dns, addresses),
  };
}

/** resolv.conf(5): what the spec says, and what the node's own says for what that leaves out. */
export function resolvConf(
  dns: Partial<Resolver>,
  node: Resolver,
): string {
  const searches = dns.searches ?? node.searches;
  const options = dns.options ?? node.options;
  return [
    ...(dns.nameservers ?? node.nameservers).map((ip) => `nameserver ${ip}\n`),
    ...searches.length > 0 ? [`search ${searches.join(" ")}\n`] : [],
    ...options.length > 0 ? [`options ${options.join(" ")}\n`] : [],
  ].join("");
}

/**
 * Reads resolv.conf(5): of several search lists the last counts, options add up.
 * A resolver on the node's loopback, such as systemd-resolved's 127.0.0.53, is out of a pod's reach: it is left out.
 */
export function readResolvConf(text: string): Resolver {
  const nameservers: string[] = [];
  let searches: string[] = [];
  const options: string[] = [];
  for (const line of text.split("\n")) {
    const [keyword, ...values] = line.trim().split(/\s+/);
    if (keyword === "nameserver" && values[0] !== undefined) {
      if (!isLoopback(values[0])) nameservers.push(values[0]);
    } else if (keyword === "search" || keyword === "domain") {
      searches = values;
    } else if (keyword === "options") {
      options.push(...values);
    }
  }
  return { nameservers, searches, options };
}

/** The node's file may hold anything, an address with a zone for one. */
function isLoopback(text: string): boolean {
  try {
    return IpAddress.parse(text).isLoopback;
  } catch (error) {
    if (error instanceof RangeError) return false;
    throw error;
  }
}

/** Whether the spec leaves all of resolv.conf to the node. */
export function isOfNode(
  { nameservers, searches, options }: Partial<Resolver>,
): boolean {
  return nameservers === undefined && searches === undefined &&
    options === undefined;
}

/** What follows {@linkcode HOSTS}: the pod under its own name, the aliases. */
export function ownHosts(
  dns: NormalisedDns,
  addresses: readonly string[],
): string {
  let text = "";
  for (const address of addresses) text += `${address}\t${dns.hostname}\n`;
  for (const { ip, hostnames } of dns.hostAliases) {
    text += `${ip}\t${hostnames.join(" ")}\n`;
  }
  return text;
}

/** How hosts(5) begins, as kubelet writes it. */
export const HOSTS = `127.0.0.1\tlocalhost
::1\tlocalhost ip6-localhost ip6-loopback
ff02::1\tip6-allnodes
ff02::2\tip6-allrouters
`;
