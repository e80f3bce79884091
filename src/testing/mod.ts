/**
 * Networks for tests: nodes, pods and an outside host as nested network namespaces, thrown away afterwards.
 *
 * @example
 * ```ts no-eval
 * import { createLab } from "@podnet/podnet/testing";
 *
 * await using lab = await createLab({ nodes: 2 });
 * const [one, two] = lab.nodes;
 * const web = await one.node.createSandbox({ name: "web", ports: [{ hostPort: 8080, containerPort: 80 }] });
 * const client = await two.node.createSandbox({ name: "client" });
 * ```
 *
 * @module
 */

export { createLab, Lab, LabHost, LabNode, type LabOptions } from "./lab.ts";
