import { assertEquals, assertRejects } from "@std/assert";
import type { Container } from "../../examples/tiny_runtime.ts";
import { SandboxError } from "../../mod.ts";
import {
  exchange,
  exitCode,
  idle,
  output,
  type Pods,
  serve,
  start,
  testContainers,
  untilLogged,
  withRootfs,
} from "./pods.ts";
import { eventually } from "../support/patience.ts";

withRootfs();

/** What a container sees of its network. */
function network(container: Container): Promise<string> {
  const commands = [
    "readlink /proc/self/ns/net",
    "ip -o address",
    "ip -o link show eth0",
    "ip -4 route",
    "ip -6 route",
  ];
  return output(container, "sh", "-c", commands.join(" && "));
}

/** The links of the lab's node. */
function nodeLinks(pods: Pods): string[] {
  const table = pods.machine.namespace.run(() =>
    Deno.readTextFileSync("/proc/thread-self/net/dev")
  );
  return [...table.matchAll(/^\s*(\S+):/gm)].flatMap(([, name]) => name ?? []);
}

testContainers(
  "IP4 a container that ends and starts again finds its network unchanged",
  async (pods) => {
    const ports = [
      { hostPort: 8080, containerPort: 80 },
      { hostPort: 8090, containerPort: 90 },
    ];
    const pod = await pods.create("web", { ports });
    const app = await serve(pod, "app", "TCP6-LISTEN:80");
    const sidecar = await serve(pod, "sidecar", "TCP6-LISTEN:90");
    const before = await network(app);
    // Connections to the other container, begun before.
    await using kept = new AsyncDisposableStack();
    const connections = await Promise.all(
      pods.machine.addresses.map(async (hostname) =>
        kept.use(await pods.lab.outside.connect({ hostname, port: 8090 }))
      ),
    );

    await app.exec("bash", "-c", "kill -TERM 1");
    assertEquals(await exitCode(app), 143);
    assertEquals(await network(sidecar), before);
    await app.start();
    assertEquals(await network(app), before);
    await untilLogged(app, /(listening on[^]*){2}/);
    assertEquals(await exchange(sidecar, "tcp", "::1", 80, "hello"), "hello");
    for (const hostname of pods.machine.addresses) {
      using _open = await pods.lab.outside.connect({ hostname, port: 8080 });
    }
    for (const connection of connections) {
      await connection.write(new TextEncoder().encode("hello"));
      const answer = new Uint8Array(16);
      assertEquals(await connection.read(answer), 5);
    }
  },
);

testContainers(
  "IP4 a pod without containers keeps its network until it is removed",
  async (pods) => {
    const pod = await pods.create("web");
    const { sandbox } = pod;
    // Ends when it is told to, not before its network has been looked at.
    const script = 'trap "exit 3" TERM; while :; do sleep 0.01; done';
    const first = await start(pod, "first", "bash", "-c", script);
    const before = await network(first);
    await first.exec("bash", "-c", "kill -TERM 1");
    assertEquals(await exitCode(first), 3);
    await first.remove();
    assertEquals(sandbox.containers, []);
    const second = await idle(pod, "second");
    assertEquals(await network(second), before);

    await second.remove();
    await sandbox.remove();
    await assertRejects(
      () => Deno.stat(sandbox.netnsPath),
      Deno.errors.NotFound,
    );
    await eventually(() => assertEquals(nodeLinks(pods), ["lo", "eth0"]));
    const next = await pods.create("next", { addresses: sandbox.addresses });
    assertEquals(next.sandbox.addresses, sandbox.addresses);
  },
);

testContainers(
  "Sandbox.remove() is refused under a container, unless forced",
  async (pods) => {
    const pod = await pods.create("web");
    const { sandbox } = pod;
    const app = await serve(pod, "app", "TCP6-LISTEN:80");
    const client = await idle(await pods.create("client"), "app");
    const error = await assertRejects(() => sandbox.remove(), SandboxError);
    assertEquals([error.code, error.context], ["SandboxInUse", {
      id: sandbox.id,
      containers: ["app"],
    }]);
    for (const address of sandbox.addresses) {
      assertEquals(
        await exchange(client, "tcp", address, 80, "hello"),
        "hello",
      );
    }

    await sandbox.remove({ force: true });
    await eventually(async () => {
      const links = JSON.parse(await output(app, "ip", "-j", "link"));
      assertEquals(links.map((l: { ifname: string }) => l.ifname), ["lo"]);
    });
    // It is the runtime's to end what lost its network.
    await app.stop();
    pod.containers.clear();
  },
);

testContainers(
  "addContainer() refuses a port that another container of the pod has",
  async (pods) => {
    const pod = await pods.create("web");
    await idle(pod, {
      name: "app",
      ports: [80, { port: 53, protocol: "udp" }],
    });
    const error = await assertRejects(
      () => idle(pod, { name: "second", ports: [8080, 80] }),
      SandboxError,
    );
    assertEquals([error.code, error.context], ["ContainerPortInUse", {
      port: 80,
      protocol: "tcp",
      containers: ["app", "second"],
    }]);
    assertEquals(pod.sandbox.containers.map(({ name }) => name), ["app"]);

    await idle(pod, { name: "dns", ports: [53] });
    await pod.containers.get("app")?.remove();
    await idle(pod, { name: "second", ports: [8080, 80] });
    const seen = await pods.lab.node.openSandbox("web");
    assertEquals(seen.containers.map(({ name }) => name), ["dns", "second"]);
  },
);

testContainers(
  "DN2 a container has the pod's host name and resolver files",
  async (pods) => {
    const pod = await pods.create("web", {
      dns: {
        nameservers: ["10.96.0.10", "fd00:96::a"],
        searches: ["default.svc.cluster.local"],
        options: ["ndots:5"],
        hostname: "web-0",
        hostAliases: [{ ip: "10.9.9.9", hostnames: ["db.example"] }],
      },
    });
    const app = await idle(pod, "app");
    assertEquals(
      await output(app, "cat", "/etc/resolv.conf"),
      "nameserver 10.96.0.10\nnameserver fd00:96::a\nsearch default.svc.cluster.local\noptions ndots:5",
    );
    const file = "/proc/sys/kernel/hostname";
    assertEquals(await output(app, "cat", file), "web-0");
    for (
      const [name, ...addresses] of [
        ["localhost", "127.0.0.1", "::1"],
        ["web-0", ...pod.sandbox.addresses],
        ["db.example", "10.9.9.9"],
      ]
    ) {
      for (const address of addresses) {
        const family = address.includes(":") ? "ahostsv6" : "ahostsv4";
        const found = await output(app, "getent", family, `${name}`);
        assertEquals(found.split(/\s/)[0], address);
      }
    }
  },
);
