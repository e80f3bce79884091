import { assert, assertEquals, assertStringIncludes } from "@std/assert";
import {
  exchange,
  exitCode,
  idle,
  output,
  serve,
  start,
  testContainers,
  withRootfs,
} from "./pods.ts";

withRootfs();

const LOOPBACKS = { 4: "127.0.0.1", 6: "::1" } as const;
const FAMILIES = [4, 6] as const;

/** socat's address of a server. */
function server(protocol: "tcp" | "udp", family: 4 | 6, rest: string): string {
  const kind = protocol === "tcp" ? "TCP$-LISTEN" : "UDP$-RECVFROM";
  const only = family === 6 ? ",ipv6-v6only" : "";
  return `${kind.replace("$", `${family}`)}:${rest}${only}`;
}

testContainers(
  "P1 containers of a pod are in one network namespace",
  async (pods) => {
    const pod = await pods.create("web");
    const other = await idle(await pods.create("other"), "app");
    const inodes = [];
    for (const name of ["app", "sidecar"]) {
      const container = await idle(pod, name);
      inodes.push(await output(container, "readlink", "/proc/self/ns/net"));
    }
    const [app, sidecar] = inodes;
    assertEquals(app, sidecar);
    const others = await output(other, "readlink", "/proc/self/ns/net");
    assert(app !== others, `${app} is the other pod's as well`);
    assert(app !== pods.machine.namespace.id, `${app} is the node's`);
  },
);

testContainers(
  "P2 containers of a pod reach each other on localhost",
  async (pods) => {
    const pod = await pods.create("web");
    const client = await idle(pod, "client");
    for (const protocol of ["tcp", "udp"] as const) {
      for (const family of FAMILIES) {
        const host = LOOPBACKS[family];
        const bind = family === 4 ? host : `[${host}]`;
        const name = `${protocol}${family}`;
        await serve(pod, name, server(protocol, family, `7000,bind=${bind}`));
        assertEquals(await exchange(client, protocol, host, 7000, name), name);
      }
    }
  },
);

testContainers(
  "P3 containers of a pod see the same links, addresses and MAC",
  async (pods) => {
    const pod = await pods.create("web");
    const seen = [];
    for (const name of ["app", "sidecar"]) {
      seen.push(await output(await idle(pod, name), "ip", "-j", "address"));
    }
    const [app = "", sidecar] = seen;
    assertEquals(app, sidecar);
    const eth0 = JSON.parse(app).find((link: { ifname: string }) =>
      link.ifname === "eth0"
    );
    assertEquals(eth0.address, pod.sandbox.mac);
    const addresses = eth0.addr_info.filter((info: { scope: string }) =>
      info.scope === "global"
    ).map((info: { local: string }) => info.local);
    assertEquals(addresses, pod.sandbox.addresses);
  },
);

testContainers(
  "P4 a port that a container of the pod has bound is in use for the others",
  async (pods) => {
    const pod = await pods.create("web");
    for (const protocol of ["tcp", "udp"] as const) {
      for (const family of FAMILIES) {
        const address = server(protocol, family, "80");
        await serve(pod, `${protocol}${family}`, address);
        const second = await start(pod, "second", "socat", address, "PIPE");
        assertEquals(await exitCode(second), 1);
        assertStringIncludes(second.log, "Address already in use");
        await second.remove();
      }
    }
  },
);

testContainers("P5 two pods can both bind port 80", async (pods) => {
  const client = await idle(await pods.create("client"), "app");
  const both = [await pods.create("one"), await pods.create("two")];
  for (const pod of both) {
    // Without reading first it would end the connection with a reset.
    const answer = `SYSTEM:read line; echo ${pod.sandbox.name}`;
    await serve(pod, "app", "TCP6-LISTEN:80", answer);
  }
  for (const { sandbox } of both) {
    for (const host of sandbox.addresses) {
      const answer = await exchange(client, "tcp", host, 80, "who is there?");
      assertEquals(answer, sandbox.name);
    }
  }
});

testContainers("lo is up in a container that joined by path", async (pods) => {
  const container = await idle(await pods.create("web"), "app");
  const [lo] = JSON.parse(
    await output(container, "ip", "-j", "address", "show", "lo"),
  );
  assert(lo.flags.includes("UP"), lo.flags.join());
  const addresses = lo.addr_info.map((info: { local: string }) => info.local);
  assertEquals(addresses, ["127.0.0.1", "::1"]);
});

testContainers(
  "P7 abstract unix sockets are shared in a pod, and out of reach elsewhere",
  async (pods) => {
    const connect = ["-c", "echo hello | socat - ABSTRACT-CONNECT:podnet"];
    const pod = await pods.create("web");
    await serve(pod, "app", "ABSTRACT-LISTEN:podnet");
    const sidecar = await idle(pod, "sidecar");
    assertEquals(await output(sidecar, "bash", ...connect), "hello");

    const other = await idle(await pods.create("other"), "app");
    const refused = await other.exec("bash", ...connect);
    assertStringIncludes(refused.output, "Connection refused");
    const onNode = await pods.machine.spawn("bash", {
      args: connect,
      stdout: "piped",
      stderr: "piped",
    }).output();
    const said = new TextDecoder().decode(onNode.stderr);
    assertStringIncludes(said, "Connection refused");
  },
);

testContainers(
  "P7 SY1 net.* sysctls are shared in a pod, and its own",
  async (pods) => {
    const read = ["cat", "/proc/sys/net/core/somaxconn"];
    const pod = await pods.create("web", {
      sysctls: { "net.ipv4.ip_local_port_range": "20000 20099" },
    });
    const containers = [await idle(pod, "app"), await idle(pod, "sidecar")];
    const other = await idle(await pods.create("other"), "app");
    const before = await output(other, ...read);
    pod.sandbox.sysctl.set("net.core.somaxconn", 77);
    for (const container of containers) {
      assertEquals(await output(container, ...read), "77");
      const file = "/proc/sys/net/ipv4/ip_local_port_range";
      assertEquals(await output(container, "cat", file), "20000\t20099");
    }
    assertEquals(await output(other, ...read), before);
    const { stdout } = await pods.machine.spawn("cat", {
      args: read.slice(1),
      stdout: "piped",
    }).output();
    assertEquals(new TextDecoder().decode(stdout).trim(), before);
  },
);
