/**
 * Processes by the namespaces that they are in.
 *
 * @module
 */
import { until } from "./patience.ts";

/** Undefined for a process that is gone, or about to be. */
function namespaceOf(pid: number, kind: "net" | "mnt"): string | undefined {
  try {
    return Deno.readLinkSync(`/proc/${pid}/ns/${kind}`);
  } catch (error) {
    if (error instanceof Deno.errors.NotFound) return undefined;
    // It ended in between.
    if (error instanceof Error && "code" in error && error.code === "ESRCH") {
      return undefined;
    }
    throw error;
  }
}

/** All that share the network or the mounts of a process, save itself. */
function companions(pid: number): number[] {
  const [net, mnt] = [namespaceOf(pid, "net"), namespaceOf(pid, "mnt")];
  return [...Deno.readDirSync("/proc")].map(({ name }) => Number(name))
    .filter((other) =>
      other > 0 && other !== pid &&
      (net !== undefined && namespaceOf(other, "net") === net ||
        mnt !== undefined && namespaceOf(other, "mnt") === mnt)
    );
}

/**
 * Kills all that share the network or the mounts of a process, save itself, and waits until they are gone. A test that ends
 * well has ended them before; what one leaves that fails would be told as a second failure, of the whole run.
 */
export async function endCompanions(pid: number): Promise<void> {
  await until(() => {
    const left = companions(pid);
    for (const other of left) {
      try {
        Deno.kill(other, "SIGKILL");
      } catch (error) {
        if (!(error instanceof Deno.errors.NotFound)) throw error;
      }
    }
    return left.length === 0;
  }, `processes beside ${pid} do not end`);
}
