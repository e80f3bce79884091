/**
 * The options that describe a sandbox, and the spec they make; `create` and `run` share them.
 *
 * @module
 */
import type { ContainerSpec, PortMapping, SandboxSpec } from "../../mod.ts";
import {
  namespaceOption,
  type OptionTable,
  type OptionValues,
  quote,
} from "./options.ts";
import { integer } from "./numbers.ts";
import { INTERFACE_KEYS, parseInterface } from "./interface_option.ts";
import { UsageError } from "./usage.ts";

/** `-p`, for all commands that take host ports. */
export const publishOption = {
  "publish": {
    short: "p",
    value: "[HOSTIP:]HOSTPORT[-END]:PORT[-END][/PROTO]",
    repeatable: true,
    field: "ports",
    help:
      "Map host ports to ports of the sandbox; PROTO is tcp (default), udp or sctp; an IPv6 HOSTIP goes in brackets",
  },
} as const satisfies OptionTable;

/** The option of commands that may be the first on a node. */
export const podCidrOption = {
  "pod-cidr": {
    value: "CIDR",
    repeatable: true,
    field: "podCidrs",
    help:
      "The node's pod network, one a family; needed the first time only, the node keeps it",
  },
} as const satisfies OptionTable;

/** Everything a sandbox can be created with. */
export const sandboxOptions = {
  ...namespaceOption,
  ...podCidrOption,
  ...publishOption,
  "ip": {
    value: "ADDR",
    repeatable: true,
    field: "addresses",
    help: "Ask for this pod address, one a family (default: a free one)",
  },
  "host-network": {
    field: "hostNetwork",
    help: "Use the node's own network instead of a new namespace",
  },
  "pod-netns": {
    value: "PATH",
    field: "netns",
    help:
      "Use this network namespace instead of a new one; removing the sandbox leaves it",
  },
  "container": {
    value: "NAME[:PORT[/PROTO],…]",
    repeatable: true,
    field: "containers",
    help: "Attach a container and declare its ports",
  },
  "label": {
    value: "KEY=VALUE",
    repeatable: true,
    field: "labels",
    help: "Keep a label with the sandbox",
  },
  "uid": {
    value: "UID",
    field: "uid",
    help: "The pod's UID in the cluster",
  },
  "mac": {
    value: "MAC",
    field: "mac",
    help: "The MAC address of the pod's interface (default: made from the id)",
  },
  "mtu": {
    value: "BYTES",
    field: "mtu",
    help: "The MTU of the pod's interface (default: the node's)",
  },
  "interface-name": {
    value: "NAME",
    field: "interfaceName",
    help: "The name of the pod's interface (default: eth0)",
  },
  "without-default-route": {
    field: "defaultRoute",
    help:
      "Leave the pod's default routes to another interface; answers of this one's addresses leave by it all the same",
  },
  "route": {
    value: "CIDR",
    repeatable: true,
    field: "routes",
    help: "Route this network, too, over the pod's interface",
  },
  "unrouted": {
    field: "attachment",
    help:
      "Give the pod no interface on the node's own network, only those of --interface",
  },
  "interface": {
    value: "NAME=bridge:BRIDGE|macvlan:PARENT[:MODE]|device:LINK[,KEY=VALUE,…]",
    repeatable: true,
    field: "interfaces",
    help: `Add an interface; ${INTERFACE_KEYS}`,
  },
  "ingress-bandwidth": {
    value: "RATE[:BURST]",
    field: "bandwidth.ingress",
    help:
      "Limit what goes into the pod, in bits a second such as 10M; BURST is in bits",
  },
  "egress-bandwidth": {
    value: "RATE[:BURST]",
    field: "bandwidth.egress",
    help:
      "Limit what comes out of the pod, in bits a second such as 10M; BURST is in bits",
  },
  "sysctl": {
    value: "NAME=VALUE",
    repeatable: true,
    field: "sysctls",
    help: "Set a namespaced net.* sysctl in the pod",
  },
  "unsafe-sysctl": {
    value: "NAME",
    repeatable: true,
    field: "unsafeSysctls",
    help: "Allow --sysctl to set this one, although it is not on the safe list",
  },
  "hostname": {
    value: "NAME",
    field: "dns.hostname",
    help: "The pod's host name (default: the sandbox's name)",
  },
  "dns": {
    value: "ADDR",
    repeatable: true,
    field: "dns.nameservers",
    help: "A name server for the pod's resolv.conf",
  },
  "dns-search": {
    value: "DOMAIN",
    repeatable: true,
    field: "dns.searches",
    help: "A search domain for the pod's resolv.conf",
  },
  "dns-option": {
    value: "OPTION",
    repeatable: true,
    field: "dns.options",
    help: "An option for the pod's resolv.conf, such as ndots:5",
  },
} as const satisfies OptionTable;

