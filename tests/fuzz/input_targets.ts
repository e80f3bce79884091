/**
 * Everything that comes from callers and from the disk; no kernel is needed.
 *
 * @module
 */
import { cniTargets } from "./cni_targets.ts";
import { clusterTargets } from "./cluster_targets.ts";
import { commandTargets } from "./command_targets.ts";
import { ociTargets } from "./oci_targets.ts";
import { recordTargets } from "./record_targets.ts";
import { specTargets } from "./spec_targets.ts";
import type { Target } from "./target.ts";
import { textTargets } from "./text_targets.ts";

/** All of them. */
export const inputTargets: readonly Target[] = [
  ...specTargets,
  ...textTargets,
  ...commandTargets,
  ...cniTargets,
  ...ociTargets,
  ...clusterTargets,
  ...recordTargets(),
];
