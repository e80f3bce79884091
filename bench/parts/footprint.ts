/**
 * What pods cost besides time: memory of the kernel and of the process, system
 * calls, netlink messages.
 *
 * @module
 */
import type { Bench } from "../bench.ts";
import type { Driver } from "../driver.ts";
import { namespacesGone, slabObjects } from "../machine.ts";
import { LIMIT, start, WORK } from "../subjects.ts";
import { byName, countCalls } from "../strace.ts";

const SUBJECTS = ["podnet", LIMIT];

/** One field of a file like /proc/meminfo, in KB. */
async function field(path: string, name: string): Promise<number> {
  const text = await Deno.readTextFile(path);
  const found = new RegExp(`^${name}:\\s+(\\d+)`, "m").exec(text)?.[1];
  if (found === undefined) throw new Error(`${path} has no ${name}`);
  return Number(found);
}

/**
 * What the kernel itself uses, in KB: objects that are in use, without the room that its allocator keeps for more
 * (slabinfo(5)), and per-CPU data (proc_meminfo(5)).
 */
async function kernelKb(): Promise<number> {
  const table = await Deno.readTextFile("/proc/slabinfo");
  // "name active_objs num_objs objsize …" after two lines of head.
  const bytes = table.trimEnd().split("\n").slice(2).reduce((sum, line) => {
    const [, active = 0, , size = 0] = line.split(/ +/).map(Number);
    return sum + active * size;
  }, 0);
  return bytes / 1024 + await field("/proc/meminfo", "Percpu");
}

/** What a number of pods and a process use, in KB. */
interface Memory {
  readonly kernel: number;
  readonly resident: number;
  /** Only programs in JavaScript have one. */
  readonly heap: number | undefined;
}

async function memory(driver: Driver): Promise<Memory> {
  const heap = driver.name === LIMIT
    ? undefined
    : Number(await driver.ask("heap")) / 1024;
  const resident = await field(`/proc/${driver.pid}/status`, "VmRSS");
  return { kernel: await kernelKb(), resident, heap };
}

/** What `pods` pods add to a program and its kernel. */
async function growth(
  subject: string,
  pods: number,
): Promise<Record<string, number>> {
  await using driver = await start(subject);
  await driver.ask("create", 0, 20, 1, 1024);
  const before = await memory(driver);
  await driver.ask("create", 20, pods, 1, 2000);
  const after = await memory(driver);
  return {
    "memory a pod, kernel": (after.kernel - before.kernel) / pods,
    "memory a pod, resident": (after.resident - before.resident) / pods,
    ...(after.heap === undefined || before.heap === undefined
      ? {}
      : { "memory a pod, V8 heap": (after.heap - before.heap) / pods }),
    "memory of the process, resident": after.resident,
  };
}

async function measureMemory(bench: Bench): Promise<void> {
  const pods = bench.size(100, 1000);
  const found = new Map(
    SUBJECTS.map((name) => [name, new Map<string, number[]>()]),
  );
  for (let round = 0; round < bench.size(1, 2); round++) {
    bench.say(`memory of ${pods} pods`);
    for (const [subject, measures] of found) {
      const namespaces = slabObjects("net_namespace") ?? 0;
      for (const [name, kb] of Object.entries(await growth(subject, pods))) {
        measures.set(name, [...measures.get(name) ?? [], kb]);
      }
      await namespacesGone(namespaces);
    }
  }
  for (const [subject, measures] of found) {
    for (const [measure, values] of measures) {
      const row = { measure, subject, conditions: { pods }, unit: "KB" };
      bench.results.add(row, values);
    }
  }
}

/** Runs the command under strace, all threads. */
async function traced(
  driver: Driver,
  ...words: readonly (string | number)[]
): Promise<string> {
  const file = `${WORK}/strace`;
  const strace = new Deno.Command("strace", {
    args: [
      "--follow-forks",
      "--no-abbrev",
      "--string-limit=65536",
      `--output=${file}`,
      `--attach=${driver.pid}`,
    ],
    stdin: "null",
    stdout: "null",
    stderr: "piped",
  }).spawn();
  // It says so when it has attached.
  const said = strace.stderr.getReader();
  await said.read();
  await driver.ask(...words);
  strace.kill("SIGINT");
  for (; !(await said.read()).done;);
  await strace.status;
  return await Deno.readTextFile(file);
}

async function measureCalls(bench: Bench): Promise<void> {
  const pods = 50;
  for (const subject of SUBJECTS) {
    bench.say(`system calls: ${subject}`);
    await using driver = await start(subject);
    await driver.ask("create", 0, 100, 1, 1024);
    await driver.ask("remove", 0, 50);
    for (const [verb, first] of [["create", 1000], ["remove", 1000]] as const) {
      // What a command costs without pods is the program's, not podnet's.
      const nothing = countCalls(await traced(driver, verb, first, 0, 1, 9000));
      const counted = countCalls(
        await traced(driver, verb, first, pods, 1, 9000),
      );
      const row = { subject, conditions: {}, unit: "a pod" };
      bench.results.add(
        { ...row, measure: `${verb}: system calls` },
        [(counted.calls - nothing.calls) / pods],
      );
      bench.results.add(
        { ...row, measure: `${verb}: netlink messages` },
        [counted.messages / pods],
      );
      bench.say(`${subject} ${verb}, a pod: ${byName(counted, pods)}`);
    }
  }
}

/** Adds rows of memory and calls. */
export async function measureFootprint(bench: Bench): Promise<void> {
  await measureMemory(bench);
  await measureCalls(bench);
}
