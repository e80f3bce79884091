/**
 * podnet under measurement: the commands of `reference/pod.c`, done by the
 * library, and some more. Started by the harness, in a network and mount
 * namespace of its own:
 *
 *     podnet_driver.ts STATE_DIR [WARM [calls]]
 *
 * WARM is how many namespaces are kept ready, `none` for a podnet without a pool. With `calls` its answers tell what the C library's functions took instead of the laps.
 *
 * @module
 */
import {
  isSandboxError,
  type NodeOptions,
  openNode,
  type PortMapping,
  type Sandbox,
} from "../mod.ts";
import { cpuNs, wallNs } from "./clock.ts";
import { FirstPackets } from "./first_packets.ts";
import { StallSampler } from "./stall.ts";

const [stateDir = "/run/podnet", warm = "none", mode] = Deno.args;
/** First of all, so that it sees all sockets being opened. */
const calls = mode === "calls" ? await import("./calls.ts") : undefined;

/** How many namespaces are kept ready; a podnet that cannot says so. */
const options: NodeOptions & { readonly warm?: number } = {
  name: "bench",
  podCidrs: ["10.64.0.0/10", "fd00:64::/64"],
  stateDir,
  ...(warm === "none" ? {} : { warm: Number(warm) }),
};
await using node = await openNode(options).catch((error) => {
  if (warm === "none" || !isSandboxError(error, "InvalidSpec")) throw error;
  // It knows no warm pools; the harness says so.
  Deno.exit(1);
});
const pods = new Map<number, Sandbox>();

function pod(number: number): Sandbox {
  const found = pods.get(number);
  if (found === undefined) throw new RangeError(`no pod ${number}`);
  return found;
}

function portsFrom(base: number, count: number): PortMapping[] {
  return Array.from({ length: count }, (_, at) => ({
    hostPort: base + at,
    containerPort: 80 + at,
  }));
}

async function create(
  number: number,
  ports: readonly PortMapping[] = [],
): Promise<void> {
  pods.set(number, await node.createSandbox({ name: `pod${number}`, ports }));
}

async function remove(number: number): Promise<void> {
  await pod(number).remove();
  pods.delete(number);
}

type Operation = (number: number, ports: PortMapping[]) => Promise<void>;

/** Each does one operation: for pod `number`, with these host ports. */
const operations: Record<string, Operation> = {
  create,
  remove,
  async churn(number, ports) {
    await create(number, ports);
    await remove(number);
  },
  addPorts: (number, ports) => pod(number).addPorts(ports),
  removePorts: (number, ports) => pod(number).removePorts(ports),
};

/** The operation for each of the pods, by the numbers of a command. */
function each(
  operation: Operation,
  numbers: readonly number[],
): (() => Promise<void>)[] {
  const [first = 0, count = 0, ports = 0, base = 0] = numbers;
  return Array.from({ length: count }, (_, at) => {
    const mappings = portsFrom(base + at * ports, ports);
    return () => operation(first + at, mappings);
  });
}

async function time(operation: Operation, numbers: readonly number[]) {
  const laps = { wall: [] as number[], cpu: [] as number[] };
  for (const act of each(operation, numbers)) {
    const cpu = cpuNs();
    const wall = wallNs();
    await act();
    laps.wall.push(wallNs() - wall);
    laps.cpu.push(cpuNs() - cpu);
  }
  return laps;
}

/** Everything at once, as a runtime does whose caller starts many pods. */
async function allAtOnce(
  operation: (number: number) => Promise<void>,
  first: number,
  count: number,
): Promise<void> {
  await Promise.all(
    Array.from({ length: count }, (_, at) => operation(first + at)),
  );
}

type Command = (...numbers: readonly number[]) => unknown;

/** What is not timed operation by operation. */
const commands: Record<string, Command> = {
  /** Where a pod's network namespace is. */
  path: (number = 0) => pod(number).netnsPath,
  address: (number = 0) => pod(number).addresses[0],
  /** Bytes in V8's heap after a collection. */
  heap() {
    // `--v8-flags=--expose-gc` has put it there.
    const { gc } = globalThis as { readonly gc?: () => void };
    gc?.();
    return Deno.memoryUsage().heapUsed;
  },
  /** Lets whatever runs in the background have its time. */
  async idle(ms = 0) {
    await new Promise((resolve) => setTimeout(resolve, ms));
    return {};
  },
  /** Nanoseconds for which the event loop stood still at the longest, and how long it all took. */
  async storm(first = 0, count = 0) {
    const sampler = new StallSampler();
    const start = wallNs();
    await allAtOnce(create, first, count);
    const created = sampler.longest();
    await allAtOnce(remove, first, count);
    return { create: created, remove: sampler.end(), ns: wallNs() - start };
  },
  /** The same, one after the other. */
  async queue(first = 0, count = 0) {
    const sampler = new StallSampler();
    const start = wallNs();
    for (let at = 0; at < count; at++) await create(first + at);
    const created = sampler.longest();
    for (let at = 0; at < count; at++) await remove(first + at);
    return { create: created, remove: sampler.end(), ns: wallNs() - start };
  },
  /** How many of new pods lose the first packet that they send. */
  async firstPackets(first = 0, count = 0) {
    using packets = new FirstPackets();
    let lost = 0;
    for (let number = first; number < first + count; number++) {
      await create(number);
      const { netnsPath, addresses } = pod(number);
      if (!packets.arrive(netnsPath, addresses, node.gateways)) lost++;
    }
    return { lost };
  },
};

async function answer(line: string): Promise<unknown> {
  const [verb = "", ...words] = line.split(" ");
  const numbers = words.map(Number);
  const operation = operations[verb];
  if (operation !== undefined) {
    return calls === undefined
      ? await time(operation, numbers)
      : await calls.timeCalls(each(operation, numbers));
  }
  const command = commands[verb];
  if (command === undefined) throw new RangeError(`unknown command ${verb}`);
  return await command(...numbers);
}

let rest = "";
const input = Deno.stdin.readable.pipeThrough(new TextDecoderStream());
for await (const chunk of input) {
  const lines = (rest + chunk).split("\n");
  rest = lines.pop() ?? "";
  for (const line of lines) console.log(JSON.stringify(await answer(line)));
}
