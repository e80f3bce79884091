/**
 * Shows podnet at work: a node with two pods, real containers in one of them, and a machine outside. What it prints was
 * asked and answered just now; an answer that is not as it should be ends it with exit code 1.
 *
 *     deno task demo
 *
 * @module
 */
import { type Container, Pod } from "../examples/tiny_runtime.ts";
import { isSandboxError, NetworkNamespace } from "../mod.ts";
import { createLab, type Lab, type LabNode } from "../src/testing/mod.ts";
import {
  ask,
  authority,
  type Client,
  links,
  mountedNamespaces,
  serverProcesses,
} from "./demo/look.ts";
import { drawTopology } from "./demo/picture.ts";
import { makeRootfs } from "./rootfs.ts";

const HOST_PORT = 8080;
const APP = { name: "app", address: "::", port: 80 };
const SIDECAR = { name: "sidecar", address: "127.0.0.1", port: 9090 };

function heading(text: string): void {
  console.log(`\n${text}`);
}

/** Prints what was asked and what came back. */
function show(asked: string, answered: string): void {
  console.log(`  ${asked.padEnd(34)}  ${answered}`);
}

/** As {@linkcode show}, and insists on the answer. */
function expect(asked: string, answered: string, expected: string): void {
  show(asked, answered);
  if (answered !== expected) throw new Error(`expected: ${expected}`);
}

function since(start: number): string {
  return `${(performance.now() - start).toFixed(1)} ms`;
}

/** Has a server asked, and insists on its answer: who it is, and whom it sees. */
async function call(
  caller: { readonly name: string; readonly from: Client | Container },
  [hostname, port]: readonly [string, number],
  { name, sees }: { readonly name: string; readonly sees: string | undefined },
): Promise<void> {
  const asked = `${caller.name} asks ${authority(hostname, port)}`;
  const answered = await ask(caller.from, hostname, port);
  expect(asked, answered, `${name} here, you are ${sees}`);
}

/** Starts a container that serves, and waits until it does. */
async function startServer(
  pod: Pod,
  rootfs: string,
  { name, address, port }: typeof APP,
): Promise<Container> {
  const start = performance.now();
  const command = ["deno", "run", "--allow-net", "/server.ts"];
  const args = [...command, name, address, `${port}`];
  const container = await pod.run({ name, ports: [port], rootfs, args });
  let code: number | undefined;
  container.exited.then((exitCode) => code = exitCode);
  while (!container.log.includes("Listening")) {
    if (code !== undefined) throw new Error(`${name}: ${container.log}`);
    await new Promise((resolve) => setTimeout(resolve, 2));
  }
  show(name, `listens on ${authority(address, port)} after ${since(start)}`);
  return container;
}

/** All that there is to see. */
interface Scene {
  readonly lab: Lab;
  readonly machine: LabNode;
  readonly web: Pod;
  readonly client: Pod;
  readonly app: Container;
  readonly sidecar: Container;
}

async function setUp(lab: Lab, machine: LabNode): Promise<Scene> {
  heading("Two pods, each with a network namespace and addresses of its own");
  const start = performance.now();
  // Asked for, to have short ones: otherwise they are free ones of the node.
  const web = await Pod.create(lab.node, {
    name: "web",
    addresses: ["10.244.1.10", "fd00:10:244:1::10"],
    ports: [{ hostPort: HOST_PORT, containerPort: APP.port }],
  });
  const client = await Pod.create(lab.node, {
    name: "client",
    addresses: ["10.244.1.20", "fd00:10:244:1::20"],
  });
  const made = since(start);
  for (const { sandbox } of [web, client]) {
    show(sandbox.name, sandbox.addresses.join("  "));
  }
  show("both made in", made);

  heading("Two containers in pod web, run by crun");
  const rootfs = `${web.directory}/rootfs`;
  await Deno.mkdir(rootfs);
  await makeRootfs(rootfs, [Deno.execPath(), "readlink"]);
  const server = new URL("demo/server.ts", import.meta.url);
  await Deno.copyFile(server, `${rootfs}/server.ts`);
  const app = await startServer(web, rootfs, APP);
  const sidecar = await startServer(web, rootfs, SIDECAR);
  return { lab, machine, web, client, app, sidecar };
}

