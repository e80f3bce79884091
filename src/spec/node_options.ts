/**
 * What a node is to be: its options as callers write them, checked whole.
 * @module
 */

import * as v from "valibot";
import { AddressPool } from "../ipam/pool.ts";
import { NetworkNamespace } from "../namespace/network_namespace.ts";
import { Cidr } from "../net/cidr.ts";
import type { IpFamily } from "../net/ip.ts";
import * as field from "./fields.ts";
import {
  exactObject,
  instead,
  isObject,
  type Placed,
  Problems,
  wellFormed,
} from "./problems.ts";
import { plainCopy } from "./plain.ts";
import { MAX_NODE_NAME_LENGTH } from "./limits.ts";
import { checkMtu } from "./rules.ts";
import { specialNetworkProblem } from "./special_networks.ts";

/** What a node is to be. A setting that is left out stays as it was when the node was first opened. */
export interface NodeOptions {
  /**
   * At most 64 letters, digits, `_`, `.` and `-`.
   * @default the host's name
   */
  readonly name?: string;
  /**
   * The networks that pods get their addresses from: one of each IP version, or of one. Needed the first time only. A node
   * with an empty list has pods on bridges and the like alone, and can be given networks later.
   */
  readonly podCidrs?: readonly string[];
  /**
   * The network namespace that plays the node: a path, a name of `ip netns`, the id of a process in it, or an open one.
   * @default the one that the process is in
   */
  readonly netns?: string | number | NetworkNamespace;
  /**
   * Absolute path of the directory for records and pins, which should not outlive a reboot. However it is written, by way of
   * symbolic links too, it is the same directory, and has the same nodes.
   * @default "/run/podnet"
   */
  readonly stateDir?: string;
  /**
   * Whether pods reach the outside world by the node's address.
   * @default true
   */
  readonly masquerade?: boolean;
  /**
   * Networks that pods reach by their own addresses, besides the pod CIDRs. A bridge that is masqueraded has none.
   * @default []
   */
  readonly nonMasqueradeCidrs?: readonly string[];
  /**
   * MTU of pods in bytes, 68–65535, and at least 1280 with IPv6.
   * @default that of the route to the outside world
   */
  readonly mtu?: number;
  /**
   * How many connections a pod may have opened at a time; more are dropped. It is about so many, since one in 64 is
   * counted: give or take a tenth at the default, a third at 640. The kernel has one table of connections for all pods
   * of a node (`net.netfilter.nf_conntrack_max`). Connections to the pod do not count.
   * 0 is no limit.
   * @default 65536, a quarter of what the table usually holds
   */
  readonly maxConnectionsPerPod?: number;
  /**
   * How many namespaces with links this process keeps ready while it has nothing else to do, so that a creation takes a
   * fifth of its time; each holds five descriptors and some 200 KB of the kernel's memory. It is of this handle, not of
   * the node. Used by sandboxes with the node's MTU, interface name `eth0`, the default routes and no others. What a process
   * that was killed kept ready, the next one that opens the node so takes away, or garbage collection.
   *
   * Such a sandbox has the addresses and the MAC of what was made ahead, which are random; without this they follow from its
   * id, so that one that is made anew mostly has the same. Who needs that asks for them in the spec, which takes 0.15 ms
   * more. Nobody has these addresses until then: they count as free, and others may get them.
   * @default 0
   */
  readonly warm?: number;
  /**
   * Whether a host port may take what a socket of the node's waits for, such as one by which a runtime keeps the port for
   * the very pod. It is of this handle, not of the node.
   * @default no socket's
   */
  readonly mayShadow?: (socket: WaitingSocket) => boolean;
}

/** A socket of the node's that waits on a port. */
export interface WaitingSocket {
  /** `0.0.0.0` or `::` for all addresses. */
  readonly address: string;
  /** 1–65535. */
  readonly port: number;
  /** As in `/proc/<pid>/fd`: `socket:[inode]`. */
  readonly inode: number;
  /** User id of its owner. */
  readonly uid: number;
}

/** The default of {@linkcode NodeOptions.maxConnectionsPerPod}. */
export const MAX_CONNECTIONS_PER_POD = 65536;

/** {@linkcode NodeOptions} in canonical form. */
export interface NormalisedNodeOptions extends NodeOptions {
  /** The given one, or the default. */
  readonly name: string;
  /** Without a slash at the end. */
  readonly stateDir: string;
}

const namespaceReference = v.custom<string | number | NetworkNamespace>(
  (input) =>
    typeof input === "string"
      ? /^[^\0]+$/.test(input) && input.isWellFormed() && input !== "." &&
        input !== ".."
      : typeof input === "number"
      ? Number.isInteger(input) && input > 0
      : input instanceof NetworkNamespace,
  instead(
    "a path, a name of ip netns, the id of a process, or an open NetworkNamespace",
  ),
);

