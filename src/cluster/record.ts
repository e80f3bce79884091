/**
 * A member as it is stored: JSON that others have written, read strictly.
 *
 * @module
 */
import * as v from "valibot";
import { Cidr } from "../net/cidr.ts";
import * as field from "../spec/fields.ts";
import { isObject } from "../spec/problems.ts";
import { MAX_NODE_NAME_LENGTH } from "../spec/limits.ts";
import type { ClusterMember } from "./member.ts";
import { type ClusterSettings, nodePrefixLengthOf } from "./settings.ts";

/** A member takes some 300 bytes. */
const MAX_LENGTH = 4096;
/** A node tells of no more of its addresses. */
export const MAX_ADDRESSES = 64;

/** Texts that mean the same are the same: others compare them. */
function canonical<T extends { toString(): string }>(
  schema: field.Field<T>,
): field.Field<string> {
  return v.pipe(schema, v.transform(String));
}

// Fields that a later version adds are no fault.
const member = v.object({
  name: field.name(MAX_NODE_NAME_LENGTH),
  podCidrs: v.pipe(
    field.list("a list of networks", canonical(field.cidr), 2),
    v.minLength(1, "is empty"),
  ),
  addresses: v.pipe(
    field.list("a list of addresses", canonical(field.address), MAX_ADDRESSES),
    v.minLength(1, "is empty"),
  ),
  vxlan: v.exactOptional(v.object({
    vni: field.integer("a VXLAN network identifier", 1, 2 ** 24 - 1),
    port: field.port,
    mac: canonical(field.mac),
  })),
  wireguard: v.exactOptional(v.object({
    // 32 bytes.
    publicKey: v.pipe(
      v.string(),
      v.regex(/^[A-Za-z0-9+/]{42}[AEIMQUYcgkosw048]=$/),
    ),
    port: field.port,
  })),
});

/** Writes a member: two that say the same have the same text. */
export function writeMember(
  { name, podCidrs, addresses, vxlan, wireguard }: ClusterMember,
): string {
  return JSON.stringify({ name, podCidrs, addresses, vxlan, wireguard });
}

/** Whether two members say the same. */
export function isSameMember(a: ClusterMember, b: ClusterMember): boolean {
  return a === b || writeMember(a) === writeMember(b);
}

/**
 * Reads a member.
 *
 * @param name that it is stored under
 * @returns a text that says what is wrong, when it is none that this cluster can have
 */
export function readMember(
  name: string,
  text: string,
  settings: ClusterSettings,
): ClusterMember | string {
  if (text.length > MAX_LENGTH) return `it has ${text.length} characters`;
  let input: unknown;
  try {
    input = JSON.parse(text);
  } catch {
    return "it is no JSON";
  }
  if (!isObject(input)) return "it is no object";
  const result = v.safeParse(member, input);
  if (!result.success) {
    const [issue] = result.issues;
    return `${v.getDotPath(issue) ?? "it"}: ${issue.message}`;
  }
  const found = result.output;
  if (found.name !== name) return `it says that it is "${found.name}"`;
  for (const podCidr of found.podCidrs) {
    const { family, prefixLength } = Cidr.parse(podCidr);
    const wanted = nodePrefixLengthOf(settings, family);
    if (prefixLength !== wanted) {
      return `${podCidr} is no network of a node, which are /${wanted}`;
    }
  }
  return found;
}
