/**
 * Processes of a machine that is made of namespaces.
 *
 * @module
 */
import { ifPresent } from "../../scripts/leaks.ts";
import { until } from "./patience.ts";

/** Its namespaces, as far as it has them yet. */
function namespacesOf(pid: number): string[] {
  return ["net", "mnt"].flatMap((kind) =>
    ifPresent(() => Deno.readLinkSync(`/proc/${pid}/ns/${kind}`)) ?? []
  );
}

function isMarked(pid: number, mark: string): boolean {
  const environment = ifPresent(() =>
    Deno.readTextFileSync(`/proc/${pid}/environ`)
  );
  return environment?.split("\0").includes(mark) ?? false;
}

/** Whether a process is there and has not ended: one that nobody has waited for yet has no environment any more. */
export function isAtWork(pid: number): boolean {
  return (ifPresent(() => Deno.readTextFileSync(`/proc/${pid}/environ`)) ?? "")
    .length > 0;
}

/**
 * Kills all that share the network or the mounts of a process, save itself, or that have a variable in their environment,
 * and waits until they are gone. A test that ends well has ended them before; what one leaves that fails would be told as a
 * second failure, of the whole run.
 *
 * @param mark `NAME=value`
 */
export async function endCompanions(pid: number, mark: string): Promise<void> {
  const own = namespacesOf(pid);
  const isCompanion = (other: number) =>
    other > 0 && other !== pid &&
    (namespacesOf(other).some((one) => own.includes(one)) ||
      isMarked(other, mark));
  await until(() => {
    const left = [...Deno.readDirSync("/proc")]
      .map(({ name }) => Number(name)).filter(isCompanion);
    for (const other of left) ifPresent(() => Deno.kill(other, "SIGKILL"));
    return left.length === 0;
  }, `processes beside ${pid} do not end`);
}
