import { assertEquals, assertMatch } from "@std/assert";
import { type Host, podnet } from "../cli/host.ts";
import { Etcd } from "./etcd.ts";
import { PATIENCE_MS, until } from "../support/patience.ts";
import { Network } from "./network.ts";

Deno.test("podnet node up keeps two nodes in a cluster, and others look at it", async () => {
  await using network = await Network.start();
  const { one, two } = network;
  // On the first machine: the other one reaches it over the segment.
  await using etcd = await Etcd.start({ netns: one.pid, host: "192.168.50.1" });
  const store = ["--etcd", `${etcd.endpoints}`];
  const cluster = [...store, "--lease", "60"];
  const cidrs = [
    ...["--cluster-cidr", "10.244.0.0/16", "--node-prefix4", "26"],
    ...["--vni", "7", "--vxlan-port", "4789"],
  ];
  const services = [
    one.start("--node", "a", "node", "up", ...cluster, ...cidrs, "-o", "json"),
  ];
  const ready = async (host: Host, node: string) => {
    const { code } = await host.podnet("--node", node, "node", "status");
    return code === 0;
  };
  await until(() => ready(one, "a"));
  // The first node has said what the cluster is.
  services.push(two.start("--node", "b", "node", "up", ...cluster));
  await until(() => ready(two, "b"));
  const status = await one.json("--node", "a", "node", "status") as {
    state: string;
    isKept: boolean;
    self: { podCidrs: string[]; vxlan: object };
  };
  assertEquals([status.state, status.isKept], ["ready", true]);
  const { mac: _, ...tunnel } = { mac: "", ...status.self.vxlan };
  assertEquals(tunnel, { vni: 7, port: 4789 });
  await until(async () => {
    const nodes = await one.json("--node", "a", "node", "ls") as {
      name: string;
    }[];
    return String(nodes.map(({ name }) => name)) === "a,b";
  });
  assertMatch(
    await two.ok("--node", "b", "node", "routes"),
    /^NETWORK +NODE +PATH +LINK +NEXT HOP\n(?:.+\n)*10\.244\.\d+\.\d+\/26 +a +route +eth0 +192\.168\.50\.1\n/,
  );
  assertMatch(
    await one.ok("--node", "a", "node", "picture"),
    /└── route +── b {2}10\.244\.\d+\.\d+\/26\n/,
  );
  assertMatch(
    await one.ok("--node", "a", "node", "picture", "--format", "svg"),
    /^<svg [^]*<path class="route"[^]*<\/svg>\n$/,
  );
  // Pods of both are made by other processes, and reach each other.
  const web = await one.json("--node", "a", "create", "web") as {
    addresses: string[];
  };
  const client = await two.json("--node", "b", "create", "client") as {
    addresses: string[];
  };
  const server = one.start(
    ...["--node", "a", "exec", "web", "--", "socat"],
    ...["TCP-LISTEN:80,fork,reuseaddr", "SYSTEM:echo $SOCAT_PEERADDR"],
  );
  // Who connects is seen as who he is (X1).
  const connects = () =>
    two.podnet(
      ...["--node", "b", "exec", "client", "--", "socat", "-u"],
      ...[`TCP:${web.addresses[0]}:80,retry=50,interval=0.1`, "STDOUT"],
    );
  const seen = { code: 0, stdout: `${client.addresses[0]}\n`, stderr: "" };
  assertEquals(await connects(), seen);
  const down = await one.podnet("--node", "a", "node", "down", "--force");
  assertEquals(down.code, 4);
  assertMatch(down.stderr, /process \d+ \(\S+\) keeps node "a" in its cluster/);
  // Killed and started again, it has the same networks, and pods notice nothing.
  await services[0]?.end("SIGKILL");
  services[0] = one.start("--node", "a", "node", "up", ...cluster);
  await until(() => ready(one, "a"));
  const again = await one.json("--node", "a", "node", "status") as {
    self: { podCidrs: string[] };
  };
  assertEquals(again.self.podCidrs, status.self.podCidrs);
  assertEquals(await connects(), seen);
  // Ended, they leave all as it is. The lease of the last one is short.
  await services[0]?.end("SIGTERM");
  services[0] = one.start(
    ...["--node", "a", "node", "up", ...store, "--lease", "2"],
  );
  await until(() => ready(one, "a"));
  for (const service of services) {
    const { code, stderr } = await service.end("SIGTERM");
    assertEquals({ code, stderr }, { code: 0, stderr: "" });
  }
  assertEquals(await connects(), seen);
  await server.end("SIGTERM");
  const late = await one.podnet("--node", "a", "node", "status");
  assertEquals(late.code, 1);
  assertMatch(late.stdout, /no process keeps the node in its cluster/);
  let refused = await one.podnet("--node", "a", "create", "late-0");
  for (let i = 1; refused.code === 0; i++) {
    refused = await one.podnet("--node", "a", "create", `late-${i}`);
  }
  assertEquals(refused.code, 1);
  assertMatch(refused.stderr, /lease in cluster "default" has ended/);
  const leave = ["node", "leave", ...cluster];
  assertEquals((await one.podnet("--node", "a", ...leave)).code, 4);
  await one.ok("--node", "a", ...leave, "--force");
  assertEquals(await one.ok("--node", "a", ...leave), "");
  await two.ok("--node", "b", ...leave, "--force");
  assertEquals((await one.podnet("--node", "a", "node", "status")).code, 3);
});

