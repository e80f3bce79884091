/**
 * Pods of real containers for the tests: a lab, a root file system, and the runtime of the examples on top of them.
 *
 * crun refuses a machine whose /sys/fs/cgroup mixes both versions: scripts/isolate.ts makes it one.
 *
 * @module
 */
import { assert, assertEquals, assertMatch } from "@std/assert";
import { type Container, Pod } from "../../examples/tiny_runtime.ts";
import type { ContainerSpec, SandboxSpec } from "../../mod.ts";
import { makeRootfs } from "../../scripts/rootfs.ts";
import { createLab, type Lab, type LabNode } from "../../src/testing/mod.ts";
import { eventually } from "../support/patience.ts";

/** The OCI runtimes that every test is run with, with their global options. */
const OCI_RUNTIMES = {
  crun: ["crun", "--cgroup-manager=disabled"],
  runc: ["runc"],
} as const;

/** Programs that the containers have. */
const PROGRAMS = [
  "bash",
  "cat",
  "getent",
  "head",
  "ip",
  "readlink",
  "sh",
  "sleep",
  "socat",
  "timeout",
];

let rootfs = "";

/** Makes the module's root file system before its first test, and removes it after the last. */
export function withRootfs(): void {
  Deno.test.beforeAll(async () => {
    rootfs = await Deno.makeTempDir({ prefix: "rootfs-" });
    await makeRootfs(rootfs, PROGRAMS);
  });
  Deno.test.afterAll(() => Deno.remove(rootfs, { recursive: true }));
}

/** Declares a test once for each OCI runtime. */
export function testContainers(
  name: string,
  test: (pods: Pods) => Promise<void>,
): void {
  for (const [program, runtime] of Object.entries(OCI_RUNTIMES)) {
    Deno.test(`${name} (${program})`, async () => {
      await using lab = await createLab();
      await using pods = new Pods(lab, [...runtime]);
      await test(pods);
    });
  }
}

/** The pods of a test, on a lab of one node. */
export class Pods implements AsyncDisposable {
  /** What the pods are on. */
  readonly lab: Lab;
  readonly #runtime: string[];
  readonly #pods: Pod[] = [];

  constructor(lab: Lab, runtime: string[]) {
    this.lab = lab;
    this.#runtime = runtime;
  }

  /** The lab's node as a machine. */
  get machine(): LabNode {
    const [machine] = this.lab.nodes;
    if (machine === undefined) throw new TypeError("the lab has no node");
    return machine;
  }

  /** Makes a pod that is removed when the test ends. */
  async create(name: string, spec?: Omit<SandboxSpec, "name">): Promise<Pod> {
    const { node } = this.lab;
    const pod = await Pod.create(node, { name, ...spec }, this.#runtime);
    this.#pods.push(pod);
    return pod;
  }

  /** Removes the pods. */
  async [Symbol.asyncDispose](): Promise<void> {
    await Promise.all(this.#pods.map((pod) => pod.remove()));
  }
}

/** Starts a container with a command of its root file system. */
export function start(
  pod: Pod,
  spec: string | ContainerSpec,
  ...args: string[]
): Promise<Container> {
  const container = typeof spec === "string" ? { name: spec } : spec;
  return pod.run({ ...container, rootfs, args });
}

/** A container that only waits. */
export function idle(
  pod: Pod,
  spec: string | ContainerSpec,
): Promise<Container> {
  return start(pod, spec, "sleep", "60");
}

/**
 * A container that serves a socket, once this resolves.
 *
 * @param address of socat, such as `TCP4-LISTEN:80,bind=127.0.0.1`
 * @param answer of socat, by default what it is sent
 */
export async function serve(
  pod: Pod,
  name: string,
  address: string,
  answer = "PIPE",
): Promise<Container> {
  const socat = ["socat", "-d", "-d", `${address},fork`, answer];
  const container = await start(pod, name, ...socat);
  await untilLogged(container, /listening on|receiving on/);
  return container;
}

/** Waits until the container's log matches. */
export function untilLogged(
  container: Container,
  pattern: RegExp,
): Promise<void> {
  return eventually(() => assertMatch(container.log, pattern));
}

/** Waits until the container ends by itself, and returns its exit code. */
export async function exitCode(container: Container): Promise<number> {
  let code: number | undefined;
  container.exited.then((exited) => code = exited);
  await eventually(() => assert(code !== undefined, "it runs on and on"));
  return container.exited;
}

/** Runs a command in a container and returns what it printed. */
export async function output(
  container: Container,
  ...args: string[]
): Promise<string> {
  const { code, output } = await container.exec(...args);
  assertEquals(code, 0, output);
  return output.trim();
}

/** Not `read`, which takes a byte at a time and so loses the rest of a datagram. */
const EXCHANGE =
  `exec 3<>"/dev/$1/$2/$3" && echo "$4" >&3 && timeout 60 head -n 1 <&3`;

/** Sends a line from a container to a {@linkcode serve}, and returns the answer or what went wrong. */
export async function exchange(
  container: Container,
  protocol: "tcp" | "udp",
  hostname: string,
  port: number,
  line: string,
): Promise<string> {
  const args = [protocol, hostname, `${port}`, line];
  const { output } = await container.exec("bash", "-c", EXCHANGE, "_", ...args);
  return output.trim();
}
