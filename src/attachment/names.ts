/**
 * What podnet's links are called that are not pods' own: shapers, bridges, and their ports.
 *
 * @module
 */

/** Every shaper's name begins with this; the rest is as in the name of its link. */
export const SHAPER_PREFIX = "pb-";

/** Every name of a port begins with this. */
export const PORT_PREFIX = "pp-";

/** Every alias of a bridge of podnet's begins with this. */
export const BRIDGE_ALIAS = "podnet-bridge:";

/** The alias of the shaper of a link with an alias: another, for it is not a pod's link. */
export function shaperAlias(linkAlias: string): string {
  return linkAlias.replace(/^podnet:/, "podnet-egress:");
}
