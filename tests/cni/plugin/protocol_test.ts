/** How the plugin is spoken to, whatever it is asked: P1–P6, P8, P18, P19 of the protocol that runtimes and plugins keep. */
import { assert, assertEquals, assertStringIncludes } from "@std/assert";
import {
  CNI_VERSIONS,
  type JsonObject,
  parseResult,
} from "../../../src/cni/model/mod.ts";
import { PluginHost } from "./driver.ts";

const ADD = {
  CNI_COMMAND: "ADD",
  CNI_CONTAINERID: "c",
  CNI_NETNS: "/run/netns/c",
  CNI_IFNAME: "eth0",
};

Deno.test("P4: VERSION needs no standard input, and nothing at all prints usage", async () => {
  await using machine = await PluginHost.start();
  const newest = await machine.exec("podnet", { CNI_COMMAND: "VERSION" }, "");
  assertEquals(newest, {
    code: 0,
    stdout: `${
      JSON.stringify({
        cniVersion: "1.1.0",
        supportedVersions: [...CNI_VERSIONS],
      })
    }\n`,
    stderr: "",
  });
  // libcni gives it variables that mean nothing, and asks in a version.
  const { document } = await machine.invoke(
    "VERSION",
    { containerID: "dummy", netns: "dummy", ifname: "dummy" },
    { cniVersion: "0.4.0", type: "podnet" },
  );
  assertEquals(document?.["cniVersion"], "0.4.0");
  const odd = await machine.exec("podnet", { CNI_COMMAND: "VERSION" }, "{]");
  assertEquals(odd.stdout, newest.stdout);
  const usage = await machine.exec("podnet", {}, "");
  assertEquals([usage.code, usage.stdout], [0, ""]);
  assertStringIncludes(usage.stderr, "CNI_COMMAND");
});

Deno.test("P1, P2, P3: what is wrong with environment and input is told in one document", async () => {
  await using machine = await PluginHost.start();
  const answer = async (variables: Record<string, string>, stdin: string) => {
    const { code, stdout } = await machine.exec("podnet", variables, stdin);
    assert(code !== 0, stdout);
    const { code: errorCode, msg } = JSON.parse(stdout);
    return [errorCode, msg];
  };
  const config = JSON.stringify(machine.config());
  const [missing, text] = await answer({ CNI_COMMAND: "ADD" }, config);
  assertEquals(missing, 4);
  for (const name of ["CNI_CONTAINERID", "CNI_NETNS", "CNI_IFNAME"]) {
    assertStringIncludes(text, name);
  }
  const wrong = await Promise.all([
    answer({ ...ADD, CNI_COMMAND: "ATTACH" }, config),
    answer({ ...ADD, CNI_CONTAINERID: "../../etc" }, config),
    answer({ ...ADD, CNI_IFNAME: "a/b" }, config),
    answer({ ...ADD, CNI_IFNAME: "sixteen-letters-" }, config),
    answer({ ...ADD, CNI_NETNS: "relative" }, config),
    answer(ADD, ""),
    answer(ADD, "{"),
    answer(ADD, `${config}${config}`),
    answer(ADD, "[]"),
    answer(ADD, JSON.stringify({ ...machine.config(), name: "../etc" })),
    answer(ADD, JSON.stringify({ ...machine.config(), type: "a/b" })),
  ]);
  assertEquals(wrong.map(([code]) => code), [
    ...[4, 4, 4, 4, 4],
    ...[6, 6, 6, 6],
    ...[7, 7],
  ]);
  // The error is in the version of the configuration, also when nothing else of it is right.
  const attachment = { containerID: "c", netns: "/run/netns/c" };
  const old = machine.config({ cniVersion: "0.4.0", name: "../etc" });
  await machine.fails(7, "ADD", attachment, old);
});

Deno.test("P1–P3: input may be long, and is refused when it is no text; where the plugin is started makes no difference", async () => {
  await using machine = await PluginHost.start();
  const del = { containerID: "c", netns: "" };
  for (
    const more of [
      { note: "a".repeat(10_000_000) },
      { note: Array.from({ length: 200_000 }, () => [1]) },
    ]
  ) await machine.ok("DEL", del, machine.config(more));
  const { msg } = await machine.fails(
    6,
    "DEL",
    del,
    machine.config({ note: JSON.parse("[".repeat(201) + "]".repeat(201)) }),
  );
  assertStringIncludes(msg, "deep");
  const plugin = `${machine.directory}/bin/podnet`;
  const answer = async (script: string) => {
    const { stdout } = await machine.host.run(
      ...["env", "-i", "CNI_COMMAND=STATUS", "/bin/sh", "-c", script],
    );
    return JSON.parse(stdout);
  };
  const noText = await answer(`printf '{"name":"\\377"}' | ${plugin}`);
  assertEquals(noText.code, 6);
  assertStringIncludes(noText.msg, "UTF-8");
  assertEquals((await answer(`${plugin} <&-`)).code, 6);
  assertEquals((await answer(`${plugin} </`)).code, 5);
  const gone = await answer(
    `mkdir /tmp/gone; cd /tmp/gone; rmdir /tmp/gone; ${plugin} </dev/null`,
  );
  assertEquals(gone.code, 6);
});

