/**
 * The packets that pods live by, and at which hooks they pass the rules of others.
 *
 * @module
 */
import type { Cidr } from "../../net/cidr.ts";
import type { Facts } from "../facts/facts.ts";
import type { LinkFacts } from "../facts/network.ts";
import type { IpHook } from "../facts/ruleset.ts";
import type { LinkOfPacket, Packet } from "../walk/packet.ts";
import { bridgeFiltering, podBridges } from "./pod_bridges.ts";
import { uplinks } from "./uplinks.ts";

const TCP = 6;
const POD = { any: "pod" } as const;
const NODE = { none: true } as const;

/** The outside: one packet for each uplink, or one for a link that is not known. */
function outsides({ network }: Pick<Facts, "network">): LinkOfPacket[] {
  const MAX_UPLINKS = 4;
  const known = uplinks(network).slice(0, MAX_UPLINKS);
  return known.length === 0 ? [{ any: "unknown" }] : known.map(linkOf);
}

/** A link that is known by its name. */
function linkOf({ name, index, kind }: LinkFacts): LinkOfPacket {
  return { name, index, isBridge: kind === "bridge" };
}

/** Packets at a hook. Without these pods do not work. */
export function packetsAt(
  hook: IpHook,
  facts: Pick<Facts, "network" | "podCidrs">,
): Packet[] {
  return [
    ...routedPackets(hook, facts),
    ...hook === "forward" ? bridgedPackets(facts) : [],
  ];
}

/** What goes from pod to pod over a bridge, where it passes rules of IP: in and out by the bridge (br_nf_forward_ip). */
function bridgedPackets({ network }: Pick<Facts, "network">): Packet[] {
  return podBridges(network).map(linkOf).flatMap((bridge) =>
    bridgeFiltering(network).map(({ family }) => ({
      title: "connections between pods on a bridge",
      family,
      input: bridge,
      output: bridge,
      toNode: false,
      protocol: TCP,
      state: "new" as const,
      translated: false,
    }))
  );
}

/** For each pod CIDR. */
function routedPackets(
  hook: IpHook,
  facts: Pick<Facts, "network" | "podCidrs">,
): Packet[] {
  const outside = outsides(facts);
  return facts.podCidrs.flatMap((cidr) => {
    const packet = (title: string, parts: Partial<Packet>): Packet => ({
      title,
      family: cidr.family,
      input: POD,
      output: POD,
      toNode: false,
      protocol: TCP,
      state: "new",
      translated: false,
      ...parts,
    });
    const fromPods = outside.map((output) =>
      packet("pods' connections to the outside", { output, source: cidr })
    );
    const answers = outside.map((input) =>
      packet("answers from the outside to pods", {
        input,
        destination: cidr,
        state: "answer",
      })
    );
    const toPods = outside.map((input) =>
      packet("connections to host ports and pods from outside", {
        input,
        destination: cidr,
        translated: true,
      })
    );
    const answersOfPods = outside.map((output) =>
      packet("pods' answers to the outside", {
        output,
        source: cidr,
        state: "answer",
      })
    );
    const between = packet("connections between pods", {
      source: cidr,
      destination: cidr,
    });
    const toNode = packet("pods' answers to the node", {
      output: NODE,
      source: cidr,
      toNode: true,
      state: "answer",
    });
    switch (hook) {
      case "forward":
      case "postrouting":
        return [...fromPods, ...answers, ...toPods, ...answersOfPods, between];
      case "prerouting":
        // What comes in for a host port does not have the pod's address yet.
        return [...fromPods, ...answers, ...answersOfPods, between];
      case "input":
        return [toNode];
      case "output":
        return [packet("the node's connections to pods", {
          input: NODE,
          destination: cidr,
        })];
    }
  });
}

/** Pods' connections to the node itself, which many a node does not want. */
export function packetsToNode({ podCidrs }: Pick<Facts, "podCidrs">): Packet[] {
  return podCidrs.map((source) => ({
    title: "pods' connections to the node itself",
    family: source.family,
    input: POD,
    output: NODE,
    source,
    toNode: true,
    protocol: TCP,
    state: "new",
    translated: false,
  }));
}

/** Connections to a host port of the node, before they are led to a pod. */
export function packetsToHostPort(
  facts: Pick<Facts, "network">,
  cidr: Cidr,
  protocol: number,
  port: number,
): Packet[] {
  return outsides(facts).map((input) => ({
    title: `connections to host port ${port}`,
    family: cidr.family,
    input,
    output: NODE,
    toNode: true,
    protocol,
    destinationPort: port,
    state: "new",
    translated: false,
  }));
}

/** Connections between pods, by any protocol. */
export function packetsBetweenPods(
  { podCidrs }: Pick<Facts, "podCidrs">,
): Packet[] {
  return podCidrs.map((cidr) => ({
    title: "connections between pods",
    family: cidr.family,
    input: POD,
    output: POD,
    source: cidr,
    destination: cidr,
    toNode: false,
    protocol: TCP,
    state: "new",
    translated: false,
  }));
}
