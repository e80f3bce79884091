/**
 * What a process, a network namespace and a machine hold, as lists of names, so
 * that a test can be asked what it left behind.
 *
 * @module
 */

function* directory(path: string): Generator<Deno.DirEntry> {
  yield* ifPresent(() => [...Deno.readDirSync(path)]) ?? [];
}

/** Undefined when the file is not there, or vanished between listing and reading. */
export function ifPresent<T>(read: () => T): T | undefined {
  try {
    return read();
  } catch (error) {
    if (error instanceof Deno.errors.NotFound) return undefined;
    // The process ended between open and read: ESRCH, by whose number alone the runtime tells it at times.
    if (error instanceof Error && error.message.includes("(os error 3)")) {
      return undefined;
    }
    throw error;
  }
}

/** The network namespace of this thread, which is not always the process's. */
export function networkNamespace(): string {
  return Deno.readLinkSync("/proc/thread-self/ns/net");
}

function isRuntimeDescriptor(target: string): boolean {
  return /^\/proc\/\d+\/fd$/.test(target) ||
    /_cache_v\d+(-wal|-shm)?$/.test(target);
}

/** An open node keeps the records of sandboxes that it has changed open, each with its directory (`open_records.ts`). */
export function withoutKept<T extends { readonly target: string }>(
  descriptors: readonly T[],
): T[] {
  const kept = new Set<string>();
  for (const { target } of descriptors) {
    const place = /^(.*\/sandboxes\/[^/]+)\/record\.cbor$/.exec(target)?.[1];
    if (place !== undefined) kept.add(place).add(target);
  }
  // Of each one; a second one is somebody's.
  return descriptors.filter(({ target }) => !kept.delete(target));
}

function* descriptors(): Generator<string> {
  // podnet has one while anybody waits, which may be for longer than a test.
  let events = -1;
  const found = [...directory("/proc/self/fd")].flatMap(({ name }) => {
    const target = ifPresent(() => Deno.readLinkSync(`/proc/self/fd/${name}`));
    return target === undefined || isRuntimeDescriptor(target)
      ? []
      : [{ name, target }];
  });
  for (const { name, target } of withoutKept(found)) {
    // Each runtime of Deno has an eventfd beside its epoll, for a while also
    // after its worker ended; only an eventfd more than that is somebody's.
    if (target === "anon_inode:[eventpoll]") events--;
    else if (target === "anon_inode:[eventfd]") events++;
    else yield `descriptor ${name} (${target})`;
  }
  for (let at = 0; at < events; at++) yield "descriptor (eventfd)";
}

function* processes(): Generator<string> {
  for (const { name: pid } of directory("/proc")) {
    if (!/^\d+$/.test(pid)) continue;
    const status = ifPresent(() => Deno.readTextFileSync(`/proc/${pid}/stat`));
    // "12 (name) S …": a zombie (Z) is dead and only waits to be collected.
    const [, name, state] = /^\d+ \((.*)\) (\S)/s.exec(status ?? "") ?? [];
    if (name !== undefined && state !== "Z") yield `process ${pid} (${name})`;
  }
}

function* links(): Generator<string> {
  const table = Deno.readTextFileSync("/proc/thread-self/net/dev");
  for (const [, name] of table.matchAll(/^\s*(\S+):/gm)) yield `link ${name}`;
}

function* mounts(): Generator<string> {
  const table = Deno.readTextFileSync("/proc/thread-self/mountinfo");
  for (const line of table.trimEnd().split("\n")) {
    const [, , , , point, , ...rest] = line.split(" ");
    const type = rest[rest.indexOf("-") + 1];
    yield `mount ${point} (${type})`;
  }
}

function* temporaryFiles(): Generator<string> {
  for (const { name } of directory("/tmp")) yield `file /tmp/${name}`;
}

/** What is cheap to look at, save this process's own descriptors. */
function* surroundings(): Generator<string> {
  yield* processes();
  yield* links();
  yield* mounts();
  yield* temporaryFiles();
}

/** What one test may leave behind in its process and around it. */
export function processState(): string[] {
  return [...descriptors(), ...surroundings()];
}

function* output(program: string, ...args: string[]): Generator<string> {
  const { success, stdout, stderr } = new Deno.Command(program, { args })
    .outputSync();
  const decoder = new TextDecoder();
  if (!success) {
    throw new Error(`${program} ${args.join(" ")}: ${decoder.decode(stderr)}`);
  }
  for (const line of decoder.decode(stdout).trim().split("\n")) {
    if (line !== "") yield `${program} ${args.join(" ")}: ${line.trim()}`;
  }
}

function* cgroups(path = "/sys/fs/cgroup"): Generator<string> {
  for (const { name, isDirectory } of directory(path)) {
    if (!isDirectory) continue;
    yield `cgroup ${path}/${name}`;
    yield* cgroups(`${path}/${name}`);
  }
}

/** Empty directories are what runtimes, podnet among them, make once and keep. */
function* runFiles(path = "/run"): Generator<string> {
  for (const { name, isDirectory } of directory(path)) {
    if (isDirectory) yield* runFiles(`${path}/${name}`);
    else yield `file ${path}/${name}`;
  }
}

/** Everything a whole run may leave behind in its private namespaces. */
export function namespaceState(): string[] {
  return [
    ...surroundings(),
    ...output("nft", "list", "tables"),
    ...output("ip", "-o", "address"),
    ...output("ip", "-4", "route", "show", "table", "all"),
    ...output("ip", "-6", "route", "show", "table", "all"),
    ...output("ip", "-4", "rule"),
    ...output("ip", "-6", "rule"),
    ...cgroups(),
    ...runFiles(),
  ];
}

/** Traces of podnet on the machine itself; other things there may come and go. */
export function machineState(): string[] {
  return [
    ...[...links()].filter((name) => /^link (pn-|podnet)/.test(name)),
    ...[...mounts()].filter((name) => /\(nsfs\)$|podnet/.test(name)),
    ...[...directory("/run/podnet")].map(({ name }) =>
      `file /run/podnet/${name}`
    ),
    ...["net/ipv4/ip_forward", "net/ipv6/conf/all/forwarding"].map((name) =>
      `sysctl ${name} = ${
        ifPresent(() => Deno.readTextFileSync(`/proc/sys/${name}`))
      }`
    ),
  ];
}

/** What is in `after` and not in `before`; the same name may occur twice. */
export function added(
  before: readonly string[],
  after: readonly string[],
): string[] {
  const left = [...before];
  return after.filter((item) => {
    const at = left.indexOf(item);
    if (at !== -1) left.splice(at, 1);
    return at === -1;
  });
}

/** How long the kernel and Deno may take to tear down what was closed, on a machine that does much else. */
const SETTLE_MS = 20_000;
const SETTLE_STEP_MS = 10;

/** What `state` has more than before, once everything closed is really gone. */
export async function leftBehind(
  before: readonly string[],
  state: () => readonly string[],
): Promise<string[]> {
  const deadline = performance.now() + SETTLE_MS;
  for (;;) {
    const leaked = added(before, state());
    if (leaked.length === 0 || performance.now() > deadline) return leaked;
    await new Promise((resolve) => setTimeout(resolve, SETTLE_STEP_MS));
  }
}
