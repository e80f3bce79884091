/**
 * The host ports that a runtime asks for, as the library has them.
 *
 * @module
 */
import type { PortMapping } from "../../hostport/mapping.ts";
import type { CapabilityPort } from "../model/capabilities.ts";

/** All addresses of an IP version. */
const WILDCARDS: ReadonlyMap<string, 4 | 6> = new Map([
  ["0.0.0.0", 4],
  ["::", 6],
]);

/**
 * Runtimes name a mapping twice when two of their sources do, all addresses and one of them, and all addresses of an IP
 * version that the network does not have: none of it is an error to portmap.
 */
export function hostPorts(
  mappings: readonly CapabilityPort[],
  families: readonly (4 | 6)[],
): PortMapping[] {
  const wanted = mappings.filter(({ hostIP = "" }) => {
    const family = WILDCARDS.get(hostIP);
    return family === undefined || families.length === 0 ||
      families.includes(family);
  });
  return wanted.filter((one, i) =>
    !wanted.some((other, j) =>
      isSameButAddress(one, other) &&
      (one.hostIP === other.hostIP ? j < i : includes(other, one))
    )
  ).map(({ hostPort, containerPort, protocol, hostIP }) => ({
    hostPort,
    containerPort,
    // Whether it is one is the library's to say.
    protocol: protocol as NonNullable<PortMapping["protocol"]>,
    ...hostIP !== undefined && { hostIP },
  }));
}

function isSameButAddress(one: CapabilityPort, other: CapabilityPort): boolean {
  return one.hostPort === other.hostPort &&
    one.containerPort === other.containerPort &&
    one.protocol === other.protocol;
}

/** Whether one mapping's addresses are among the other's. */
function includes(
  { hostIP: all }: CapabilityPort,
  { hostIP: one }: CapabilityPort,
): boolean {
  if (all === undefined) return one !== undefined;
  return one !== undefined &&
    WILDCARDS.get(all) === (one.includes(":") ? 6 : 4);
}
