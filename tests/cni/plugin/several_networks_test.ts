/** Containers with several interfaces, on several networks: P16, P20 of the protocol that runtimes and plugins keep. */
import { assertEquals, assertStringIncludes } from "@std/assert";
import { type JsonObject, parseResult } from "../../../src/cni/model/mod.ts";
import { PluginHost } from "./driver.ts";

Deno.test("P20: attachments are told apart by network, container and interface", async () => {
  await using machine = await PluginHost.start();
  const netns = await machine.container("c");
  const other = await machine.container("d");
  const [a, b] = [machine.config({ name: "a" }), machine.config({ name: "b" })];
  const ifnames = async (name: string) =>
    (await machine.sh(`ip -n ${name} -o link`)).match(/eth\d/g)?.sort();
  await machine.add({ containerID: "c", netns }, a);
  await machine.add({ containerID: "d", netns: other }, a);
  // Of another network, and never added: nothing of the first one goes.
  await machine.ok("DEL", { containerID: "c", netns }, b);
  await machine.ok("DEL", { containerID: "c", netns, ifname: "eth1" }, a);
  assertEquals(await ifnames("c"), ["eth0"]);
  await machine.ok("DEL", { containerID: "c", netns }, a);
  assertEquals(await ifnames("c"), undefined);
  assertEquals(await ifnames("d"), ["eth0"]);
});

Deno.test("of a container's interfaces the first one has the default route, and each answers by itself", async () => {
  await using machine = await PluginHost.start();
  const netns = await machine.container("c");
  const config = machine.config({
    podCidrs: ["10.77.0.0/24"],
    ipam: { routes: [{ dst: "0.0.0.0/0" }] },
    runtimeConfig: {
      portMappings: [{ hostPort: 80, containerPort: 80, protocol: "tcp" }],
    },
  });
  const attachment = { containerID: "c", netns };
  const read = async (ifname: string, more: JsonObject = {}) =>
    parseResult(
      await machine.add({ ...attachment, ifname }, { ...config, ...more }),
    );
  const routes = async () =>
    (await machine.sh("ip -n c -4 route")).trim().split("\n").map((line) =>
      line.replace(/ via.* dev/, "").replace(/ .*(eth\d).*/, " $1")
    ).sort();
  // As containerd does it: both at once, with the same host ports for each.
  const [second, first] = await Promise.all([
    read("eth1", { name: "blue" }),
    read("eth0", { routes: [{ dst: "198.51.100.0/24" }] }),
  ]);
  assertEquals(first.routes.map(({ dst }) => dst), [
    "0.0.0.0/0",
    "198.51.100.0/24",
  ]);
  assertEquals(second.routes, []);
  assertEquals(await routes(), ["198.51.100.0/24 eth0", "default eth0"]);
  {
    await using _greeter = await machine.greeter("c");
    for (const { ips } of [first, second]) {
      const [address = ""] = ips[0]?.address.split("/") ?? [];
      assertEquals(await machine.greeting(`${address}:80`), "hello\n");
    }
  }
  const owner = async () => {
    const listed = await machine.host.json("ls") as readonly {
      readonly labels: Readonly<Record<string, string>>;
      readonly ports: readonly unknown[];
    }[];
    const owners = listed.filter(({ ports }) => ports.length > 0);
    assertEquals(owners.length, 1);
    return owners[0]?.labels["cni.ifname"] ?? "?";
  };
  // Whoever has the host ports, the other one gets them when it goes.
  const names: Record<string, string> = { eth1: "blue", eth0: "net" };
  const gone = await owner();
  await machine.ok("DEL", { ...attachment, ifname: gone }, {
    ...config,
    name: names[gone] ?? "?",
  });
  const [left = "?"] = Object.keys(names).filter((name) => name !== gone);
  assertEquals(await owner(), left);
  {
    await using _greeter = await machine.greeter("c");
    assertEquals(await machine.greeting("127.0.0.1:80"), "hello\n");
  }
  await read(gone, { name: names[gone] ?? "?" });
  assertEquals(await owner(), left);
  await Promise.all(
    Object.entries(names).map(([ifname, name]) =>
      machine.ok("DEL", { ...attachment, ifname }, { ...config, name })
    ),
  );
  assertEquals(await machine.traces(), []);
  assertEquals(await machine.sh("ip -n c rule | wc -l"), "3\n");
  // Where somebody else's default route is, podnet's stays away, unless it is told.
  await machine.sh(
    "ip -n c link add other type veth peer name x; ip -n c link set other up; ip -n c addr add 192.0.2.2/24 dev other; ip -n c route add default via 192.0.2.1",
  );
  assertEquals((await read("eth0")).routes, []);
  await machine.ok("DEL", attachment, config);
  const { msg } = await machine.fails(
    8,
    "ADD",
    attachment,
    { ...config, isDefaultGateway: true },
  );
  await machine.sh("ip -n c link del other");
  // A name that somebody chose, and no runtime gave by counting.
  const chosen = { ...attachment, ifname: "ens7" };
  assertEquals((await read(chosen.ifname)).routes.length, 1);
  await machine.ok("DEL", chosen, config);
  assertStringIncludes(msg, "default route");
  assertEquals(
    (await read("eth1", { isDefaultGateway: true })).routes.length,
    1,
  );
  await machine.ok("DEL", { ...attachment, ifname: "eth1" }, config);
  const wrong = await machine.fails(
    7,
    "ADD",
    attachment,
    machine.config({
      podCidrs: ["10.77.0.0/24"],
      routes: [{ dst: "198.51.100.0/24", gw: "192.0.2.1" }],
    }),
  );
  assertStringIncludes(wrong.details, "routes[0].gw");
});