async function talk(scene: Scene): Promise<void> {
  const { lab: { outside, node }, machine, web, client, app, sidecar } = scene;

  heading("Container to container: one network namespace, one localhost");
  const path = "/proc/self/ns/net";
  using namespace = NetworkNamespace.open(web.sandbox.netnsPath);
  for (const container of [app, sidecar]) {
    const { output } = await container.exec("readlink", path);
    expect(`${container.name} reads ${path}`, output.trim(), namespace.id);
  }
  for (const sees of ["127.0.0.1", "::1"]) {
    const caller = { name: SIDECAR.name, from: sidecar };
    await call(caller, [sees, APP.port], { name: APP.name, sees });
  }
  const { name, address, port } = SIDECAR;
  const caller = { name: APP.name, from: app };
  await call(caller, [address, port], { name, sees: address });

  heading("Pod to pod: no NAT, the server sees the client's own address");
  for (const [i, address] of web.sandbox.addresses.entries()) {
    const caller = { name: "client", from: client.sandbox };
    const sees = client.sandbox.addresses[i];
    await call(caller, [address, APP.port], { name: APP.name, sees });
  }

  heading("Host port, from outside: the client's own address again");
  for (const [i, address] of machine.addresses.entries()) {
    const caller = { name: outside.name, from: outside };
    const sees = outside.addresses[i];
    await call(caller, [address, HOST_PORT], { name: APP.name, sees });
  }

  heading("What is taken stays taken");
  const ports = [{ hostPort: HOST_PORT, containerPort: APP.port }];
  try {
    await node.createSandbox({ name: "other", ports });
    throw new Error("a second pod got the host port");
  } catch (error) {
    if (!isSandboxError(error, "HostPortInUse")) throw error;
    show(`pod other wants host port ${HOST_PORT}`, error.code);
    show("because it belongs to", error.context.owner);
  }
}

function equal(
  a: Record<string, number>,
  b: Record<string, number>,
): boolean {
  return JSON.stringify(a) === JSON.stringify(b);
}

/** What there is more of while there are pods. */
function traces(machine: LabNode): Record<string, number> {
  return {
    [`links of ${machine.name}`]: links(machine),
    "mounted network namespaces": mountedNamespaces(),
    "processes of containers": serverProcesses(),
  };
}

async function tearDown(
  { lab, machine, web, client }: Scene,
  before: Record<string, number>,
  during: Record<string, number>,
): Promise<void> {
  heading("All of it removed");
  const start = performance.now();
  await web.remove();
  await client.remove();
  show("containers and pods removed in", since(start));
  let after = traces(machine);
  // The kernel destroys namespaces and their links on its own time.
  while (!equal(after, before) && performance.now() < start + 5000) {
    await new Promise((resolve) => setTimeout(resolve, 5));
    after = traces(machine);
  }
  for (const [what, count] of Object.entries(before)) {
    expect(
      what,
      `${during[what]}, now ${after[what]}`,
      `${during[what]}, now ${count}`,
    );
  }
  for (const address of machine.addresses) {
    const asked = `outside asks ${authority(address, HOST_PORT)}`;
    expect(asked, await ask(lab.outside, address, HOST_PORT), "refused");
  }
  for (const removed of (await lab.node.remove()).removed) {
    show(`${machine.name} loses`, removed);
  }
}

async function demo(): Promise<string> {
  heading("A lab: a node and a machine outside, played by network namespaces");
  const start = performance.now();
  await using lab = await createLab();
  const { outside, nodes: [machine] } = lab;
  if (machine === undefined) throw new TypeError("the lab has no node");
  show(machine.name, machine.addresses.join("  "));
  show(`${machine.name}, for pods`, lab.node.podCidrs.join("  "));
  show(outside.name, outside.addresses.join("  "));
  show("made in", since(start));
  const before = traces(machine);
  const scene = await setUp(lab, machine);
  const during = traces(machine);
  await talk(scene);
  const pods = [scene.web.sandbox, scene.client.sandbox];
  const drawn = drawTopology({ outside, node: machine, pods });
  await tearDown(scene, before, during);
  return drawn;
}

const start = performance.now();
const drawn = await demo();
console.log(
  `\nThat was, in ${
    ((performance.now() - start) / 1000).toFixed(1)
  } s:\n\n${drawn}`,
);
