import { assert, assertEquals, assertMatch } from "@std/assert";
import { Host } from "./host.ts";

const POD_CIDR = ["--pod-cidr", "10.244.1.0/24"];
const DUAL_STACK = [...POD_CIDR, "--pod-cidr", "fd00:10:244:1::/64"];

Deno.test("podnet create prints the sandbox as JSON and finds it again", async () => {
  await using host = await Host.start();
  const created = await host.json(
    ...["create", "web", ...DUAL_STACK, "-p", "127.0.0.1:8080-8081:80-81"],
    ...["--label", "app=web", "--container", "app:80"],
  ) as Record<string, unknown>;
  const { id, addresses, mac, netnsPath, hostInterface, createdAt, ...rest } =
    created;
  assertMatch(String(id), /^[0-9a-f]{16}$/);
  assertMatch(String(addresses), /^10\.244\.1\.\d+,fd00:10:244:1:[0-9a-f:]+$/);
  assertMatch(String(mac), /^02(:[0-9a-f]{2}){5}$/);
  assertEquals(netnsPath, `${host.stateDir}/test/sandboxes/${id}/netns`);
  assertMatch(String(hostInterface), /^pn-[0-9a-f]{12}$/);
  assert(Math.abs(Date.parse(String(createdAt)) - Date.now()) < 60_000);
  assertEquals<unknown>(rest, {
    name: "web",
    namespace: "default",
    labels: { app: "web" },
    mtu: 1500,
    interfaceName: "eth0",
    interfaces: [],
    attachments: [],
    routes: [
      { destination: "0.0.0.0/0", gateway: "10.244.1.1" },
      { destination: "::/0", gateway: "fd00:10:244:1::1" },
    ],
    ports: [80, 81].map((port) => ({
      protocol: "tcp",
      hostPort: 8000 + port,
      containerPort: port,
      hostIP: "127.0.0.1",
    })),
    containers: [{ name: "app", ports: [{ port: 80, protocol: "tcp" }] }],
    hostNetwork: false,
    dns: {
      hostname: "web",
      resolvConfPath: `${host.stateDir}/test/sandboxes/${id}/resolv.conf`,
      hostsPath: `${host.stateDir}/test/sandboxes/${id}/hosts`,
    },
  });
  const [again, inspected, byId] = await Promise.all([
    host.json(
      ...["create", "web", "-p", "127.0.0.1:8080-8081:80-81"],
      ...["--label", "app=web", "--container", "app:80"],
    ),
    host.json("inspect", "web"),
    host.json("inspect", String(id)),
  ]);
  assertEquals([again, inspected, byId], [created, created, created]);
});

Deno.test("podnet ls, inspect and ports show sandboxes as tables", async () => {
  await using host = await Host.start();
  await host.ok("create", "web", ...POD_CIDR, "-p", "8080-8089:80-89");
  await host.ok("create", "web", "--namespace", "other", "--host-network");
  const [all, other, ids, inspected, ports, json] = await Promise.all([
    host.ok("ls"),
    host.ok("ls", "--namespace", "other"),
    host.ok("ls", "-q"),
    host.ok("inspect", "web"),
    host.ok("ports"),
    host.json("ports", "web"),
  ]);
  const [heading, ...rows] = all.trimEnd().split("\n");
  assertMatch(heading ?? "", /^NAME +NAMESPACE +ID +STATE +ADDRESSES +PORTS/);
  assertMatch(
    rows[0] ?? "",
    /^web +default +[0-9a-f]{16} +ready +10\.244\.1\.\d+ +8080-8089->80-89\/tcp /,
  );
  assertMatch(rows[1] ?? "", /^web +other +/);
  assertEquals(rows.length, 2);
  assertEquals(other.trimEnd().split("\n").length, 2);
  assertEquals(
    ids,
    rows.map((row) => `${row.split(/ +/)[2]}\n`).join(""),
  );
  assertMatch(inspected, /^Name +web\nNamespace +default\n/);
  assertMatch(ports, /\nweb +default +tcp +\* +8080-8089 +80-89\n$/);
  assertEquals<unknown>(json, [{
    id: ids.split("\n")[0],
    name: "web",
    namespace: "default",
    protocol: "tcp",
    hostPort: 8080,
    hostPortEnd: 8089,
    containerPort: 80,
    containerPortEnd: 89,
  }]);
});

Deno.test("podnet tells every problem of a spec in a line of its own and does nothing", async () => {
  await using host = await Host.start();
  await host.ok("node", "up", ...POD_CIDR);
  const { code, stdout, stderr } = await host.podnet(
    ...["create", "web", "--mtu", "0", "-p", "80:80", "-p", "0:80"],
    ...["--sysctl", "kernel.shmmax=1", "--mac", "01:00:00:00:00:00"],
  );
  assertEquals([code, stdout], [2, ""]);
  const lines = stderr.trimEnd().split("\n");
  assertEquals(lines.map((line) => line.split(":").slice(0, 2).join(":")), [
    "podnet: --publish 0",
    "podnet: --mtu 0",
    "podnet: --mac 01",
    "podnet: --sysctl kernel.shmmax=1",
  ]);
  assertEquals(await host.json("ls"), []);
});

