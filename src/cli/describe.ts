/**
 * How the library's objects look in tables.
 *
 * @module
 */
import type {
  Bandwidth,
  Node,
  PortMapping,
  SandboxAttachment,
  SandboxInterface,
  SandboxJson,
  SinglePortMapping,
} from "../../mod.ts";
import { bracketed } from "../text.ts";

type Properties = readonly (readonly [label: string, text: string])[];

/** `127.0.0.1:8080-8089->80-89/tcp` and more, the way docker ps and podman ps print them. */
export function formatPorts(ports: readonly SinglePortMapping[]): string {
  return mergeRanges(ports).map((port) => {
    const { hostIP, protocol } = port;
    const address = hostIP === undefined ? "" : `${bracketed(hostIP)}:`;
    return `${address}${hostRange(port)}->${podRange(port)}/${protocol}`;
  }).join(", ");
}

/** Neighbouring ports as one range: a sandbox may have a thousand. */
export function mergeRanges(
  ports: readonly SinglePortMapping[],
): (SinglePortMapping & PortMapping)[] {
  const merged: (SinglePortMapping & PortMapping)[] = [];
  for (const port of ports) {
    const at = merged.findIndex((range) =>
      range.protocol === port.protocol && range.hostIP === port.hostIP &&
      (range.hostPortEnd ?? range.hostPort) + 1 === port.hostPort &&
      (range.containerPortEnd ?? range.containerPort) + 1 === port.containerPort
    );
    const range = merged[at];
    if (range === undefined) merged.push(port);
    else {
      merged[at] = {
        ...range,
        hostPortEnd: port.hostPort,
        containerPortEnd: port.containerPort,
      };
    }
  }
  return merged;
}

/** The port or ports on the node. */
export function hostRange(port: PortMapping): string {
  return range(port.hostPort, port.hostPortEnd);
}

/** The port or ports in the pod. */
export function podRange(port: PortMapping): string {
  return range(port.containerPort, port.containerPortEnd);
}

function range(first: number, last: number | undefined): string {
  return last === undefined || last === first ? `${first}` : `${first}-${last}`;
}

function formatInterface(
  { name, attachment, addresses }: SandboxInterface,
): string {
  const from = attachment.type === "macvlan"
    ? attachment.parent
    : attachment.type === "bridge"
    ? attachment.bridge
    : attachment.device;
  return [name, attachment.type, from, ...addresses].join(" ");
}

/** The addresses that plugins gave a pod. */
export function addressesOfAttachment(
  { result }: SandboxAttachment,
): string[] {
  return result.ips.map(({ address }) => address);
}

function formatAttachment(attachment: SandboxAttachment): string {
  const { name, network, state, plugins } = attachment;
  return [
    ...[name, network, plugins.join("+")],
    ...state === "ready" ? addressesOfAttachment(attachment) : [state],
  ].join(" ");
}

function formatBandwidth({ ingress, egress }: Bandwidth): string {
  const limits = [["ingress", ingress], ["egress", egress]] as const;
  return limits.filter(([, bits]) => bits !== undefined)
    .map(([direction, bits]) => `${direction} ${bits} bit/s`).join(", ");
}

/** A sandbox for people. */
export function sandboxProperties(sandbox: SandboxJson): Properties {
  return [
    ["Name", sandbox.name],
    ["Namespace", sandbox.namespace],
    ["Id", sandbox.id],
    ["Uid", sandbox.uid ?? ""],
    ["Labels", entries(sandbox.labels)],
    ["Addresses", sandbox.addresses.join(", ")],
    ["Mac", sandbox.mac ?? ""],
    ["Mtu", `${sandbox.mtu}`],
    ["Interface", sandbox.interfaceName ?? ""],
    ["Host interface", sandbox.hostInterface ?? ""],
    ["Network namespace", sandbox.netnsPath],
    ["Host network", sandbox.hostNetwork ? "yes" : "no"],
    [
      "Routes",
      sandbox.routes.map((r) => `${r.destination} via ${r.gateway}`).join(", "),
    ],
    ["Interfaces", sandbox.interfaces.map(formatInterface).join(", ")],
    ["Attachments", sandbox.attachments.map(formatAttachment).join(", ")],
    ["Ports", formatPorts(sandbox.ports)],
    ["Bandwidth", formatBandwidth(sandbox.bandwidth ?? {})],
    [
      "Containers",
      sandbox.containers.map(({ name, ports }) =>
        [name, ...ports.map((p) => `${p.port}/${p.protocol}`)].join(" ")
      ).join(", "),
    ],
    ["Host name", sandbox.dns.hostname],
    ["resolv.conf", sandbox.dns.resolvConfPath],
    ["hosts", sandbox.dns.hostsPath],
    ["Created", sandbox.createdAt],
  ].filter((entry): entry is [string, string] => entry[1] !== "");
}

/** A node as data: what `-o json` prints. */
export function nodeJson(node: Node): Record<string, unknown> {
  return {
    name: node.name,
    stateDir: node.stateDir,
    podCidrs: node.podCidrs,
    gateways: node.gateways,
    mtu: node.mtu,
    masquerade: node.masquerade,
    nonMasqueradeCidrs: node.nonMasqueradeCidrs,
    maxConnectionsPerPod: node.maxConnectionsPerPod,
    netnsId: node.netnsId,
    changes: node.changes,
  };
}

/** A node for people. */
export function nodeProperties(node: Node): Properties {
  return [
    ["Name", node.name],
    ["State directory", node.stateDir],
    ["Pod CIDRs", node.podCidrs.join(", ")],
    ["Gateways", node.gateways.join(", ")],
    ["Mtu", `${node.mtu}`],
    ["Masquerade", node.masquerade ? "yes" : "no"],
    ["Not masqueraded", node.nonMasqueradeCidrs.join(", ") || "-"],
    ["Connections per pod", `${node.maxConnectionsPerPod || "unlimited"}`],
    ["Network namespace", node.netnsId],
    ...node.changes.map((change) => ["Changed", change] as const),
  ];
}

function entries(record: Readonly<Record<string, string>>): string {
  return Object.entries(record).map(([k, v]) => `${k}=${v}`).join(", ");
}
