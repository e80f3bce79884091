/**
 * How nodes reach each other's pods: options as callers write them, checked whole.
 *
 * @module
 */
import * as v from "valibot";
import * as field from "../spec/fields.ts";
import { exactObject, instead, Problems } from "../spec/problems.ts";
import { plainCopy } from "../spec/plain.ts";

/** Ways to carry packets to another node's pods. */
export const PATH_BACKENDS = ["auto", "host-gw", "vxlan", "wireguard"] as const;

/**
 * How packets get to another node's pods:
 *
 * - `host-gw`: by a route to the node, which must be on a common segment.
 * - `vxlan`: in a tunnel (RFC 7348), wherever the node is.
 * - `auto`: by a route to nodes on a common segment, in a tunnel to the others; decided for each node and IP version.
 * - `wireguard`: encrypted. The kernel needs WireGuard.
 */
export type PathBackend = typeof PATH_BACKENDS[number];

/** How nodes reach each other's pods. All nodes of a cluster must have the same. */
export interface PathOptions {
  /**
   * How packets get there.
   * @default "auto"
   */
  readonly backend?: PathBackend;
  /**
   * UDP port of the tunnels.
   * @default 8472
   */
  readonly vxlanPort?: number;
  /**
   * VXLAN network identifier, 1–16777215.
   * @default 112
   */
  readonly vni?: number;
  /**
   * The networks that all pod CIDRs of the cluster are taken from. Members with others are refused, an address of them that
   * no node has is answered at once, and pods are never masqueraded towards them. So a member is refused as well that has an
   * address of them itself, unless that is in a network that this node is on.
   * @default none
   */
  readonly clusterCidrs?: readonly string[];
}

/** {@linkcode PathOptions} with what was left out. */
export type NormalisedPathOptions = Required<PathOptions>;

const MAX_VNI = 2 ** 24 - 1;

/** The fields of {@linkcode PathOptions}, for options that have them among others. */
export const pathOptionFields = {
  backend: v.exactOptional(
    v.picklist(PATH_BACKENDS, instead(`one of ${PATH_BACKENDS.join(", ")}`)),
    "auto",
  ),
  vxlanPort: v.exactOptional(field.port, 8472),
  vni: v.exactOptional(
    field.integer(
      `a VXLAN network identifier, an integer from 1 to ${MAX_VNI}`,
      1,
      MAX_VNI,
    ),
    112,
  ),
  clusterCidrs: v.exactOptional(
    v.pipe(
      field.list("a list of networks", field.cidr),
      v.transform((cidrs): readonly string[] => cidrs.map(String)),
    ),
    [],
  ),
} as const;

const pathOptions = exactObject("an object", pathOptionFields);

/**
 * Checks and completes options.
 * @throws {SandboxError} InvalidSpec with every problem
 */
export function parsePathOptions(given: unknown = {}): NormalisedPathOptions {
  const problems = new Problems();
  return problems.finish(
    problems.parse(pathOptions, plainCopy(given, problems)),
  );
}
