/**
 * What traffic to a pod costs: new connections and bytes, through a host port
 * among few and many, without address translation, from another pod, and through
 * as many rules of iptables.
 *
 * @module
 */
import type { Bench } from "../bench.ts";
import { Driver, inside, type Laps } from "../driver.ts";
import { run, start, WORK } from "../subjects.ts";

const SERVER_PORT = 80;
const NODE = "192.0.2.1";
const OUTSIDE = "192.0.2.2";
const POD_CIDR = "10.64.0.0/10";
/** Of pods that only hold mappings. */
const PORTS_A_POD = 1000;
const FIRST_PORT = 1024;
/** Of the pod that is talked to; above all others. */
const MAPPED_PORT = 62_000;
const SERVER_POD = 5000;
const CLIENT_POD = 5001;

/** Runs a command in the network namespace of a program. */
async function within(driver: Driver, ...command: string[]): Promise<void> {
  const [program = "", ...args] = [...inside(driver.pid), ...command];
  await run(program, args);
}

/** A program that makes traffic, where `enter` leads. */
function loader(name: string, enter?: readonly string[]): Driver {
  return new Driver({
    name,
    command: [`${WORK}/load`, "client"],
    directory: WORK,
    ...(enter === undefined ? {} : { enter }),
  });
}

/** A server in a pod, and what it takes to end it. */
function server(netns: string, node: Driver): Driver {
  return new Driver({
    name: "server",
    command: [`${WORK}/load`, "serve", String(SERVER_PORT)],
    directory: WORK,
    enter: inside(node.pid, netns),
  });
}

/** A node of podnet's with a cable to a machine outside, a pod that serves and a pod that asks. */
interface Scene {
  readonly node: Driver;
  /** Makes traffic outside of the node. */
  readonly outside: Driver;
  /** Makes traffic in a pod of it. */
  readonly pod: Driver;
  /** Where the server is. */
  readonly address: string;
}

async function setScene(open: AsyncDisposableStack): Promise<Scene> {
  const node = open.use(await start("podnet"));
  const outside = open.use(loader("outside"));
  const pid = String(outside.pid);
  // The loader's own namespace is there once it runs; unshare has run by then.
  await outside.ready();
  const ip = (driver: Driver, line: string) =>
    within(driver, "ip", ...line.split(" "));
  await ip(node, `link add cable type veth peer name cable netns ${pid}`);
  await ip(node, `address add ${NODE}/24 dev cable`);
  await ip(node, "link set cable up");
  await ip(outside, `address add ${OUTSIDE}/24 dev cable`);
  await ip(outside, "link set lo up");
  await ip(outside, "link set cable up");
  await ip(outside, `route add ${POD_CIDR} via ${NODE}`);
  await node.ask("create", SERVER_POD, 1, 1, MAPPED_PORT);
  await node.ask("create", CLIENT_POD, 1, 0, 0);
  const netns: string = JSON.parse(await node.ask("path", SERVER_POD));
  const clientNetns: string = JSON.parse(await node.ask("path", CLIENT_POD));
  await open.use(server(netns, node)).line();
  const pod = open.use(loader("pod", inside(node.pid, clientNetns)));
  const address: string = JSON.parse(await node.ask("address", SERVER_POD));
  return { node, outside, pod, address };
}

/** One way to the server. */
interface Path {
  readonly subject: string;
  readonly conditions: Readonly<Record<string, number | string>>;
  readonly from: Driver;
  readonly address: string;
  readonly port: number;
}

