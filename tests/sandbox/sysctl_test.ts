/**
 * Kernel parameters of pods.
 *
 * @module
 */
import {
  assert,
  assertEquals,
  assertNotEquals,
  assertRejects,
} from "@std/assert";
import { isSandboxError, SandboxError } from "../../mod.ts";
import { readSysctl } from "../../src/namespace/sysctl.ts";
import { createLab, type Lab, type LabNode } from "../../src/testing/mod.ts";
import { port } from "../support/bridged.ts";
import { nodeAt, Pod } from "../support/pods.ts";
import { assertAsBefore, snapshot } from "../support/node_state.ts";

let lab: Lab;
let node: LabNode;

Deno.test.beforeAll(async () => {
  lab = await createLab();
  node = nodeAt(lab.nodes, 0);
});

Deno.test.afterAll(() => lab[Symbol.asyncDispose]().then());

/** Kubernetes' safe list, and values that are not the kernel's own. */
const SAFE: Readonly<Record<string, string>> = {
  "net.ipv4.ip_local_port_range": "20000 30000",
  "net.ipv4.ip_local_reserved_ports": "8080,9000-9010",
  "net.ipv4.ip_unprivileged_port_start": "80",
  "net.ipv4.ping_group_range": "0 1000",
  "net.ipv4.tcp_fin_timeout": "11",
  "net.ipv4.tcp_keepalive_intvl": "12",
  "net.ipv4.tcp_keepalive_probes": "3",
  "net.ipv4.tcp_keepalive_time": "1234",
  "net.ipv4.tcp_rmem": "4096 65536 1048576",
  "net.ipv4.tcp_syncookies": "2",
  "net.ipv4.tcp_wmem": "4096 32768 1048576",
};

/** Named as such by the pod that wants it. */
const UNSAFE = "net.core.somaxconn";

function words(text: string): string {
  return text.split(/\s+/).join(" ");
}

Deno.test("SY1 SY2 a pod has the safe sysctls of its spec, and neither another pod nor the node has them", async () => {
  const names = Object.keys(SAFE);
  await using other = await Pod.create(node, { name: "other" });
  const others = [other.namespace, node.namespace];
  const before = others.map((namespace) =>
    names.map((name) => readSysctl(namespace, name))
  );
  await using pod = await Pod.create(node, { name: "pod", sysctls: SAFE });
  for (const [name, value] of Object.entries(SAFE)) {
    assertEquals(words(readSysctl(pod.namespace, name)), value, name);
    for (const namespace of others) {
      assertNotEquals(words(readSysctl(namespace, name)), value, name);
    }
  }
  assertEquals(
    others.map((namespace) => names.map((name) => readSysctl(namespace, name))),
    before,
  );
});

Deno.test("SY1 sysctl.set() changes one pod, and the kernel goes by it", async () => {
  await using other = await Pod.create(node);
  await using pod = await Pod.create(node);
  await using sandbox = await node.node.openSandbox(pod.name);
  sandbox.sysctl.set("net.ipv4.ip_local_port_range", "31000 31000");
  assertEquals(
    words(sandbox.sysctl.get("net.ipv4.ip_local_port_range")),
    "31000 31000",
  );
  await using outsider = await node.node.openSandbox(other.name);
  using listener = outsider.listen({ port: 80 });
  using client = await sandbox.connect({
    hostname: other.address(4),
    port: 80,
  });
  assert(client.localAddr.transport === "tcp");
  assertEquals(client.localAddr.port, 31000);
  (await listener.accept()).close();
  assertNotEquals(
    words(outsider.sysctl.get("net.ipv4.ip_local_port_range")),
    "31000 31000",
  );
});

