/**
 * Rules of others that replace addresses of pods' packets, or catch what is for host ports.
 *
 * @module
 */
import type { Facts } from "../facts/facts.ts";
import type { HostPortFacts } from "../facts/node_facts.ts";
import { walk } from "../walk/walk.ts";
import { foreignBaseChains, nameOf, sees } from "./filters.ts";
import { type DiagnosisFinding, finding } from "./finding.ts";
import { packetsBetweenPods, packetsToHostPort } from "./traffic.ts";

type Given = Pick<
  Facts,
  "network" | "podCidrs" | "ruleset" | "node" | "listeners"
>;

/** Judges NAT of others, and processes that have host ports. */
export function translationFindings(given: Given): DiagnosisFinding[] {
  return [
    ...caughtPorts(given),
    ...replacedSources(given),
    ...listeningProcesses(given),
    ...flowtables(given),
  ];
}

const PROTOCOLS = { tcp: 6, udp: 17, sctp: 132 } as const;

/** Of so many ports it is looked whether somebody catches them; more cost too much time. */
const MAX_PORTS = 64;

/** podnet leads packets to pods here; the first chain that replaces the destination wins. */
const OWN_PRIORITY = -100;

function caughtPorts(given: Given): DiagnosisFinding[] {
  const ports = (given.node?.hostPorts ?? []).slice(0, MAX_PORTS);
  return foreignBaseChains(given.ruleset).flatMap(({ table, chain }) => {
    const { hook, type, priority } = chain.hook;
    if (
      type !== "nat" || hook !== "prerouting" || priority > OWN_PRIORITY
    ) return [];
    const caught = ports.filter((port) =>
      given.podCidrs.some((cidr) =>
        packetsToHostPort(given, cidr, PROTOCOLS[port.protocol], port.port)
          .some((packet) =>
            sees(table, packet) &&
            walk(table, chain, packet).destinationTranslations
              .some(({ certain }) => certain)
          )
      )
    );
    if (caught.length === 0) return [];
    return [finding(
      "warning",
      "host-port-caught",
      `chain ${nameOf(table, chain)}`,
      `leads host port ${
        caught.map(describePort).join(", ")
      } elsewhere, at priority ${priority}: the pod does not get what comes in there`,
      `find the rule with nft -a list chain ${
        nameOf(table, chain)
      } and delete it, or give the pod another host port`,
    )];
  });
}

function describePort({ protocol, port, sandbox }: HostPortFacts): string {
  return `${port}/${protocol} of ${sandbox}`;
}

function replacedSources(given: Given): DiagnosisFinding[] {
  return foreignBaseChains(given.ruleset).flatMap(({ table, chain }) => {
    const { hook, type } = chain.hook;
    if (type !== "nat" || hook !== "postrouting") return [];
    const places = packetsBetweenPods(given)
      .filter((packet) => sees(table, packet))
      .flatMap((packet) => walk(table, chain, packet).sourceTranslations)
      .filter(({ certain }) => certain);
    const [first] = places;
    if (first === undefined) return [];
    return [finding(
      "warning",
      "pod-source-replaced",
      `chain ${nameOf(table, chain)}`,
      `the rule with handle ${first.place.handle} of chain ${first.place.chain} replaces the source of connections between pods: a pod does not see who calls`,
      given.podCidrs.map((cidr) =>
        `nft insert rule ${nameOf(table, chain)} ${
          cidr.family === 4 ? "ip" : "ip6"
        } daddr ${cidr} accept`
      ).filter((_, i) => {
        const [cidr] = given.podCidrs.slice(i);
        return table.family === "inet" ||
          table.family === (cidr?.family === 4 ? "ip" : "ip6");
      }).join("; "),
    )];
  });
}

/** The socket was there first, or its owner did not mind: podnet refuses a port that a socket has. */
function listeningProcesses({ node, listeners }: Given): DiagnosisFinding[] {
  return (node?.hostPorts ?? []).flatMap((port) => {
    const listener = listeners.find((
      { protocol, address, port: number, keptFor },
    ) =>
      protocol === port.protocol && number === port.port &&
      // A runtime keeps the port for this pod.
      (keptFor === undefined || keptFor !== port.containerID) &&
      (port.address === undefined || address.isUnspecified ||
        String(address) === port.address)
    );
    if (listener === undefined) return [];
    const { protocol, uid } = listener;
    return [finding(
      "warning",
      "host-port-has-listener",
      `host port ${describePort(port)}`,
      `a process of user ${uid} listens on it too, and gets nothing: the pod does`,
      `ss -Hlnp --${protocol} sport = :${port.port} tells which; give it, or the pod, another port`,
    )];
  });
}

function flowtables({ ruleset }: Given): DiagnosisFinding[] {
  return (ruleset ?? []).flatMap((table) =>
    table.flowtables.map((name) =>
      finding(
        "note",
        "flowtable",
        `flowtable ${table.family} ${table.name} ${name}`,
        "established connections that rules put into it pass no rule any more: changes of rules reach new connections only",
        "nothing, unless rules seem to be ignored",
      )
    )
  );
}
