/**
 * Networks for tests: nodes, pods and an outside host as nested network namespaces, thrown away afterwards.
 *
 * @example Two nodes
 * ```ts
 * import { createLab } from "@podnet/podnet/testing";
 *
 * await using lab = await createLab({ nodes: 2 });
 * for (const { node } of lab.nodes) {
 *   await using pod = await node.createSandbox({ name: "pod" });
 *   console.log(node.name, pod.addresses);
 * }
 * ```
 *
 * @module
 */

export {
  createLab,
  Lab,
  LabHost,
  LabNode,
  type LabOptions,
  type Several,
} from "./lab.ts";
