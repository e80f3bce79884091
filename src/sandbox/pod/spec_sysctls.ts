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

/** Sets them all. */
export function writeSpecSysctls(
  namespace: NetworkNamespace,
  { sysctls }: Pick<NormalisedSpec, "sysctls">,
): void {
  for (const [name, value] of Object.entries(sysctls)) {
    writeSpecSysctl(namespace, name, value);
  }
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