Deno.test("a pod may switch IPv6 off where it has no address of it, and on everywhere", async () => {
  const sysctls = {
    "net.ipv6.conf.default.disable_ipv6": "1",
    "net.ipv6.conf.eth0.disable_ipv6": "0",
    "net.ipv6.conf.lo.disable_ipv6": "1",
  };
  await using _pod = await Pod.create(node, {
    sysctls,
    unsafeSysctls: Object.keys(sysctls),
  });
  assertEquals(await node.node.check(), []);
  const off = { "net.ipv6.conf.all.disable_ipv6": "1" };
  await using none = await Pod.create(node, {
    attachment: { type: "none" },
    sysctls: off,
    unsafeSysctls: Object.keys(off),
  });
  assertEquals(
    readSysctl(none.namespace, "net.ipv6.conf.all.disable_ipv6"),
    "1",
  );
});

Deno.test("SY2 a sysctl that is not on the safe list has to be named as unsafe", async () => {
  const sysctls = { [UNSAFE]: "77" };
  const before = await snapshot(node);
  const error = await assertRejects(
    () => node.node.createSandbox({ name: "pod", sysctls }),
    SandboxError<"InvalidSpec">,
  );
  assertEquals(error.code, "InvalidSpec");
  assertEquals(
    error.context.problems.map(({ path }) => path),
    [`sysctls["${UNSAFE}"]`],
  );
  await assertAsBefore(node, before);

  await using pod = await Pod.create(node, {
    sysctls,
    unsafeSysctls: [UNSAFE],
  });
  assertEquals(readSysctl(pod.namespace, UNSAFE), "77");
  assertNotEquals(readSysctl(node.namespace, UNSAFE), "77");
});

for (
  const name of ["net.netfilter.nf_conntrack_max", "net.nf_conntrack_max"]
) {
  Deno.test(`SY3 ${name}, which is the machine's, is refused even when named as unsafe`, async () => {
    // Both names are of one limit, and a namespace shows the first.
    const limit = () =>
      readSysctl(node.namespace, "net.netfilter.nf_conntrack_max");
    const before = await snapshot(node);
    const value = limit();
    const error = await assertRejects(
      () =>
        node.node.createSandbox({
          name: "pod",
          sysctls: { [name]: "1000" },
          unsafeSysctls: [name],
        }),
      SandboxError<"InvalidSpec">,
    );
    assertEquals(error.code, "InvalidSpec");
    assertEquals(
      error.context.problems.map(({ path }) => path).sort(),
      [`sysctls["${name}"]`, "unsafeSysctls[0]"],
    );
    assertEquals(limit(), value);
    await assertAsBefore(node, before);
  });
}

Deno.test("a sysctl of a further interface is set once that is there, and what is wrong with it is told by its place", async () => {
  const bridged = (name: string) => ({ ...port(11), name });
  const name = "net.ipv4.conf.net/1.arp_filter";
  const spec = {
    interfaces: [bridged("net.1")],
    sysctls: { [name]: "1", "net.ipv4.conf.eth0.arp_filter": "1" },
    unsafeSysctls: [name, "net.ipv4.conf.eth0.arp_filter"],
  };
  {
    await using pod = await Pod.create(node, spec);
    for (const name of Object.keys(spec.sysctls)) {
      assertEquals(readSysctl(pod.namespace, name), "1", name);
    }
  }
  {
    await using pod = await Pod.create(node, {
      attachment: { type: "none" },
      interfaces: [bridged("eth0")],
      sysctls: { "net.ipv4.conf.eth0.arp_filter": "1" },
      unsafeSysctls: ["net.ipv4.conf.eth0.arp_filter"],
    });
    const value = readSysctl(pod.namespace, "net.ipv4.conf.eth0.arp_filter");
    assertEquals(value, "1");
  }
  const before = await snapshot(node);
  const wrong = "net.ipv4.conf.net/1.no_such";
  const error = await assertRejects(
    () =>
      node.node.createSandbox({
        name: "pod",
        interfaces: [bridged("net.1")],
        sysctls: { [wrong]: "1" },
        unsafeSysctls: [wrong],
      }),
    SandboxError,
  );
  assert(isSandboxError(error, "InvalidSpec"), `${error}`);
  assertEquals(error.context.problems.map(({ path }) => path), [
    `sysctls["${wrong}"]`,
  ]);
  await assertAsBefore(node, before);
});
