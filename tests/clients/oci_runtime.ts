/**
 * The OCI runtime of a machine.
 *
 * @module
 */
import { GATE } from "./gate.ts";
import type { Machine } from "./machine.ts";

/** Where containerd finds it, in place of Debian's. */
export const OCI_RUNTIME = "/usr/local/bin/runc";

/**
 * crun without control groups: those are the real machine's, and tests do not touch them. It comes to the gate `create`
 * before it makes a container.
 */
const SCRIPT = `#!/bin/sh
case " $* " in *" create "*) ${GATE} create || exit ;; esac
exec crun --cgroup-manager=disabled "$@"
`;

/** Puts it on a machine. */
export async function installOciRuntime(machine: Machine): Promise<void> {
  await machine.write(OCI_RUNTIME, SCRIPT, 0o755);
}
