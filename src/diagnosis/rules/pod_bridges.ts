/**
 * Bridges that pods have interfaces on, where rules of IP see what crosses them (br_netfilter).
 *
 * @module
 */
import type { IpFamily } from "../../net/ip.ts";
import { isPort } from "../../sandbox/records/identity.ts";
import type { LinkFacts, NetworkFacts } from "../facts/network.ts";

const SYSCTLS = {
  4: "net.bridge.bridge-nf-call-iptables",
  6: "net.bridge.bridge-nf-call-ip6tables",
} as const;

/** What crosses a bridge passes the rules of these IP versions, too: each with the sysctl that says so. */
export function bridgeFiltering(
  { sysctls }: Pick<NetworkFacts, "sysctls">,
): { readonly family: IpFamily; readonly sysctl: string }[] {
  return ([4, 6] as const).map((family) => ({
    family,
    sysctl: SYSCTLS[family],
  })).filter(({ sysctl }) => sysctls[sysctl] === "1");
}

/** Bridges that have ports of pods. */
export function podBridges(
  { links }: Pick<NetworkFacts, "links">,
): LinkFacts[] {
  const masters = new Set(
    links.filter(({ name }) => isPort(name)).map(({ master }) => master),
  );
  return links.filter(({ index, kind }) =>
    kind === "bridge" && masters.has(index)
  );
}
