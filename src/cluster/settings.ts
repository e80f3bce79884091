/**
 * What all nodes of a cluster agree on. The first node writes it into the store, the others go by it.
 *
 * @module
 */
import * as v from "valibot";
import type { Cidr } from "../net/cidr.ts";
import { addressBits, type IpFamily } from "../net/ip.ts";
import * as field from "../spec/fields.ts";
import { exactObject, type Problems } from "../spec/problems.ts";
import { specialNetworkProblem } from "../spec/special_networks.ts";
import { pathOptionFields } from "./path_options.ts";
import type { PathOptions } from "./path_options.ts";

/** What a cluster is to be. A setting that is left out is what the cluster has; the first node decides. */
export interface ClusterOptions extends Omit<PathOptions, "clusterCidrs"> {
  /**
   * Of the cluster: an etcd can have several.
   * @default "default"
   */
  readonly name?: string;
  /**
   * The networks that pods of all nodes get their addresses from: one of each IP version, or of one. Needed by the first
   * node only.
   */
  readonly podCidrs?: readonly string[];
  /**
   * Prefix length of the IPv4 network that a node gets of it.
   * @default 24
   */
  readonly nodePrefixLength4?: number;
  /**
   * Prefix length of the IPv6 network that a node gets of it.
   * @default 64
   */
  readonly nodePrefixLength6?: number;
}

/** The settings of a cluster, whole. */
export interface ClusterSettings {
  /** One of an IP version at most, canonical. */
  readonly podCidrs: readonly string[];
  /** Of the IPv4 network of a node. */
  readonly nodePrefixLength4: number;
  /** Of the IPv6 network of a node. */
  readonly nodePrefixLength6: number;
  /** How packets get to other nodes' pods. */
  readonly backend: NonNullable<PathOptions["backend"]>;
  /** VXLAN network identifier. */
  readonly vni: number;
  /** UDP port of tunnels. */
  readonly vxlanPort: number;
}

/** What can be asked for, and what it is when the first node does not. */
const { backend, vni, vxlanPort } = pathOptionFields;
const nodePrefixLength = (family: IpFamily) =>
  field.integer(
    `a prefix length, an integer from 1 to ${addressBits(family) - 2}`,
    1,
    addressBits(family) - 2,
  );

/** Fields of {@linkcode ClusterOptions} that are settings. */
export const settingFields = {
  podCidrs: v.exactOptional(
    v.pipe(
      field.list("a list of networks", field.cidr),
      v.minLength(1, 'write at least one network, like "10.244.0.0/16"'),
    ),
  ),
  nodePrefixLength4: v.exactOptional(nodePrefixLength(4)),
  nodePrefixLength6: v.exactOptional(nodePrefixLength(6)),
  backend: v.exactOptional(v.unwrap(backend)),
  vni: v.exactOptional(v.unwrap(vni)),
  vxlanPort: v.exactOptional(v.unwrap(vxlanPort)),
} as const;

/** {@linkcode settingFields} as they come out. */
export interface WantedSettings
  extends Partial<Omit<ClusterSettings, "podCidrs">> {
  readonly podCidrs?: readonly Cidr[];
}

const DEFAULTS = {
  nodePrefixLength4: 24,
  nodePrefixLength6: 64,
  backend: v.getDefault(backend),
  vni: v.getDefault(vni),
  vxlanPort: v.getDefault(vxlanPort),
} as const;

/** Prefix length of a node's network of an IP version. */
export function nodePrefixLengthOf(
  settings: Pick<ClusterSettings, "nodePrefixLength4" | "nodePrefixLength6">,
  family: IpFamily,
): number {
  return family === 4 ? settings.nodePrefixLength4 : settings.nodePrefixLength6;
}

/** Notes what is wrong with the networks, whose fields are right. */
export function checkPodCidrs(
  problems: Problems,
  wanted: WantedSettings,
  path: string,
): void {
  const lengths = { ...DEFAULTS, ...wanted };
  const families = new Set<IpFamily>();
  for (const [i, cidr] of (wanted.podCidrs ?? []).entries()) {
    const problem = families.has(cidr.family)
      ? `a cluster has one IPv${cidr.family} pod CIDR: leave this one out`
      : cidr.prefixLength > nodePrefixLengthOf(lengths, cidr.family)
      ? `${cidr} is smaller than the network of one node, /${
        nodePrefixLengthOf(lengths, cidr.family)
      }: write a larger one, or a larger nodePrefixLength${cidr.family}`
      : specialNetworkProblem(cidr, '"10.244.0.0/16" or "fd00:10:244::/48"');
    families.add(cidr.family);
    if (problem !== undefined) {
      problems.add(`${path}[${i}]`, problem, String(cidr));
    }
  }
}

const storedSettings = exactObject("an object", settingFields);

/**
 * Reads settings from the store.
 *
 * @returns a text that says what is wrong, when they are none
 */
export function readSettings(text: string): ClusterSettings | string {
  let input: unknown;
  try {
    input = JSON.parse(text);
  } catch {
    return "they are no JSON";
  }
  const result = v.safeParse(storedSettings, input);
  if (!result.success) {
    const [issue] = result.issues;
    return `${v.getDotPath(issue) ?? "they"}: ${issue.message}`;
  }
  return complete(result.output) ?? "they have no podCidrs";
}

/** What follows when nobody has decided anything else; undefined without networks. */
export function complete(
  { podCidrs, ...others }: WantedSettings,
): ClusterSettings | undefined {
  if (podCidrs === undefined) return undefined;
  return { ...DEFAULTS, podCidrs: podCidrs.map(String), ...others };
}

/** What people call the settings. */
const LABELS: Readonly<Record<keyof ClusterSettings, string>> = {
  podCidrs: "pod CIDRs",
  nodePrefixLength4: "prefix length of a node's IPv4 network",
  nodePrefixLength6: "prefix length of a node's IPv6 network",
  backend: "backend",
  vni: "VXLAN network identifier",
  vxlanPort: "UDP port of tunnels",
};

/** What settings are, and are not as wanted, in plain words; nothing when all that is wanted is so. */
export function differences(
  wanted: { readonly [key in keyof ClusterSettings]?: unknown },
  settings: ClusterSettings,
): readonly string[] {
  const keys = Object.keys(LABELS) as (keyof ClusterSettings)[];
  return keys.flatMap((key) => {
    const [want, have] = [wanted[key], settings[key]];
    return want === undefined || String(want) === String(have)
      ? []
      : [`${LABELS[key]} ${have}, not ${want}`];
  });
}
