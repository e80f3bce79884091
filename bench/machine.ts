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
  /** Processes that were running or waiting, over the last minute. */
  readonly load: number;
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

/** Describes it as it is now. */
export async function describeMachine(): Promise<Machine> {
  const cpus = await Deno.readTextFile("/proc/cpuinfo");
  const cpu = /^model name\s*: (.*)$/m.exec(cpus)?.[1] ?? Deno.build.arch;
  return {
    kernel: Deno.osRelease(),
    cpu,
    cores: navigator.hardwareConcurrency,
    memoryMb: Math.round(Deno.systemMemoryInfo().total / 2 ** 20),
    deno: Deno.version.deno,
    load: Deno.loadavg()[0] ?? 0,
    time: new Date().toISOString(),
  };
}
