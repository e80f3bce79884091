/** What would be too much, too late or meant for another sandbox. */
import { assert, assertEquals, assertRejects, assertThrows } from "@std/assert";
import { isSandboxError, NetworkNamespace } from "../../mod.ts";
import { createLab } from "../../src/testing/mod.ts";

Deno.test("createSandbox() refuses more than 1024 host ports, and a record that could not be read back", async () => {
  await using lab = await createLab();
  const { node } = lab;
  const ports = [
    { hostPort: 2000, hostPortEnd: 3024, containerPort: 2000 },
  ];
  const tooMany = await assertRejects(() =>
    node.createSandbox({ name: "many", ports })
  );
  assert(isSandboxError(tooMany, "InvalidSpec"), `${tooMany}`);
  assertEquals(tooMany.context.problems.map(({ path }) => path), ["ports"]);
  const labels = { big: "x".repeat(2 << 20) };
  const tooLong = await assertRejects(() =>
    node.createSandbox({ name: "long", labels })
  );
  assert(isSandboxError(tooLong, "StateUnusable"), `${tooLong}`);
  assertEquals(await node.listSandboxes(), []);
  assertEquals(await node.collectGarbage(), []);
});

Deno.test("a handle does not act on a sandbox of the same name that was made since", async () => {
  await using lab = await createLab();
  const { node } = lab;
  await using old = await node.createSandbox({ name: "pod", uid: "one" });
  using namespace = NetworkNamespace.open(old.netnsPath);
  const acts: Record<string, () => unknown> = {
    addContainer: () => old.addContainer({ name: "app" }),
    addPorts: () => old.addPorts([{ hostPort: 8080, containerPort: 80 }]),
    check: () => old.check(),
    "sysctl.get": () => old.sysctl.get("net.ipv4.ip_default_ttl"),
    "sysctl.set": () => old.sysctl.set("net.ipv4.ip_default_ttl", 33),
    listen: () => old.listen({ port: 80 }).close(),
    serve: () => old.serve({ port: 80 }, () => new Response()).shutdown(),
    connect: () => old.connect({ hostname: "127.0.0.1", port: 80 }),
    spawn: () => old.spawn("true").status,
    worker: () => old.worker("data:text/javascript,").terminate(),
  };
  const refuses = async () => {
    for (const [name, act] of Object.entries(acts)) {
      const error = await assertRejects(async () => await act(), name);
      assert(isSandboxError(error, "SandboxNotFound"), `${name}: ${error}`);
    }
  };
  await node.removeSandbox("pod", { force: true });
  await refuses();
  // In the very same namespace: its number tells nothing, and the kernel gives that of one that is gone to others.
  const netns = `/proc/${Deno.pid}/fd/${namespace.fd}`;
  await using young = await node.createSandbox({
    name: "pod",
    uid: "two",
    netns,
  });
  await refuses();
  assertEquals(young.sysctl.get("net.ipv4.ip_default_ttl"), "64");
  await old.remove({ force: true });
  assertEquals((await node.openSandbox("pod")).uid, "two");
  assertEquals(await node.check(), []);
  await young.remove();
});

Deno.test("addPorts() and sysctl.set() on the host network leave the node alone", async () => {
  await using lab = await createLab();
  const { node } = lab;
  await using host = await node.createSandbox({
    name: "host",
    hostNetwork: true,
  });
  await using pod = await node.createSandbox({
    name: "pod",
    ports: [{ hostPort: 8080, containerPort: 80 }],
  });
  const error = await assertRejects(() =>
    host.addPorts([{ hostPort: 8080, containerPort: 8080 }])
  );
  assert(isSandboxError(error, "HostPortInUse"), `${error}`);
  assertEquals(host.ports, []);
  const refused = assertThrows(() =>
    host.sysctl.set("net.ipv4.ip_default_ttl", 65)
  );
  assert(isSandboxError(refused, "InvalidSpec"), `${refused}`);
  assertEquals(host.sysctl.get("net.ipv4.ip_default_ttl"), "64");
  assertEquals(pod.ports.length, 1);
});

Deno.test("Node.remove() of a node that is down does nothing", async () => {
  await using lab = await createLab();
  const { node } = lab;
  assert((await node.remove()).removed.length > 0);
  assertEquals(await node.remove(), { removed: [] });
});
