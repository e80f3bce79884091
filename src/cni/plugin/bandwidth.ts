/**
 * Limits of bandwidth as runtimes and the plugin `bandwidth` write them, as the library has them.
 *
 * @module
 */
import type { Bandwidth } from "../../net/bandwidth.ts";
import type { CapabilityBandwidth } from "../model/capabilities.ts";

/** The most that the library takes. Runtimes write what their integers hold for "no limit". */
const MAX_RATE = 10 ** 15;
const MAX_BURST = 0xffffffff * 8;

/** The library's paths, and their names in CNI. */
export const LIMIT_KEYS: readonly (readonly [string, string])[] = [
  ["bandwidth.ingress", "ingressRate"],
  ["bandwidth.ingressBurst", "ingressBurst"],
  ["bandwidth.egress", "egressRate"],
  ["bandwidth.egressBurst", "egressBurst"],
];

/** A rate of 0 is no limit, and a burst of 0, or without a rate, says nothing. */
export function limitsOf(
  { ingressRate, ingressBurst, egressRate, egressBurst }: CapabilityBandwidth,
): Bandwidth {
  return {
    ...ingressRate > 0 && {
      ingress: Math.min(ingressRate, MAX_RATE),
      ...ingressBurst > 0 &&
        { ingressBurst: Math.min(ingressBurst, MAX_BURST) },
    },
    ...egressRate > 0 && {
      egress: Math.min(egressRate, MAX_RATE),
      ...egressBurst > 0 && { egressBurst: Math.min(egressBurst, MAX_BURST) },
    },
  };
}
