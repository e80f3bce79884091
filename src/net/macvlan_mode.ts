/**
 * Modes of macvlan links as values.
 *
 * @module
 */

/** How a macvlan treats others of its parent (Documentation/networking/macvlan). */
export const MACVLAN_MODES = ["bridge", "private", "vepa", "passthru"] as const;

/** One of {@linkcode MACVLAN_MODES}. */
export type MacvlanMode = typeof MACVLAN_MODES[number];
