/**
 * Whether podnet stays as it is: many pods at once, then very many one after
 * the other, and a look at everything that could pile up.
 *
 * @module
 */
import { type Node, openNode, type Sandbox } from "../mod.ts";
import { processState } from "../scripts/leaks.ts";
import { wallNs } from "./clock.ts";
import { slabObjects } from "./machine.ts";
import { StallSampler } from "./stall.ts";
import { percentile } from "./statistics.ts";

/** How much of it. */
export interface SoakOptions {
  /** Pods that are alive at once before the cycles. */
  readonly peak: number;
  /** Pods that live through all cycles. */
  readonly alive: number;
  /** How often a pod is made and removed. */
  readonly cycles: number;
  /** A look is taken after so many. */
  readonly every: number;
}

/** What there is of everything at one moment. */
export interface Sample {
  readonly cycles: number;
  /** What must not change at all, as numbers of objects. */
  readonly exact: Readonly<Record<string, number>>;
  /** What must not grow: bytes of memory, and threads, which the runtime starts and ends as it likes. */
  readonly flat: Readonly<Record<string, number>>;
  /** What others on the machine change, too. */
  readonly told: Readonly<Record<string, number>>;
  /** Since the last sample, in microseconds; what must not get slower. */
  readonly times: Readonly<Record<string, number>>;
}

/** What a soak found. */
export interface SoakResult {
  /** Before anything was made, and after everything was removed. */
  readonly before: Sample;
  readonly after: Sample;
  /** In the order of cycles, all with the same pods alive. */
  readonly samples: readonly Sample[];
  /** The longest that the event loop stood still, in milliseconds. */
  readonly longestStallMs: number;
}

function lines(path: string): number {
  return Deno.readTextFileSync(path).trimEnd().split("\n").length;
}

/** Descriptors of this process but those that the runtime itself opens when it likes. */
function descriptors(): number {
  return processState().filter((name) => name.startsWith("descriptor")).length;
}

/** Elements of all sets and maps of podnet's table. */
function elements(): number {
  const { stdout } = new Deno.Command("nft", {
    args: ["--json", "list", "table", "inet", "podnet"],
  }).outputSync();
  interface Entry {
    readonly set?: { readonly elem?: readonly unknown[] };
    readonly map?: { readonly elem?: readonly unknown[] };
  }
  const { nftables }: { readonly nftables: readonly Entry[] } = JSON.parse(
    new TextDecoder().decode(stdout),
  );
  return nftables.reduce(
    (sum, { set, map }) =>
      sum + (set?.elem?.length ?? 0) + (map?.elem?.length ?? 0),
    0,
  );
}

/** How many connections this network namespace tracks. */
const CONNECTIONS = "/proc/sys/net/netfilter/nf_conntrack_count";

/** Files and directories under a path. */
function files(path: string): number {
  let count = 0;
  for (const { name, isDirectory } of Deno.readDirSync(path)) {
    count += 1 + (isDirectory ? files(`${path}/${name}`) : 0);
  }
  return count;
}

/** The kernel destroys links on its own time: waits until there are as few as there are to be. */
async function settle(links: number): Promise<void> {
  const deadline = performance.now() + 30_000;
  while (lines("/proc/self/net/dev") > links) {
    // Those that are still there are then in the sample.
    if (performance.now() > deadline) return;
    await new Promise((resolve) => setTimeout(resolve, 20));
  }
}

function median(values: readonly number[]): number {
  if (values.length === 0) return 0;
  return percentile(values.toSorted((a, b) => a - b), 0.5);
}

function highest(values: readonly number[]): number {
  if (values.length === 0) return 0;
  return percentile(values.toSorted((a, b) => a - b), 0.99);
}

/** A soak in progress. */
class Soak {
  readonly #node: Node;
  readonly #create: number[] = [];
  readonly #remove: number[] = [];
  /** Links of the node itself. */
  readonly #ownLinks = lines("/proc/self/net/dev");

  constructor(node: Node) {
    this.#node = node;
  }

