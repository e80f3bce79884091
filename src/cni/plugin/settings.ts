/**
 * What a network configuration says to podnet: keys by the names that bridge, host-local, firewall, bandwidth and tuning have
 * for the same thing, and podnet's own.
 *
 * @module
 */
import * as v from "valibot";
import * as field from "../../spec/fields.ts";
import type { NodeOptions } from "../../spec/node_options.ts";
import {
  instead,
  isObject,
  joinPath,
  type Problems,
} from "../../spec/problems.ts";
import type {
  CapabilityBandwidth,
  CapabilityRange,
} from "../model/capabilities.ts";
import type { JsonObject } from "../model/json.ts";
import {
  type PlacedRoute,
  podNetworks,
  refuseGateways,
  refuseParts,
} from "./networks.ts";
import { wiringKey } from "./wiring.ts";

/** Which node a configuration means. */
export type NodeReference = Pick<NodeOptions, "name" | "stateDir">;

/** The keys of a network configuration that podnet reads. */
export interface Settings {
  /** The node, and what it is to be. */
  readonly node: NodeOptions;
  /** MTU of the pod's interface. */
  readonly mtu?: number;
  /** Whether the default route leads by the interface. */
  readonly isDefaultGateway?: boolean;
  /** More routes over it, and where they stand. */
  readonly routes: readonly PlacedRoute[];
  /** Default routes that are written down. */
  readonly defaultRoutes: readonly PlacedRoute[];
  /** Whether what leaves gets the node's address. */
  readonly ipMasq?: boolean;
  /** Limits, unless the runtime says others. */
  readonly bandwidth: CapabilityBandwidth;
  /** Sysctls of the pod. */
  readonly sysctl: Readonly<Record<string, string>>;
  /** Where in the configuration stands what the library has another name for. */
  readonly places: ReadonlyMap<string, string>;
}

function text(what: string): field.Field<string> {
  return v.string(instead(what));
}

const BITS = instead("a number of bits, an integer from 0");
const bits = v.exactOptional(
  v.pipe(v.number(BITS), v.integer(BITS), v.minValue(0, BITS)),
  0,
);

const NETWORK = 'a network like "10.244.1.0/24"';

const networks = v.exactOptional(
  field.list("a list of networks", text(NETWORK)),
);

const routes = v.exactOptional(
  field.list(
    "a list of routes",
    v.object({
      dst: text(NETWORK),
      gw: v.exactOptional(text("an address")),
    }, instead("a route with dst")),
  ),
  [],
);

/** Which texts are networks, names and paths is the library's to say, all problems together. */
const schema = v.object({
  node: v.exactOptional(text("a node name")),
  stateDir: v.exactOptional(text("an absolute path")),
  podCidrs: networks,
  subnet: v.exactOptional(text(NETWORK)),
  ipMasq: v.exactOptional(field.flag),
  masquerade: v.exactOptional(field.flag),
  nonMasqueradeCidrs: networks,
  maxConnectionsPerPod: v.exactOptional(field.connections),
  // 0 is "as the kernel thinks right" to bridge and ptp.
  mtu: v.exactOptional(
    v.union(
      [v.literal(0), field.mtu],
      ({ input }) => `write an MTU in bytes, not ${JSON.stringify(input)}`,
    ),
  ),
  ingressRate: bits,
  ingressBurst: bits,
  egressRate: bits,
  egressBurst: bits,
  isDefaultGateway: v.exactOptional(field.flag),
  routes,
  sysctl: v.exactOptional(
    field.strings("an object of strings", text("a string")),
    {},
  ),
  ipam: v.exactOptional(
    v.object({
      type: v.exactOptional(
        v.picklist(
          ["", "podnet", "host-local"],
          "leave it out: podnet gives addresses itself, from podCidrs",
        ),
      ),
      subnet: v.exactOptional(text(NETWORK)),
      routes,
      ranges: v.exactOptional(field.list(
        "a list of lists of ranges",
        field.list(
          "a list of ranges",
          v.object({ subnet: text(NETWORK) }, instead("a range with a subnet")),
        ),
      )),
    }, instead("an object with ranges")),
    { routes: [] },
  ),
}, instead("an object"));

/**
 * Which node a configuration means, read from it alone: for commands that need to find what ADD made, whatever became of
 * its other settings.
 */
export function readNodeReference(
  { node, stateDir }: JsonObject,
): NodeReference {
  return {
    ...typeof node === "string" && { name: node },
    ...typeof stateDir === "string" && { stateDir },
  };
}

/** Reads podnet's keys; undefined when something is wrong, which is noted. */
export function readSettings(
  raw: JsonObject,
  ipRanges: readonly (readonly CapabilityRange[])[],
  problems: Problems,
): Settings | undefined {
  const isWired = wiringKey(raw) !== undefined;
  const read = problems.parse(schema, isWired ? withoutAddresses(raw) : raw);
  if (!isWired) {
    refuseParts(problems, raw["ipam"], "ipam");
    refuseParts(problems, ipRanges, "runtimeConfig.ipRanges");
  }
  if (read === undefined) return undefined;
  const { masquerade, ipMasq, nonMasqueradeCidrs, maxConnectionsPerPod } = read;
  if (
    masquerade !== undefined && ipMasq !== undefined && masquerade !== ipMasq &&
    !isWired
  ) {
    problems.add("masquerade", "says the opposite of ipMasq: leave it out");
  }
  const translated = isWired ? masquerade : masquerade ?? ipMasq;
  const cidrs = podNetworks(read, isWired ? [] : ipRanges);
  const routes = [
    ...read.routes.map((route, i) => ({ ...route, place: `routes[${i}]` })),
    ...read.ipam.routes.map((route, i) => ({
      ...route,
      place: `ipam.routes[${i}]`,
    })),
  ];
  // Whether there is a default route is said by isDefaultGateway, and so usual that nobody has to say it.
  const { byDefault = [], others = [] } = Object.groupBy(
    routes,
    ({ dst }) => /\/0$/.test(dst) ? "byDefault" : "others",
  );
  if (!isWired) refuseGateways(problems, byDefault, [...cidrs.keys()]);
  return {
    node: {
      ...readNodeReference(raw),
      ...cidrs.size > 0 && { podCidrs: [...cidrs.keys()] },
      ...translated !== undefined && { masquerade: translated },
      ...nonMasqueradeCidrs !== undefined && { nonMasqueradeCidrs },
      ...maxConnectionsPerPod !== undefined && { maxConnectionsPerPod },
    },
    sysctl: read.sysctl,
    bandwidth: read,
    routes: others,
    defaultRoutes: byDefault,
    ...ipMasq !== undefined && { ipMasq },
    ...read.mtu !== undefined && read.mtu > 0 && { mtu: read.mtu },
    ...read.isDefaultGateway !== undefined &&
      { isDefaultGateway: read.isDefaultGateway },
    places: new Map([
      ["name", "node"],
      ["masquerade", masquerade === undefined ? "ipMasq" : "masquerade"],
      ...[...cidrs.values()].map((place, i) =>
        [joinPath("podCidrs", i), place] as const
      ),
    ]),
  };
}

/** On networks that are not podnet's own, addresses are said in another way. */
function withoutAddresses(raw: JsonObject): JsonObject {
  const { ipam, ...others } = raw;
  const routes = isObject(ipam) ? ipam["routes"] : undefined;
  return {
    ...others,
    ...routes !== undefined && { ipam: { routes } as JsonObject },
  };
}
