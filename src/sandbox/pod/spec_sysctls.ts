/**
 * The sysctls that a spec asks for.
 *
 * @module
 */
import { isSandboxError, SandboxError } from "../../errors.ts";
import type { NetworkNamespace } from "../../namespace/network_namespace.ts";
import { writeSysctl } from "../../namespace/sysctl.ts";
import { joinPath } from "../../spec/problems.ts";
import type { NormalisedSpec } from "../../spec/sandbox_spec.ts";

type Spec = Pick<NormalisedSpec, "sysctls" | "interfaces">;

/** Sets them all, but for those of further interfaces, which are not there yet. */
export function writeSpecSysctls(
  namespace: NetworkNamespace,
  spec: Spec,
): void {
  for (const [name, value] of Object.entries(spec.sysctls)) {
    if (isOfFurther(spec, name)) continue;
    writeSpecSysctl(namespace, name, value);
  }
}

/** Sets those of further interfaces. */
export function writeInterfaceSysctls(
  namespace: NetworkNamespace,
  spec: Spec,
): void {
  for (const [name, value] of Object.entries(spec.sysctls)) {
    if (isOfFurther(spec, name)) writeSpecSysctl(namespace, name, value);
  }
}

function isOfFurther({ interfaces }: Spec, sysctl: string): boolean {
  const [, word] = /^net\.\w+\.(?:conf|neigh)\.([^.]+)\./.exec(sysctl) ?? [];
  const own = word?.replaceAll("/", ".");
  return interfaces.some(({ name }) => name === own);
}

/** What the kernel refuses is told by its place in the spec. */
function writeSpecSysctl(
  namespace: NetworkNamespace,
  name: string,
  value: string,
): void {
  try {
    writeSysctl(namespace, name, value);
  } catch (error) {
    if (!isSandboxError(error, "InvalidSpec")) throw error;
    const path = joinPath("sysctls", name);
    throw new SandboxError("InvalidSpec", {
      problems: error.context.problems.map((problem) => ({ ...problem, path })),
    }, { cause: error.cause });
  }
}
