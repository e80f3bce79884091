/**
 * Ways out of a pod that a program of podnet's could leave open: descriptors that children inherit, sockets and threads
 * in the wrong namespace. Each line is an attack, what stops it, and what comes of it.
 *
 * @module
 */
import { assert, assertEquals } from "@std/assert";
import { AF_UNIX, bind, connect, socket } from "../../ffi/socket.ts";
import { Errno, isSyscallError } from "../../ffi/errno.ts";
import { libc } from "../../ffi/libc.ts";
import type { NetworkNamespace } from "../../src/namespace/network_namespace.ts";
import { createLab, type Lab } from "../../src/testing/mod.ts";
import { command } from "../support/command.ts";
import { nodeAt, Pod } from "../support/pods.ts";

const F_GETFD = 1;
const F_SETFD = 2;
const FD_CLOEXEC = 1;
const SOCK_DGRAM = 2;

/** Prints what a shell has open. */
const LIST = "for f in /proc/$$/fd/*; do readlink $f || true; done";

/** Everything open that podnet opens, and a pod. */
async function withEverythingOpen(
  body: (lab: Lab, pod: Pod) => Promise<void>,
): Promise<void> {
  await using lab = await createLab();
  const node = nodeAt(lab.nodes, 0);
  await using pod = await Pod.create(node, {
    ports: [{ hostPort: 8080, containerPort: 80 }],
  });
  using listener = pod.sandbox.listen({ port: 80 });
  await using _server = pod.sandbox.serve(
    { port: 81 },
    () => new Response(""),
  );
  using client = await pod.sandbox.connect({
    hostname: pod.address(4),
    port: 80,
  });
  using accepted = await listener.accept();
  assert(client.remoteAddr.port === 80 && accepted.localAddr.transport);
  await using _worker = pod.sandbox.worker(
    new URL("./fixtures/idle_worker.ts", import.meta.url),
  );
  await body(lab, pod);
}

/** Descriptors of this process beyond the standard streams, by number. */
function ownDescriptors(): ReadonlyMap<number, string> {
  const found = new Map<number, string>();
  for (const { name } of Deno.readDirSync("/proc/self/fd")) {
    try {
      found.set(Number(name), Deno.readLinkSync(`/proc/self/fd/${name}`));
    } catch {
      // That of the listing itself.
    }
  }
  return new Map([...found].filter(([fd]) => fd > 2));
}

/** What gives power over a namespace, or over podnet's state. */
function isPower(target: string): boolean {
  return /^(net|mnt|pid|user):\[|^socket:|^anon_inode:\[pidfd|podnet|\/netns|\/lock/
    .test(target);
}

/** Takes close-on-exec off all descriptors for the time of `body`, which runs no other code. */
function withoutCloseOnExec<T>(body: () => T): T {
  const { fcntl } = libc();
  const changed = [...ownDescriptors().keys()]
    .filter((fd) => fcntl(fd, F_GETFD, 0) === FD_CLOEXEC);
  for (const fd of changed) fcntl(fd, F_SETFD, 0);
  try {
    return body();
  } finally {
    for (const fd of changed) fcntl(fd, F_SETFD, FD_CLOEXEC);
  }
}

/** What a child that is started inside the namespace, or right here, has open. */
function childsDescriptors(namespace?: NetworkNamespace): string[] {
  const text = namespace === undefined
    ? new TextDecoder().decode(
      new Deno.Command("sh", { args: ["-c", LIST], stdin: "null" })
        .outputSync().stdout,
    )
    : command(namespace, LIST);
  return text.split("\n").filter((line) => line !== "");
}

/** The standard streams, and what whoever started this process gave to it and to all its children. */
const OTHERS = childsDescriptors().length;

Deno.test("a child uses a descriptor that it inherits | close-on-exec on every one | fails; without, succeeds", () =>
  withEverythingOpen((_lab, pod) => {
    const powerful = [...ownDescriptors().values()].filter(isPower);
    assert(powerful.length >= 8, powerful.join(" "));
    for (const namespace of [pod.namespace, undefined]) {
      const inherited = childsDescriptors(namespace);
      assertEquals(inherited.filter(isPower), []);
      assertEquals(inherited.length, OTHERS, inherited.join(" "));
      const leaked = withoutCloseOnExec(() => childsDescriptors(namespace));
      assert(leaked.some((target) => target.startsWith("net:[")));
      assert(leaked.some((target) => target.startsWith("socket:")));
    }
    return Promise.resolve();
  }));

Deno.test("a process that spawn() starts finds a namespace, a socket or a lock | close-on-exec | has its standard streams only", () =>
  withEverythingOpen(async (_lab, pod) => {
    for (const stdin of ["null", "piped", "inherit"] as const) {
      const child = pod.sandbox.spawn("sh", {
        args: ["-c", LIST],
        stdin,
        stdout: "piped",
      });
      if (stdin === "piped") await child.stdin.close();
      const { stdout } = await child.output();
      const inherited = new TextDecoder().decode(stdout).trimEnd().split("\n");
      assertEquals(inherited.filter(isPower).length, 0, inherited.join(" "));
      assertEquals(inherited.length, OTHERS, inherited.join(" "));
    }
  }));

Deno.test("a process that spawn() starts, or a child of it, is outside the pod | born inside | its namespace is the pod's", () =>
  withEverythingOpen(async (_lab, pod) => {
    const child = pod.sandbox.spawn("sh", {
      args: [
        "-c",
        "readlink /proc/self/ns/net; sh -c 'readlink /proc/self/ns/net'",
      ],
      stdout: "piped",
    });
    const { stdout } = await child.output();
    const { id } = pod.namespace;
    assertEquals(new TextDecoder().decode(stdout), `${id}\n${id}\n`);
  }));

/** An abstract name: these belong to a network namespace (unix(7)). */
const NAME = new Uint8Array([
  AF_UNIX,
  0,
  0,
  ...new TextEncoder().encode("podnet-test-secret"),
]);

function reaches(namespace: NetworkNamespace): boolean {
  using client = namespace.run(() => socket(AF_UNIX, SOCK_DGRAM, 0));
  try {
    connect(client, NAME);
    return true;
  } catch (error) {
    if (isSyscallError(error, Errno.ECONNREFUSED)) return false;
    throw error;
  }
}

Deno.test("a pod talks to an abstract Unix socket of the node | a namespace of its own | fails; from the node, succeeds", async () => {
  await using lab = await createLab();
  const node = nodeAt(lab.nodes, 0);
  await using pod = await Pod.create(node);
  using server = node.namespace.run(() => socket(AF_UNIX, SOCK_DGRAM, 0));
  bind(server, NAME);
  assertEquals(reaches(pod.namespace), false);
  assertEquals(reaches(node.namespace), true);
});