/** The spec that the options describe. */
export async function sandboxSpec(
  name: string,
  options: OptionValues<typeof sandboxOptions>,
): Promise<SandboxSpec> {
  const { namespace, uid, mac, hostname } = options;
  const dns = {
    ...(options.dns.length > 0 && { nameservers: options.dns }),
    ...(options["dns-search"].length > 0 &&
      { searches: options["dns-search"] }),
    ...(options["dns-option"].length > 0 && { options: options["dns-option"] }),
    ...(hostname !== undefined && { hostname }),
  };
  return {
    name,
    ...(namespace !== undefined && { namespace }),
    ...(uid !== undefined && { uid }),
    ...(mac !== undefined && { mac }),
    ...(options.mtu !== undefined && { mtu: integer("mtu", options.mtu) }),
    ...(options["interface-name"] !== undefined &&
      { interfaceName: options["interface-name"] }),
    ...(options["without-default-route"] && { defaultRoute: false }),
    ...await bandwidthOf(options),
    ...(options.interface.length > 0 &&
      { interfaces: options.interface.map(parseInterface) }),
    routes: options.route.map((destination) => ({ destination })),
    ...(options["host-network"] && { hostNetwork: true }),
    ...(options["unrouted"] && { attachment: { type: "none" } as const }),
    ...(options["pod-netns"] !== undefined &&
      { netns: options["pod-netns"] }),
    ...(Object.keys(dns).length > 0 && { dns }),
    addresses: options.ip,
    ports: await portMappings(options.publish),
    containers: options.container.map(parseContainer),
    labels: pairs("label", options.label),
    sysctls: pairs("sysctl", options.sysctl),
    unsafeSysctls: options["unsafe-sysctl"],
  };
}

async function bandwidthOf(
  options: OptionValues<typeof sandboxOptions>,
): Promise<Pick<SandboxSpec, "bandwidth">> {
  const directions = (["ingress", "egress"] as const).map((direction) =>
    [direction, options[`${direction}-bandwidth`]] as const
  );
  if (directions.every(([, text]) => text === undefined)) return {};
  const { parseBandwidth } = await import("./library.ts");
  const bits = (direction: string, text: string) => {
    try {
      return parseBandwidth(text);
    } catch (error) {
      if (!(error instanceof RangeError)) throw error;
      throw new UsageError(`--${direction}-bandwidth: ${error.message}`, {
        cause: error,
      });
    }
  };
  return {
    bandwidth: Object.fromEntries(directions.flatMap(([direction, text]) => {
      if (text === undefined) return [];
      const [rate = "", burst] = text.split(/:(.*)/s);
      return [
        [direction, bits(direction, rate)],
        ...burst === undefined
          ? []
          : [[`${direction}Burst`, bits(direction, burst)]],
      ];
    })),
  };
}

/** The mappings of several `-p`. */
export async function portMappings(
  publish: readonly string[],
): Promise<PortMapping[]> {
  if (publish.length === 0) return [];
  const { parsePublish } = await import("./library.ts");
  return publish.map((text) => {
    try {
      return parsePublish(text);
    } catch (error) {
      if (!(error instanceof RangeError)) throw error;
      throw new UsageError(`--publish: ${error.message}`, { cause: error });
    }
  });
}

/** `NAME[:PORT[/PROTO],…]`. */
export function parseContainer(text: string): ContainerSpec {
  const [, name, ports] = /^([^:]+)(?::(.+))?$/s.exec(text) ?? [];
  if (name === undefined) throw notAContainer(text);
  if (ports === undefined) return { name };
  return {
    name,
    ports: ports.split(",").map((port) => {
      const groups = /^(?<port>\d+)(?:\/(?<protocol>tcp|udp|sctp))?$/.exec(port)
        ?.groups;
      if (groups === undefined) throw notAContainer(text);
      const protocol = groups.protocol;
      return {
        port: Number(groups.port),
        protocol: protocol === "udp" || protocol === "sctp" ? protocol : "tcp",
      };
    }),
  };
}

function notAContainer(text: string): UsageError {
  return new UsageError(
    `--container ${
      quote(text)
    } is not a container: write NAME[:PORT[/PROTO],…], like app:80,53/udp`,
  );
}

/** `KEY=VALUE` of a repeatable option; a key given twice is a mistake. */
export function pairs(
  option: string,
  texts: readonly string[],
): Record<string, string> {
  const found = new Map<string, string>();
  for (const text of texts) {
    const at = text.indexOf("=");
    if (at < 1) {
      throw new UsageError(
        `--${option} ${quote(text)} has no value: write --${option} ${
          at === 0 ? "KEY" : text
        }=VALUE`,
      );
    }
    const key = text.slice(0, at);
    if (found.has(key)) {
      throw new UsageError(
        `--${option} ${quote(key)} is given twice: write it once`,
      );
    }
    found.set(key, text.slice(at + 1));
  }
  return Object.fromEntries(found);
}