Deno.test("P5: versions and commands that do not go together are refused before anything is done", async () => {
  await using machine = await PluginHost.start();
  const netns = await machine.container("c");
  const attachment = { containerID: "c", netns };
  for (const cniVersion of ["2.0.0", "0.0.1", "latest"]) {
    const { details } = await machine.fails(
      1,
      "ADD",
      attachment,
      machine.config({ cniVersion }),
    );
    for (const version of CNI_VERSIONS) assertStringIncludes(details, version);
  }
  await machine.fails(
    1,
    "CHECK",
    attachment,
    machine.config({ cniVersion: "0.3.1" }),
  );
  for (const command of ["GC", "STATUS"]) {
    const config = machine.config({ cniVersion: "1.0.0" });
    await machine.fails(1, command, undefined, config);
  }
  assertEquals(
    await machine.sh("ls /run/netns; ip -o -n c link | wc -l"),
    "c\n1\n",
  );
});

Deno.test("P6: the result is in the version that is asked for", async () => {
  await using machine = await PluginHost.start();
  const netns = await machine.container("c");
  for (const cniVersion of [undefined, ...CNI_VERSIONS]) {
    const config = machine.config({ mtu: 1400 });
    const { cniVersion: _, ...rest } = config;
    const asked = cniVersion === undefined ? rest : { ...rest, cniVersion };
    const attachment = { containerID: "c", netns };
    const document = await machine.add(attachment, asked);
    const { interfaces, ips, routes } = parseResult(document);
    const isOld = cniVersion === undefined || cniVersion < "0.3.0";
    assertEquals(interfaces.length, isOld ? 0 : 2);
    assertEquals(ips.map(({ gateway }) => gateway), [
      "10.77.0.1",
      "fd00:77::1",
    ]);
    assertEquals(routes.map(({ dst }) => dst), ["0.0.0.0/0", "::/0"]);
    if (!isOld) {
      const [, own] = interfaces;
      assertEquals([own?.name, own?.sandbox], ["eth0", netns]);
      assertEquals(own?.mtu, cniVersion === "1.1.0" ? 1400 : undefined);
      assertEquals(ips.map((ip) => ip.interface), [1, 1]);
    } else {
      assertEquals(Object.keys(document), ["cniVersion", "ip4", "ip6"]);
    }
    await machine.ok("DEL", attachment, asked);
  }
});

Deno.test("P8: the plugin's own namespace is refused before anything is done", async () => {
  await using machine = await PluginHost.start();
  const before = await machine.sh("ip -o link; ip -o address");
  const own = { containerID: "c", netns: "/proc/self/ns/net" };
  for (const command of ["ADD", "DEL"]) {
    await machine.fails(8, command, own, machine.config());
  }
  const gone = { containerID: "c", netns: "/run/netns/none" };
  await machine.fails(8, "ADD", gone, machine.config());
  const file = { containerID: "c", netns: "/etc/hostname" };
  await machine.fails(8, "ADD", file, machine.config());
  assertEquals(await machine.sh("ip -o link; ip -o address"), before);
  assertEquals(await machine.sh(`ls ${machine.host.stateDir}`), "");
  // Whoever says that it is meant gets DEL, which has nothing to do there.
  const meant = await machine.exec("podnet", {
    ...ADD,
    CNI_COMMAND: "DEL",
    CNI_NETNS: "/proc/self/ns/net",
    CNI_NETNS_OVERRIDE: "1",
  }, JSON.stringify(machine.config()));
  assertEquals(meant, { code: 0, stdout: "", stderr: "" });
});

Deno.test("P18: capability keys are read in any letter case, and unknown keys ignored", async () => {
  await using machine = await PluginHost.start();
  const netns = await machine.container("c");
  // As containerd writes it, and with what other plugins of a list would have.
  const config = machine.config({
    isGateway: true,
    hairpinMode: true,
    snat: true,
    capabilities: { portMappings: true },
    runtimeConfig: {
      portMappings: [
        { HostPort: 8080, ContainerPort: 80, Protocol: "TCP", HostIP: "" },
        { HostPort: 0, ContainerPort: 81, Protocol: "tcp", HostIP: "" },
        { HostPort: 8080, ContainerPort: 80, Protocol: "tcp" },
      ],
      somethingElse: { a: 1 },
    },
  });
  await machine.add({ containerID: "c", netns }, config);
  const [sandbox] = await machine.host.json("ls") as [{ ports: unknown }];
  assertEquals(sandbox.ports, [
    { protocol: "tcp", hostPort: 8080, containerPort: 80 },
  ]);
});

