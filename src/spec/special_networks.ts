/**
 * Networks that no pod can have an address of.
 * @module
 */

import { Cidr } from "../net/cidr.ts";

/** And what they are for. */
const SPECIAL_NETWORKS: readonly (readonly [string, string])[] = [
  ["0.0.0.0/8", '"this network"'],
  ["127.0.0.0/8", "loopback"],
  ["169.254.0.0/16", "link-local"],
  ["224.0.0.0/4", "multicast"],
  ["255.255.255.255/32", "broadcast"],
  ["::/127", "unspecified and loopback"],
  ["::ffff:0:0/96", "IPv4-mapped"],
  ["fe80::/10", "link-local"],
  ["ff00::/8", "multicast"],
];

/**
 * Why pods cannot have all addresses of a network; undefined when they can.
 * @param examples what to write instead
 */
export function specialNetworkProblem(
  cidr: Cidr,
  examples: string,
): string | undefined {
  const special = SPECIAL_NETWORKS.find(([text]) =>
    Cidr.parse(text).overlaps(cidr)
  );
  return special &&
    `${cidr} overlaps ${special[0]} (${
      special[1]
    }): write a private network like ${examples}`;
}