  async create(number: number): Promise<Sandbox> {
    const start = wallNs();
    const sandbox = await this.#node.createSandbox({
      name: `pod${number}`,
      ports: [{ hostPort: 1024 + number % 60_000, containerPort: 80 }],
    });
    this.#create.push((wallNs() - start) / 1000);
    return sandbox;
  }

  async remove(sandbox: Sandbox): Promise<void> {
    const start = wallNs();
    await sandbox.remove();
    this.#remove.push((wallNs() - start) / 1000);
  }

  /** Looks at everything, once the kernel has come to an end with what was removed. */
  async sample(cycles: number, pods: number): Promise<Sample> {
    await settle(this.#ownLinks + pods);
    // `--v8-flags=--expose-gc` has put it there.
    const { gc } = globalThis as { readonly gc?: () => void };
    gc?.();
    const times = {
      "create, median": median(this.#create),
      "create, p99": highest(this.#create),
      "remove, median": median(this.#remove),
      "remove, p99": highest(this.#remove),
    };
    this.#create.length = 0;
    this.#remove.length = 0;
    const { rss, heapUsed } = Deno.memoryUsage();
    return {
      cycles,
      exact: {
        descriptors: descriptors(),
        links: lines("/proc/self/net/dev"),
        "IPv4 routes": lines("/proc/self/net/route"),
        "IPv6 routes": lines("/proc/self/net/ipv6_route"),
        mounts: lines("/proc/self/mountinfo"),
        "nf_tables elements": elements(),
        "tracked connections": Number(Deno.readTextFileSync(CONNECTIONS)),
        files: files(this.#node.stateDir),
      },
      flat: {
        threads: [...Deno.readDirSync("/proc/self/task")].length,
        "resident memory": rss,
        "V8 heap": heapUsed,
      },
      told: {
        "network namespaces of the machine": slabObjects("net_namespace") ?? 0,
      },
      times,
    };
  }
}

/**
 * Runs it in the network namespace of this process, which is to be its alone.
 *
 * @param say is told what goes on
 */
export async function soak(
  { peak, alive, cycles, every }: SoakOptions,
  say: (text: string) => void = () => {},
): Promise<SoakResult> {
  await using node = await openNode({
    name: "soak",
    podCidrs: ["10.64.0.0/10", "fd00:64::/64"],
  });
  const soak = new Soak(node);
  // What the first pod needs is loaded and opened with it, and stays.
  await soak.remove(await soak.create(0));
  // Half a second after its start Deno opens a pair of sockets of its own, and keeps them.
  await new Promise((resolve) => setTimeout(resolve, 1000));
  const before = await soak.sample(0, 0);
  const stalls = new StallSampler();
  let longest = 0;
  /** A look takes long, and is not podnet's. */
  const look = async (cycles: number, pods: number): Promise<Sample> => {
    longest = Math.max(longest, stalls.longest());
    const sample = await soak.sample(cycles, pods);
    stalls.longest();
    return sample;
  };

  let pods: Sandbox[] = [];
  for (let number = 0; number < peak; number++) {
    pods.push(await soak.create(number));
  }
  const { times } = await look(0, peak);
  say(
    `${peak} pods alive; create ${
      Math.round(times["create, median"] ?? 0)
    } µs, median`,
  );
  for (const pod of pods) await soak.remove(pod);

  pods = [];
  for (let number = 0; number < alive; number++) {
    pods.push(await soak.create(number));
  }
  const samples: Sample[] = [];
  for (let cycle = 0; cycle <= cycles; cycle++) {
    if (cycle % every === 0) {
      samples.push(await look(cycle, alive));
      say(`${cycle} of ${cycles} cycles`);
    }
    if (cycle === cycles) break;
    await soak.remove(await soak.create(peak + alive + cycle));
  }
  for (const pod of pods) await soak.remove(pod);
  const after = await look(cycles, 0);
  stalls.end();
  await node.remove();
  return { before, after, samples, longestStallMs: longest / 1e6 };
}