Deno.test("podnet exits by the kind of failure", async () => {
  await using host = await Host.start();
  assertEquals((await host.podnet("ls")).code, 3);
  const ip = ["--ip", "10.244.1.9"];
  await host.ok("create", "web", ...POD_CIDR, ...ip, "-p", "8080:80");
  await host.ok("create", "app", "--container", "main");
  for (
    const [code, ...args] of [
      [2, "create", "a/b"],
      [2, "create", "db", "-p", "192.0.2.1:80:80"],
      [3, "inspect", "db"],
      [3, "exec", "db", "--", "true"],
      [3, "ports", "add", "db", "-p", "1:1"],
      [4, "create", "web"],
      [4, "create", "db", "-p", "8080:80"],
      [4, "create", "db", ...ip],
      [4, "rm", "app"],
      [4, "node", "up", "--mtu", "1400"],
      [4, "node", "down"],
    ] as const
  ) {
    const outcome = await host.podnet(...args);
    assertEquals(outcome.code, code, args.join(" ") + outcome.stderr);
    assertEquals(outcome.stdout, "");
    assertMatch(outcome.stderr, /^podnet: [^\n]+\n$/);
  }
});

Deno.test("podnet says that it needs root when it has no capability", async () => {
  await using host = await Host.start();
  await host.ok("node", "up", ...POD_CIDR);
  const { code, stdout, stderr } = await host.run(
    ...["setpriv", "--bounding-set=-all", "--inh-caps=-all"],
    ...host.podnetCommand("create", "web"),
  );
  assertEquals([code, stdout], [5, ""], stderr);
  assertMatch(stderr, /^podnet: [^\n]+root[^\n]+\n$/);
});

Deno.test("podnet rm takes the host's interface away before it ends", async () => {
  await using host = await Host.start();
  await host.ok("create", "web", ...POD_CIDR);
  await host.ok("create", "db");
  assertEquals(await host.ok("rm", "web", "db", "web"), "web\ndb\n");
  const { stdout } = await host.run("ip", "-brief", "link");
  assertEquals(stdout.trimEnd().split("\n").length, 1, stdout);
});

Deno.test("podnet rm minds what is not there unless forced", async () => {
  await using host = await Host.start();
  assertEquals(await host.ok("rm", "-f", "web"), "");
  assertEquals((await host.podnet("rm", "web")).code, 3);
  await host.ok("create", "web", ...POD_CIDR, "--container", "app");
  const { code, stdout, stderr } = await host.podnet("rm", "nope", "web");
  assertEquals([code, stdout], [3, ""], stderr);
  assertEquals(stderr.split("\n").length, 3);
  assertEquals(await host.ok("rm", "-f", "nope", "web"), "web\n");
  assertEquals(await host.ok("rm", "-f", "web"), "");
  assertEquals((await host.podnet("rm", "web")).code, 3);
});

Deno.test("podnet ports add and ports rm change a sandbox that lives", async () => {
  await using host = await Host.start();
  await host.ok("create", "web", ...POD_CIDR);
  const { id } = await host.json("inspect", "web") as { id: string };
  const port = (number: number) => ({
    ...{ id, name: "web", namespace: "default", protocol: "udp" },
    ...{ hostPort: number, containerPort: number, hostIP: "127.0.0.1" },
  });
  const publish = (number: number) => [
    "-p",
    `127.0.0.1:${number}:${number}/udp`,
  ];
  const added = await host.json(
    ...["ports", "add", "web", ...publish(53), ...publish(90)],
  );
  assertEquals<unknown>(added, [port(53), port(90)]);
  await host.ok("create", "db", "-p", "80:80");
  const taken = await host.podnet("ports", "add", "web", "-p81:81", "-p80:80");
  assertEquals(taken.code, 4);
  assertMatch(taken.stderr, /default\/db/);
  const left = await host.json("ports", "rm", "web", ...publish(53));
  assertEquals<unknown>(left, [port(90)]);
});

Deno.test("podnet create gives each of many sandboxes an address of its own when all start at once", async () => {
  await using host = await Host.start();
  const names = Array.from({ length: 6 }, (_, i) => `pod-${i}`);
  const created = await Promise.all(
    names.map((name) => host.json("create", name, ...POD_CIDR)),
  ) as { addresses: string[] }[];
  assertEquals(new Set(created.map((s) => s.addresses[0])).size, names.length);
  const same = await Promise.all(
    names.slice(0, 3).map(() => host.json("create", "one", "-p", "80:80")),
  );
  assertEquals(same[1], same[0]);
  assertEquals(same[2], same[0]);
});