Deno.test("podnet node up refuses a cluster whose networks would take its etcd from it", async () => {
  await using network = await Network.start();
  const { one, two } = network;
  const host = "192.168.99.9";
  await one.run("ip", "address", "add", `${host}/32`, "dev", "eth0");
  await two.run("ip", "route", "add", "default", "via", "192.168.50.1");
  await using etcd = await Etcd.start({ netns: one.pid, host });
  const up = [
    ...["node", "up", "--etcd", `${etcd.endpoints}`],
    ...["--cluster-cidr", "192.168.0.0/16"],
  ];
  // One that joins stays.
  const { code, stderr } = await two.run(
    ...["timeout", `${PATIENCE_MS / 1000}`],
    ...two.podnetCommand("--node", "b", ...up),
  );
  assertEquals(code, 4);
  assertMatch(stderr, /: the etcd has 192\.168\.99\.9, which is in /);
  // It is on the first machine itself.
  const service = one.start("--node", "a", ...up, "-o", "json");
  await until(async () =>
    (await one.podnet("--node", "a", "node", "status")).code === 0
  );
  assertEquals(await service.end("SIGTERM"), { code: 0, stderr: "" });
  const leave = ["node", "leave", "--etcd", `${etcd.endpoints}`];
  await one.ok("--node", "a", ...leave);
});

Deno.test("podnet node up tells what is wrong with options of a cluster by their names, before anything is done", async () => {
  const etcd = ["--etcd", "http://127.0.0.1:9"];
  const wrong: readonly (readonly [readonly string[], RegExp])[] = [
    [["--cluster-cidr", "10.244.0.0/16"], /^podnet: --cluster-cidr is about a/],
    [["--vni", "7"], /^podnet: --vni is about a cluster: write --etcd URL or/],
    [[...etcd, "--vni", "0"], /^podnet: --vni 0: /],
    [[...etcd, "--node-prefix4", "31"], /^podnet: --node-prefix4 31: /],
    [[...etcd, "--mtu", "70000"], /^podnet: --mtu 70000: write an MTU/],
    [[...etcd, "--peers", "peers.json"], /^podnet: --peers "peers.json" is no/],
    [[...etcd, "--pod-cidr", "10.1.0.0/24"], /exclude each other/],
  ];
  for (const [options, message] of wrong) {
    const { code, stderr } = await podnet("node", "up", ...options);
    assertMatch(stderr, message);
    assertEquals(code, 2);
  }
});
