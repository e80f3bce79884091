/** Sandboxes in a network namespace that somebody else made. */
import { assert, assertEquals, assertRejects } from "@std/assert";
import { isSandboxError } from "../../mod.ts";
import { makeTempDirectory, rmdir } from "../../ffi/file.ts";
import { NetworkNamespace } from "../../src/namespace/network_namespace.ts";
import { Connection } from "../../src/netlink/connection.ts";
import { readSysctl, writeSysctl } from "../../src/namespace/sysctl.ts";
import { NETLINK_ROUTE } from "../../src/netlink/message.ts";
import { dumpLinks } from "../../src/rtnetlink/link.ts";
import { createLab, type LabNode } from "../../src/testing/mod.ts";
import { command } from "../support/command.ts";
import { nodeAt } from "../support/pods.ts";

/** A pinned namespace, as a runtime would make it. */
class Foreign implements Disposable {
  readonly #directory = makeTempDirectory("/tmp/podnet-foreign-");
  readonly path = `${this.#directory}/netns`;
  readonly namespace = NetworkNamespace.create();

  constructor() {
    this.namespace.pin(this.path);
  }

  [Symbol.dispose](): void {
    this.namespace[Symbol.dispose]();
    NetworkNamespace.unpin(this.path);
    rmdir(this.#directory);
  }
}

function links(namespace: NetworkNamespace): string[] {
  using route = namespace.run(() => Connection.open(NETLINK_ROUTE));
  return route.dump(dumpLinks()).map(({ name }) => name).sort();
}

function podLinks(node: LabNode): string[] {
  return links(node.namespace).filter((name) => name.startsWith("pn-"));
}

Deno.test("createSandbox() wires a namespace that is given, and remove() leaves it as it was", async () => {
  await using lab = await createLab();
  const [host] = lab.nodes;
  assert(host);
  using foreign = new Foreign();
  const before = links(foreign.namespace);
  const spec = {
    name: "adopted",
    netns: foreign.path,
    ports: [{ hostPort: 8080, containerPort: 80 }],
  };
  await using sandbox = await host.node.createSandbox(spec);
  assertEquals(links(foreign.namespace), [...before, "eth0"].sort());
  assertEquals(await host.node.check(), []);
  assertEquals((await host.node.createSandbox(spec)).id, sandbox.id);

  using joined = NetworkNamespace.open(sandbox.netnsPath);
  assertEquals(joined.id, foreign.namespace.id);
  using listener = sandbox.listen({ port: 80 });
  for (const hostname of host.addresses) {
    const [client, peer] = await Promise.all([
      lab.outside.connect({ hostname, port: 8080 }),
      listener.accept(),
    ]);
    client.close();
    peer.close();
  }

  await sandbox.remove();
  assertEquals(links(foreign.namespace), before);
  assertEquals(podLinks(host), []);
  assertEquals(await host.node.collectGarbage(), []);
});

Deno.test("createSandbox() of a sandbox that exists refuses a path that leads to another namespace by now", async () => {
  await using lab = await createLab();
  const { node } = lab;
  using foreign = new Foreign();
  using other = NetworkNamespace.create();
  for (const further of [{}, { attachment: { type: "none" } }] as const) {
    const spec = { name: "adopted", netns: foreign.path, ...further };
    await using sandbox = await node.createSandbox(spec);
    assertEquals(
      (await node.createSandbox(spec)).createdAt,
      sandbox.createdAt,
    );
    NetworkNamespace.unpin(foreign.path);
    const nowhere = await assertRejects(() => node.createSandbox(spec));
    assert(isSandboxError(nowhere, "InvalidNamespace"), `${nowhere}`);
    other.pin(foreign.path);
    const error = await assertRejects(() => node.createSandbox(spec));
    assert(isSandboxError(error, "SandboxConflict"), `${error}`);
    const { namespace: { id } } = foreign;
    assertEquals(error.context.differences, [
      `network namespace (${id}, ${foreign.path} leads to ${other.id})`,
    ]);
    assertEquals(await node.check(), []);
    // One that is gone is in no namespace, and is made anew.
    NetworkNamespace.unpin(sandbox.netnsPath);
    await using anew = await node.createSandbox(spec);
    assert(anew.createdAt !== sandbox.createdAt);
    assertEquals(await node.check(), []);
    await anew.remove();
    NetworkNamespace.unpin(foreign.path);
    foreign.namespace.pin(foreign.path);
  }
});

for (const scope of ["all", "default"]) {
  Deno.test(`createSandbox() gives its interface IPv6 where net.ipv6.conf.${scope}.disable_ipv6 is 1, and so does repair`, async () => {
    await using lab = await createLab();
    const host = nodeAt(lab.nodes, 0);
    using foreign = new Foreign();
    const name = `net.ipv6.conf.${scope}.disable_ipv6`;
    writeSysctl(foreign.namespace, name, 1);
    await using sandbox = await host.node.createSandbox({
      name: "adopted",
      netns: foreign.path,
    });
    await using other = await host.node.createSandbox({ name: "other" });
    const works = async () => {
      assertEquals(await host.node.check(), []);
      using listener = sandbox.listen({ port: 80 });
      for (const hostname of sandbox.addresses) {
        const [client, peer] = await Promise.all([
          other.connect({ hostname, port: 80 }),
          listener.accept(),
        ]);
        client.close();
        peer.close();
      }
    };
    await works();
    // The link is made anew, too.
    command(foreign.namespace, "ip link delete eth0");
    const { remaining } = await host.node.repair();
    assertEquals(remaining, []);
    await works();
    assertEquals(readSysctl(foreign.namespace, name), "1");
    assertEquals(
      readSysctl(foreign.namespace, "net.ipv6.conf.lo.disable_ipv6"),
      scope === "all" ? "1" : "0",
    );
    await sandbox.remove();
  });
}

Deno.test("interfaces of a pod in a given namespace have IPv6 where it is switched off, from the beginning or attached", async () => {
  await using lab = await createLab();
  const { node } = lab;
  using foreign = new Foreign();
  writeSysctl(foreign.namespace, "net.ipv6.conf.all.disable_ipv6", 1);
  const eth = (name: string) => ({
    name,
    attachment: {
      type: "bridge",
      bridge: "br0",
      ranges: [{ network: "fd09::/64" }],
    },
  } as const);
  await using sandbox = await node.createSandbox({
    name: "adopted",
    netns: foreign.path,
    attachment: { type: "none" },
    interfaces: [eth("eth0")],
  });
  await sandbox.attach(eth("eth1"));
  assertEquals(
    sandbox.interfaces.map(({ addresses }) => addresses.length),
    [1, 1],
  );
  assertEquals(await node.check(), []);
  await sandbox.remove();
});

Deno.test("createSandbox() that fails in a given namespace leaves it as it was", async () => {
  await using lab = await createLab();
  const { node } = lab;
  const [host] = lab.nodes;
  assert(host);
  await using _first = await node.createSandbox({
    name: "first",
    ports: [{ hostPort: 8080, containerPort: 80 }],
  });
  const onNode = podLinks(host);
  using foreign = new Foreign();
  const before = links(foreign.namespace);
  const error = await assertRejects(() =>
    node.createSandbox({
      name: "second",
      netns: foreign.path,
      ports: [{ hostPort: 8080, containerPort: 80 }],
    })
  );
  assert(isSandboxError(error, "HostPortInUse"), `${error}`);
  assertEquals(links(foreign.namespace), before);
  assertEquals(podLinks(host), onNode);
});

Deno.test("createSandbox() refuses a namespace that cannot be a pod", async () => {
  await using lab = await createLab();
  const { node } = lab;
  const [host] = lab.nodes;
  assert(host);
  using foreign = new Foreign();
  await using _first = await node.createSandbox({
    name: "first",
    netns: foreign.path,
  });
  for (
    const netns of [
      "/nowhere",
      "/tmp",
      "/dev/null",
      `/proc/self/fd/${host.namespace.fd}`,
      foreign.path, // has an eth0 by now, and default routes
    ]
  ) {
    const error = await assertRejects(() =>
      node.createSandbox({ name: "second", netns })
    );
    assert(isSandboxError(error, "InvalidNamespace"), `${netns}: ${error}`);
  }
  assertEquals((await node.listSandboxes()).map(({ name }) => name), ["first"]);
  const error = await assertRejects(() =>
    node.createSandbox({
      name: "second",
      netns: foreign.path,
      interfaceName: "eth1",
    })
  );
  assert(isSandboxError(error, "InvalidNamespace"), `${error}`);
  assert(error.message.includes("default route"), error.message);
  assertEquals(await node.check(), []);
});