/** Takes turns on all paths; the rounds' rates and times become rows. */
async function compare(bench: Bench, paths: readonly Path[]): Promise<void> {
  const ms = bench.size(100, 250);
  const rates = paths.map(() => [] as number[]);
  const times = paths.map(() => [] as number[]);
  const bits = paths.map(() => [] as number[]);
  for (let round = 0; round <= bench.size(2, 20); round++) {
    for (const [at, { from, address, port }] of paths.entries()) {
      const laps: Laps = await from.laps("connect", address, port, ms);
      const stream = JSON.parse(await from.ask("stream", address, port, ms));
      if (round === 0) continue;
      rates[at]?.push(laps.wall.length / ms * 1000);
      times[at]?.push(...laps.wall.map((ns) => ns / 1000));
      bits[at]?.push(stream.bytes * 8 / stream.ns);
    }
  }
  for (const [at, { subject, conditions }] of paths.entries()) {
    const row = { subject, conditions };
    const measures = [
      ["new connections", "1/s", rates[at]],
      ["new connection", "µs", times[at]],
      ["throughput", "Gbit/s", bits[at]],
    ] as const;
    for (const [measure, unit, values] of measures) {
      bench.results.add({ ...row, measure, unit }, values ?? []);
    }
  }
}

/** As many rules, the one of the server last, as portmap and Docker write them. */
async function addIptables(
  { node, address }: Scene,
  mappings: number,
): Promise<void> {
  const rule = (port: number, to: string) =>
    `-A PORTS -p tcp --dport ${port} -j DNAT --to-destination ${to}`;
  const others = Array.from(
    { length: mappings - 1 },
    (_, at) => rule(FIRST_PORT + at, "10.64.255.254:80"),
  );
  const rules = [
    "*nat",
    ":PORTS - [0:0]",
    "-A PREROUTING -m addrtype --dst-type LOCAL -j PORTS",
    ...others,
    rule(MAPPED_PORT + 1, `${address}:${SERVER_PORT}`),
    "COMMIT",
    "",
  ];
  const file = `${WORK}/iptables`;
  await Deno.writeTextFile(file, rules.join("\n"));
  await within(node, "iptables-restore", file);
}

/** A node for each number of mappings, made by podnet or by iptables. */
async function scenesOf(
  bench: Bench,
  open: AsyncDisposableStack,
  subject: "podnet" | "iptables",
  levels: readonly number[],
): Promise<{ readonly scene: Scene; readonly mappings: number }[]> {
  const scenes = [];
  for (const mappings of levels) {
    bench.say(`a node with ${mappings} mappings of ${subject}`);
    const scene = await setScene(open);
    if (subject === "podnet") {
      const pods = Math.floor(mappings / PORTS_A_POD);
      await scene.node.ask("create", 0, pods, PORTS_A_POD, FIRST_PORT);
    } else await addIptables(scene, mappings);
    scenes.push({ scene, mappings });
  }
  return scenes;
}

/** Adds rows for connections and throughput. */
export async function measureTraffic(bench: Bench): Promise<void> {
  const levels = bench.size([1, 1000], [1, 1000, 10_000, 60_000]);
  await using open = new AsyncDisposableStack();
  const mapped = await scenesOf(bench, open, "podnet", levels);
  // iptables takes minutes for 60,000 rules.
  const ruled = await scenesOf(
    bench,
    open,
    "iptables",
    levels.filter((mappings) => mappings <= 10_000),
  );
  const [first] = mapped;
  if (first === undefined) throw new RangeError("no levels");
  const { outside, pod, address } = first.scene;
  bench.say("connections and throughput");
  const direct = { subject: "podnet", address, port: SERVER_PORT };
  await compare(bench, [
    { ...direct, conditions: { path: "no NAT" }, from: outside },
    { ...direct, conditions: { path: "pod to pod" }, from: pod },
    ...mapped.map(({ scene, mappings }) => ({
      subject: "podnet",
      conditions: { path: "host port", mappings },
      from: scene.outside,
      address: NODE,
      port: MAPPED_PORT,
    })),
    ...ruled.map(({ scene, mappings }) => ({
      subject: "iptables",
      conditions: { path: "host port", mappings },
      from: scene.outside,
      address: NODE,
      port: MAPPED_PORT + 1,
    })),
  ]);
}
