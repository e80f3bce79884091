/**
 * podnet under measurement: the commands of `reference/pod.c`, done by the
 * library. Started by the harness, in a network and mount namespace of its own:
 *
 *     podnet_driver.ts STATE_DIR
 *
 * @module
 */
import { openNode, type PortMapping, type Sandbox } from "../mod.ts";
import { cpuNs, wallNs } from "./clock.ts";

const [stateDir = "/run/podnet"] = Deno.args;

await using node = await openNode({
  name: "bench",
  podCidrs: ["10.64.0.0/10", "fd00:64::/64"],
  stateDir,
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

async function create(number: number, ports: PortMapping[]): Promise<void> {
  pods.set(number, await node.createSandbox({ name: `pod${number}`, ports }));
}

async function remove(number: number): Promise<void> {
  await pod(number).remove();
  pods.delete(number);
}

/** Each does one operation: for pod `number`, with these host ports. */
const operations: Record<
  string,
  (number: number, ports: PortMapping[]) => Promise<void>
> = {
  create,
  remove,
  async churn(number, ports) {
    await create(number, ports);
    await remove(number);
  },
  addPorts: (number, ports) => pod(number).addPorts(ports),
  removePorts: (number, ports) => pod(number).removePorts(ports),
};

async function run(words: readonly string[]): Promise<unknown> {
  const [verb = "", ...numbers] = words;
  const [first = 0, count = 0, ports = 0, base = 0] = numbers.map(Number);
  const operation = operations[verb];
  if (operation === undefined) throw new RangeError(`unknown command ${verb}`);
  const laps = { wall: [] as number[], cpu: [] as number[] };
  for (let at = 0; at < count; at++) {
    const mappings = portsFrom(base + at * ports, ports);
    const cpu = cpuNs();
    const wall = wallNs();
    await operation(first + at, mappings);
    laps.wall.push(wallNs() - wall);
    laps.cpu.push(cpuNs() - cpu);
  }
  return laps;
}

let rest = "";
for await (
  const chunk of Deno.stdin.readable.pipeThrough(new TextDecoderStream())
) {
  const lines = (rest + chunk).split("\n");
  rest = lines.pop() ?? "";
  for (const line of lines) {
    console.log(JSON.stringify(await run(line.split(" "))));
  }
}