const stateDirectory = field.parsed(
  'an absolute path like "/run/podnet"',
  (text) => {
    const path = text.replace(/\/+$/, "");
    if (!/^\/[^\0]+$/.test(path) || !path.isWellFormed()) {
      throw new RangeError(
        `write an absolute path like "/run/podnet", not ${
          JSON.stringify(text)
        }`,
      );
    }
    return path;
  },
);

const nodeOptions = exactObject("an object", {
  name: field.name(MAX_NODE_NAME_LENGTH),
  podCidrs: v.exactOptional(field.list("a list of networks", field.cidr)),
  netns: v.exactOptional(namespaceReference),
  stateDir: v.exactOptional(stateDirectory, "/run/podnet"),
  masquerade: v.exactOptional(field.flag),
  nonMasqueradeCidrs: v.exactOptional(
    field.list("a list of networks", field.cidr),
  ),
  mtu: v.exactOptional(field.mtu),
  maxConnectionsPerPod: v.exactOptional(field.connections),
  warm: v.exactOptional(field.warm),
  mayShadow: v.exactOptional(
    v.custom<(socket: WaitingSocket) => boolean>(
      (input) => typeof input === "function",
      instead("a function of a socket"),
    ),
  ),
});

/**
 * Checks and normalises the options of a node.
 * @param defaultName the name of a node that is given none, which is checked like the others
 * @throws {SandboxError} InvalidSpec with every problem
 */
export function parseNodeOptions(
  given: unknown,
  defaultName: () => string,
): NormalisedNodeOptions {
  const problems = new Problems();
  const copy = plainCopy(given, problems);
  // What is no object, or cannot be read, is told of and needs no name.
  const input = isObject(copy) && copy["name"] === undefined
    ? { ...copy, name: defaultName() }
    : copy;
  const options = problems.parse(nodeOptions, input);
  const fields = isObject(input) ? input : {};
  const podCidrs = wellFormed(field.cidr, fields["podCidrs"], "podCidrs");
  checkPodCidrs(problems, podCidrs);
  checkMtu(problems, fields["mtu"], podCidrs.map(({ value }) => value.family));
  checkNonMasqueradeCidrs(
    problems,
    wellFormed(field.cidr, fields["nonMasqueradeCidrs"], "nonMasqueradeCidrs"),
  );
  const { podCidrs: pods, nonMasqueradeCidrs, ...others } = problems.finish(
    options,
  );
  return {
    ...others,
    ...pods !== undefined && { podCidrs: pods.map(String) },
    ...nonMasqueradeCidrs !== undefined && {
      nonMasqueradeCidrs: [...new Set(nonMasqueradeCidrs.map(String))].sort(),
    },
  };
}

function checkPodCidrs(
  problems: Problems,
  cidrs: readonly Placed<Cidr>[],
): void {
  const families = new Map<IpFamily, Placed<Cidr>>();
  for (const { path, value: cidr } of cidrs) {
    const earlier = families.get(cidr.family);
    if (earlier !== undefined) {
      problems.add(
        path,
        earlier.value.overlaps(cidr)
          ? `${cidr} overlaps ${earlier.path}, ${earlier.value}: leave one of them out`
          : `a node has one IPv${cidr.family} pod CIDR, and ${earlier.path} is one: leave this one out`,
        String(cidr),
      );
    }
    families.set(cidr.family, { path, value: cidr });
    const special = specialNetworkProblem(
      cidr,
      '"10.244.1.0/24" or "fd00:10:244:1::/64"',
    );
    if (special !== undefined) problems.add(path, special, String(cidr));
    const tooSmall = poolProblem(cidr);
    if (tooSmall !== undefined) problems.add(path, tooSmall, String(cidr));
  }
}

function poolProblem(cidr: Cidr): string | undefined {
  try {
    new AddressPool(cidr);
    return undefined;
  } catch (error) {
    if (error instanceof RangeError) return error.message;
    throw error;
  }
}

/** The node's rules have the multicast networks on the list already. */
function checkNonMasqueradeCidrs(
  problems: Problems,
  cidrs: readonly Placed<Cidr>[],
): void {
  for (const { path, value: cidr } of cidrs) {
    const multicast = Cidr.parse(
      cidr.family === 4 ? "224.0.0.0/4" : "ff00::/8",
    );
    if (!cidr.overlaps(multicast)) continue;
    problems.add(
      path,
      `${cidr} overlaps multicast, which is never masqueraded: leave it out, or switch masquerading off`,
      String(cidr),
    );
  }
}
