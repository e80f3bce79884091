/**
 * How two specs of one sandbox differ.
 * @module
 */

import { sortedByKey } from "./order.ts";
import { isObject } from "./problems.ts";
import type { NormalisedSpec } from "./sandbox_spec.ts";

/** What {@linkcode specDifferences} calls the fields. The id is what both specs have in common. */
const FIELD_NAMES: Readonly<
  Record<Exclude<keyof NormalisedSpec, "id" | "unsafeSysctls">, string>
> = {
  name: "name",
  namespace: "namespace",
  uid: "UID",
  labels: "labels",
  hostNetwork: "host network",
  netns: "network namespace",
  addresses: "requested addresses",
  mac: "MAC address",
  mtu: "MTU",
  interfaceName: "interface name",
  attachment: "attachment",
  defaultRoute: "default route",
  routes: "routes",
  interfaces: "interfaces",
  bandwidth: "bandwidth",
  ports: "host ports",
  containers: "containers",
  sysctls: "sysctls",
  dns: "DNS settings",
};

/**
 * The fields in which two specs of one id differ, for people.
 * @param existing the spec that a sandbox was made with
 * @param requested the spec that is asked for now
 * @returns such as `MTU (1400, requested 1500)`; empty when the two are the same
 */
export function specDifferences(
  existing: NormalisedSpec,
  requested: NormalisedSpec,
): string[] {
  return Object.entries(FIELD_NAMES).flatMap(([field, label]) => {
    const [before, after] = [existing, requested].map((spec) =>
      canonicalText(Object.entries(spec).find(([key]) => key === field)?.[1])
    );
    if (before === after) return [];
    const details = `${before ?? "none"}, requested ${after ?? "none"}`;
    return [details.length > 80 ? label : `${label} (${details})`];
  });
}

/** Equal data has equal texts, whatever the order of its keys. */
function canonicalText(value: unknown): string | undefined {
  return JSON.stringify(
    value,
    (_, member: unknown) => isObject(member) ? sortedByKey(member) : member,
  );
}