Deno.test("P18, P19: what is wrong is told by the name that whoever asked for it knows", async () => {
  await using machine = await PluginHost.start();
  const netns = await machine.container("c");
  const told = async (
    code: number,
    args: string,
    more: JsonObject = {},
  ): Promise<string> => {
    const { msg, details } = await machine.fails(
      code,
      "ADD",
      { containerID: "c", netns, args },
      machine.config(more),
    );
    return `${msg} ${details}`;
  };
  const environment = await told(
    4,
    "IP=10.77.0.300;MAC=zz;K8S_POD_NAME=a b;K8S_POD_NAMESPACE=-;K8S_POD_UID=/",
  );
  for (
    const name of [
      ...["IP[0]", "MAC", "K8S_POD_NAME", "K8S_POD_NAMESPACE", "K8S_POD_UID"],
    ]
  ) assertStringIncludes(environment, `CNI_ARGS ${name}: `);
  const conventions = await told(7, "", {
    args: {
      cni: {
        ips: ["10.78.0.1"],
        mac: "zz",
        labels: [{ key: "__proto__", value: "" }],
      },
    },
    ingressRate: 1,
    sysctl: { "kernel/domainname": "x" },
    runtimeConfig: {
      portMappings: [{ hostPort: 1, containerPort: 1, protocol: "icmp" }],
      bandwidth: { egressRate: 1 },
    },
  });
  for (
    const place of [
      "args.cni.ips[0]: ",
      "args.cni.mac: ",
      "args.cni.labels.__proto__: ",
      "sysctl[",
      "runtimeConfig.portMappings[0].protocol: ",
      "runtimeConfig.bandwidth.egressRate: ",
    ]
  ) assertStringIncludes(conventions, place);
  assertStringIncludes(await told(7, "", { ingressRate: 1 }), " ingressRate: ");
  const onBridge = await told(7, "", {
    bridge: "br0",
    ipam: { addresses: [{ address: "10.88.0.9/24" }] },
    runtimeConfig: { bandwidth: { ingressRate: 1_000_000 } },
  });
  assertStringIncludes(onBridge, "runtimeConfig.bandwidth.ingressRate and ");
  const ofKernel = await told(7, "", { sysctl: { "net/ipv4/none": "1" } });
  assertStringIncludes(ofKernel, "sysctl[");
  const gateway = { subnet: "10.77.0.0/24", gateway: "10.77.0.254" };
  const network = await told(7, "", {
    podCidrs: ["fd00:77::/64"],
    ipam: { type: "host-local", ranges: [[gateway]] },
    routes: [{ dst: "0.0.0.0/0", gw: "10.77.0.254" }],
  });
  assertStringIncludes(network, "ipam.ranges[0][0].gateway: ");
  assertStringIncludes(network, "routes[0].gw: ");
  assertEquals(await machine.sh("ip -n c -o link | wc -l"), "1\n");
  // And what only looks wrong is none: names are as long, and as odd, as CNI lets them be.
  const odd = { containerID: "a".repeat(255), netns };
  const config = machine.config({
    name: "constructor",
    runtimeConfig: { aliases: { other: ["web"] } },
    ipam: { ranges: [[{ ...gateway, gateway: "10.77.0.1" }]] },
    routes: [{ dst: "0.0.0.0/0", gw: "10.77.0.1" }],
    args: {
      cni: {
        labels: [
          { key: "app", value: "web" },
          { key: "cni.network", value: "other" },
          { key: "cni.portsOfAnotherNetwork", value: "{" },
        ],
      },
    },
  });
  await machine.add(odd, config);
  const [{ labels }] = await machine.host.json("ls") as [{ labels: unknown }];
  assertEquals(labels, {
    app: "web",
    "cni.containerID": odd.containerID,
    "cni.ifname": "eth0",
    "cni.network": "constructor",
  });
  await machine.ok("DEL", odd, config);
});

Deno.test("P19: CNI_ARGS are obeyed, and names that nobody knows are refused unless they are to be ignored", async () => {
  await using machine = await PluginHost.start();
  const netns = await machine.container("c");
  const container = { containerID: "0123abc", netns };
  const refused = await machine.fails(
    4,
    "ADD",
    { ...container, args: "MAC=02:00:00:00:00:11;COLOUR=red" },
    machine.config(),
  );
  assertStringIncludes(refused.msg, "COLOUR");
  await machine.fails(
    4,
    "ADD",
    { ...container, args: "IgnoreUnknown=1;nonsense" },
    machine.config(),
  );
  const args = [
    "IgnoreUnknown=1",
    "K8S_POD_NAMESPACE=shop",
    "K8S_POD_NAME=web-0",
    "K8S_POD_INFRA_CONTAINER_ID=0123abc",
    "K8S_POD_UID=7d3c",
    "COLOUR=red",
    "IP=10.77.0.9",
    "MAC=02:00:00:00:00:11",
  ].join(";");
  const result = parseResult(
    await machine.add({ ...container, args }, machine.config()),
  );
  assertEquals(result.interfaces[1]?.mac, "02:00:00:00:00:11");
  assertEquals(result.ips[0]?.address, "10.77.0.9/32");
  const sandbox = await machine.host.json(
    "inspect",
    "web-0",
    "--namespace",
    "shop",
  );
  const { name, namespace, uid, labels } = sandbox as Record<string, unknown>;
  assertEquals([name, namespace, uid], ["web-0", "shop", "7d3c"]);
  assertEquals(labels, {
    "cni.containerID": "0123abc",
    "cni.ifname": "eth0",
    "cni.network": "net",
  });
});
