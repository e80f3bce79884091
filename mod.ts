/**
 * Pod networking for custom container runtimes: a network namespace for each pod, shared by its containers, with an
 * address of its own, host ports and nothing between pods but routes.
 *
 * @example
 * ```ts no-eval
 * import { openNode } from "@podnet/podnet";
 *
 * await using node = await openNode({ podCidrs: ["10.244.1.0/24", "fd00:10:244:1::/64"] });
 * const sandbox = await node.createSandbox({
 *   name: "web-0",
 *   ports: [{ hostPort: 8080, containerPort: 80 }],
 * });
 * console.log(sandbox.addresses, sandbox.ociNamespace());
 * await sandbox.remove();
 * ```
 *
 * @module
 */
