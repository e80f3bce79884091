/** A node among what else is on the machine: its networks, its router, other people's addresses. */
import { assert, assertEquals, assertRejects } from "@std/assert";
import { makeTempDirectory, rmdir } from "../../ffi/file.ts";
import { isSandboxError, type NodeOptions, openNode } from "../../mod.ts";
import { NetworkNamespace } from "../../src/namespace/network_namespace.ts";
import { readSysctl, writeSysctl } from "../../src/namespace/sysctl.ts";
import { spawn } from "../../src/namespace/pod_io.ts";

const POD_CIDRS = ["10.1.0.0/24", "fd00:1::/64"];

/** A machine with a link `up0`, which leads to a peer in the same namespace. */
async function machine(
  use: (
    namespace: NetworkNamespace,
    run: (...args: string[]) => Promise<string>,
    open: (options?: NodeOptions) => ReturnType<typeof openNode>,
  ) => Promise<void>,
): Promise<void> {
  using namespace = NetworkNamespace.create();
  const stateDir = makeTempDirectory("/tmp/podnet-node-");
  const run = async (...args: string[]) => {
    const { success, stdout } = await spawn(namespace, "ip", {
      args,
      stdout: "piped",
    }).output();
    assert(success, `ip ${args.join(" ")}`);
    return new TextDecoder().decode(stdout);
  };
  await run("link", "set", "lo", "up");
  await run("link", "add", "up0", "type", "veth", "peer", "name", "peer0");
  await run("link", "set", "peer0", "up");
  await run("link", "set", "up0", "up");
  await use(
    namespace,
    run,
    (options = {}) =>
      openNode({
        name: "node",
        stateDir: `${stateDir}/state`,
        netns: namespace,
        ...options,
      }),
  );
  rmdir(`${stateDir}/state`);
  rmdir(stateDir);
}

Deno.test("openNode() keeps the routes that the node has from router advertisements", () =>
  machine(async (namespace, run, open) => {
    const sysctl = "net.ipv6.conf.up0.accept_ra";
    writeSysctl(namespace, sysctl, "1");
    await run("-6", "addr", "add", "fd77::1/64", "dev", "up0", "nodad");
    // As the kernel adds it on an advertisement, lifetime and all.
    const route = "default via fd77::fe dev up0 proto ra metric 1024";
    await run("-6", "route", "add", ...route.split(" "), "expires", "1800");
    await using node = await open({ podCidrs: POD_CIDRS });
    assertEquals(readSysctl(namespace, sysctl), "2");
    assert(node.changes.some((change) => change.includes("accept_ra to 2")));
    const routes = await run("-6", "route", "show", "default");
    assert(routes.startsWith(route), routes);
    await node.remove();
    assert((await run("-6", "route", "show", "default")).startsWith(route));
  }));

Deno.test("openNode() leaves accept_ra alone where nothing depends on it", () =>
  machine(async (namespace, _run, open) => {
    const before = readSysctl(namespace, "net.ipv6.conf.up0.accept_ra");
    await using node = await open({ podCidrs: POD_CIDRS });
    assertEquals(
      readSysctl(namespace, "net.ipv6.conf.up0.accept_ra"),
      before,
    );
    await node.remove();
  }));

Deno.test("openNode() refuses a pod CIDR that overlaps a network of the node", () =>
  machine(async (_namespace, run, open) => {
    await run("addr", "add", "10.1.0.77/16", "dev", "up0");
    await run("-6", "addr", "add", "fd00:1::77/48", "dev", "up0", "nodad");
    for (const podCidr of POD_CIDRS) {
      const error = await assertRejects(() => open({ podCidrs: [podCidr] }));
      assert(isSandboxError(error, "NodeConflict"), `${error}`);
      assert(error.message.includes(podCidr), error.message);
    }
    await using node = await open({ podCidrs: ["10.2.0.0/24"] });
    await node.remove();
  }));

Deno.test("remove() leaves an address of lo that podnet did not add", () =>
  machine(async (_namespace, run, open) => {
    await run("addr", "add", "10.1.0.1/32", "dev", "lo");
    await using node = await open({ podCidrs: POD_CIDRS });
    const removed = (await node.remove()).removed.join();
    assert(!removed.includes("10.1.0.1"), removed);
    assert(removed.includes("fd00:1::1/128"), removed);
    const left = await run("-o", "addr", "show", "dev", "lo");
    assert(left.includes("10.1.0.1/32"), left);
    assert(!left.includes("fd00:1::1"), left);
  }));

Deno.test("a name without a namespace never means a sandbox of another namespace", () =>
  machine(async (_namespace, _run, open) => {
    await using node = await open({ podCidrs: POD_CIDRS });
    await node.createSandbox({ name: "web" });
    await node.createSandbox({ name: "web", namespace: "prod" });
    assertEquals(await node.removeSandbox("web"), true);
    assertEquals(await node.removeSandbox("web"), false);
    const error = await assertRejects(() => node.openSandbox("web"));
    assert(isSandboxError(error, "SandboxNotFound"), `${error}`);
    assertEquals(
      (await node.listSandboxes()).map(({ namespace }) => namespace),
      ["prod"],
    );
    await node.remove({ force: true });
  }));
