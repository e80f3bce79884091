/**
 * The sandbox of a container whose network namespace an OCI runtime made.
 *
 * @module
 */
import { SandboxError } from "../errors.ts";
import { NetworkNamespace } from "../namespace/network_namespace.ts";
import { createAdopted, openIfKnown, removeWhole } from "../sandbox/adopted.ts";
import { digest } from "../sandbox/records/digest.ts";
import type { Node } from "../sandbox/node.ts";
import type { NodeOptions } from "../spec/node_options.ts";
import { joinPath, Problems } from "../spec/problems.ts";
import type { SandboxSpec } from "../spec/sandbox_spec.ts";
import { isSafeSysctl, sysctlProblem } from "../spec/sysctls.ts";
import { fillFiles, requireFiles } from "./bundle_files.ts";
import type { ContainerState } from "./container_state.ts";

/** What tells containers apart. */
export type ContainerKey = Pick<ContainerState, "id" | "bundle">;

/** Labels that lead from a sandbox to its container. */
export const LABELS = { id: "oci.container", bundle: "oci.bundle" } as const;

/**
 * The id of the container's sandbox. Of the bundle too: the specification has ids unique on a machine, but runtimes of
 * different directories do not know of each other, as those of containerd's namespaces.
 */
export function sandboxIdOf({ id, bundle }: ContainerKey): string {
  // Hashed, since the two may have characters that no id has. Neither has the one between them.
  return `oci-${digest(`${id}\0${bundle}`).subarray(0, 12).toHex()}`;
}

/** The name of a sandbox that is given none: the container's id, as far as its characters can be in names. */
export function sandboxNameOf(containerId: string): string {
  const name = containerId.replace(/[^a-zA-Z0-9_.-]/g, "-").slice(0, 253);
  return /^[a-zA-Z0-9]/.test(name) ? name : `c${name}`.slice(0, 253);
}

/**
 * Gives the container's namespace its network, or changes nothing. What an earlier container of this id and bundle left, whose
 * runtime did not run its hooks at the end, goes first.
 *
 * With names in its spec, the files of the bundle are filled with them.
 *
 * @throws {SandboxError} `InvalidNamespace` also when the container has the network of its runtime; `InvalidSpec` also when the
 * bundle lacks a file, and for a sysctl that is not safe
 * @throws {SyscallError}
 */
export async function createContainerSandbox(
  { pid = 0, ...key }: ContainerKey & Pick<ContainerState, "pid">,
  node: Node,
  spec: SandboxSpec,
): Promise<void> {
  using namespace = NetworkNamespace.fromPid(pid);
  refuseOwn(namespace, pid);
  refuseUnsafe(spec.sysctls);
  const hasNames = spec.dns !== undefined;
  if (hasNames) requireFiles(key.bundle);
  const wanted = {
    ...spec,
    id: sandboxIdOf(key),
    labels: {
      ...spec.labels,
      [LABELS.id]: key.id,
      [LABELS.bundle]: key.bundle,
    },
    netns: `/proc/${pid}/ns/net`,
  };
  await using sandbox = await createAdopted(node, wanted);
  if (!hasNames) return;
  try {
    fillFiles(key.bundle, sandbox.dns);
  } catch (error) {
    await removeWhole(node, wanted.id);
    throw error;
  }
}

/** Takes the container's network away, whatever is left of it, as often as it is asked. Its namespace is not needed. */
export async function removeContainerSandbox(
  key: ContainerKey,
  reference: Pick<NodeOptions, "name" | "stateDir" | "netns">,
): Promise<void> {
  await using node = await openIfKnown(reference);
  if (node !== undefined) await removeWhole(node, sandboxIdOf(key));
}

/** A container without a network namespace of its own, which must not change that of the machine. */
function refuseOwn(namespace: NetworkNamespace, pid: number): void {
  using own = NetworkNamespace.current();
  if (own.id !== namespace.id) return;
  throw new SandboxError("InvalidNamespace", {
    path: `/proc/${pid}/ns/net`,
    reason:
      'it is the one that the runtime is in: write { "type": "network" } into linux.namespaces of config.json',
  });
}

/** Whoever may start a container may write annotations, so none lifts this protection: the advice is another than for specs. */
function refuseUnsafe(sysctls: SandboxSpec["sysctls"] = {}): void {
  const problems = new Problems();
  for (const [name, value] of Object.entries(sysctls)) {
    if (isSafeSysctl(name) || sysctlProblem(name) !== undefined) continue;
    problems.add(
      joinPath("sysctls", name),
      "is not on the list of safe sysctls: leave it out, or write it into linux.sysctl of config.json (podman run --sysctl)",
      value,
    );
  }
  problems.finish(sysctls);
}