Deno.test("all addresses of an IP version that the node does not have are asked for in vain, whoever says what it has", async () => {
  await using machine = await PluginHost.start();
  const attachment = { containerID: "c", netns: await machine.container("c") };
  const { podCidrs: _, ...known } = machine.config();
  const asking = (...hostIPs: readonly string[]) => ({
    runtimeConfig: {
      portMappings: hostIPs.map((hostIP, i) => ({
        hostIP,
        hostPort: 80 + i,
        containerPort: 80,
        protocol: "tcp",
      })),
    },
  });
  for (const config of [{ ...known, podCidrs: ["10.77.0.0/24"] }, known]) {
    await machine.add(attachment, { ...config, ...asking("::", "0.0.0.0") });
    const [listed] = await machine.host.json("ls") as readonly {
      readonly ports: readonly { readonly hostPort: number }[];
    }[];
    assertEquals(listed?.ports.map(({ hostPort }) => hostPort), [81]);
    await machine.ok("DEL", attachment, config);
    // One address of it is an error in either case.
    const { details } = await machine.fails(7, "ADD", attachment, {
      ...config,
      ...asking("::1"),
    });
    assertStringIncludes(details, "runtimeConfig.portMappings[0]");
  }
});

Deno.test("GC of the network that has a container's host ports hands them on to another one", async () => {
  await using machine = await PluginHost.start();
  const netns = await machine.container("c");
  const runtimeConfig = {
    portMappings: [{ hostPort: 80, containerPort: 80, protocol: "tcp" }],
  };
  const first = machine.config({ runtimeConfig });
  const second = machine.config({ runtimeConfig, name: "blue" });
  await machine.add({ containerID: "c", netns }, first);
  await machine.add({ containerID: "c", netns, ifname: "eth1" }, second);
  const { runtimeConfig: _, ...config } = first;
  await machine.ok("GC", undefined, {
    ...config,
    "cni.dev/valid-attachments": [],
  });
  const listed = await machine.host.json("ls") as readonly {
    readonly labels: Readonly<Record<string, string>>;
    readonly ports: readonly { readonly hostPort: number }[];
  }[];
  assertEquals(
    listed.map(({ labels, ports }) => [labels["cni.ifname"], ports.length]),
    [["eth1", 1]],
  );
  await using _greeter = await machine.greeter("c");
  assertEquals(await machine.greeting("127.0.0.1:80"), "hello\n");
});
