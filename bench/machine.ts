/**
 * The machine that a run was made on, and what it is busy with.
 *
 * @module
 */

/** What results depend on besides the programs. */
export interface Machine {
  readonly kernel: string;
  readonly cpu: string;
  readonly cores: number;
  readonly memoryMb: number;
  readonly deno: string;
  /** Processes that were running or waiting, over the minute before the run and its last minute. */
  readonly loadBefore: number;
  readonly loadAfter: number;
  readonly time: string;
}

/** Jiffies of user programs; Linux has 100 a second on all that podnet runs on (USER_HZ). */
const MS_PER_TICK = 10;

/** CPU time that all processors have spent on anything but waiting, in milliseconds: proc_stat(5). */
export async function machineCpuMs(): Promise<number> {
  const [total = ""] = (await Deno.readTextFile("/proc/stat")).split("\n");
  const [user = 0, nice = 0, system = 0, , , irq = 0, softirq = 0] = total
    .split(/\s+/).slice(1).map(Number);
  return (user + nice + system + irq + softirq) * MS_PER_TICK;
}

/** Objects of one kind in the kernel's allocator, of the whole machine; undefined where the kernel does not tell (slabinfo(5)). */
export function slabObjects(name: string): number | undefined {
  try {
    const table = Deno.readTextFileSync("/proc/slabinfo");
    const active = new RegExp(`^${name} +(\\d+)`, "m").exec(table)?.[1];
    return active === undefined ? undefined : Number(active);
  } catch (error) {
    if (error instanceof Deno.errors.NotFound) return undefined;
    if (error instanceof Deno.errors.PermissionDenied) return undefined;
    throw error;
  }
}

/** The allocator's count is a little behind. */
const NEARLY = 60;
const PATIENCE_MS = 20_000;

/**
 * Waits until the kernel has destroyed what was dropped: it takes its time for
 * thousands of namespaces, and whoever is measured meanwhile pays for them.
 *
 * @param before {@linkcode slabObjects} of `net_namespace` when they were not there yet
 */
export async function namespacesGone(before: number): Promise<void> {
  const deadline = performance.now() + PATIENCE_MS;
  // On a machine that is used by others, too, it may never be as it was.
  while (
    (slabObjects("net_namespace") ?? 0) > before + NEARLY &&
    performance.now() < deadline
  ) await new Promise((resolve) => setTimeout(resolve, 50));
}

/** Processes that were running or waiting, over the last minute. */
export function load(): number {
  return Deno.loadavg()[0] ?? 0;
}

/** Describes it as it is now. */
export async function describeMachine(loadBefore: number): Promise<Machine> {
  const cpus = await Deno.readTextFile("/proc/cpuinfo");
  const cpu = /^model name\s*: (.*)$/m.exec(cpus)?.[1] ?? Deno.build.arch;
  return {
    kernel: Deno.osRelease(),
    cpu,
    cores: navigator.hardwareConcurrency,
    memoryMb: Math.round(Deno.systemMemoryInfo().total / 2 ** 20),
    deno: Deno.version.deno,
    loadBefore,
    loadAfter: load(),
    time: new Date().toISOString(),
  };
}

/** In one sentence. */
export function sentence(machine: Machine): string {
  const { kernel, cpu, cores, memoryMb, deno, loadBefore, loadAfter, time } =
    machine;
  return `Linux ${kernel}, ${cpu}, ${cores} cores, ${
    Math.round(memoryMb / 1024)
  } GB, Deno ${deno}; load ${loadBefore.toFixed(1)} before, ${
    loadAfter.toFixed(1)
  } after; ${time}`;
}
