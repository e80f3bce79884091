import { assertEquals, assertRejects, assertThrows } from "@std/assert";
import { parseOptions } from "../../src/cli/options.ts";
import { parseInterface } from "../../src/cli/interface_option.ts";
import { integer } from "../../src/cli/numbers.ts";
import {
  pairs,
  parseContainer,
  portMappings,
  sandboxOptions,
  sandboxSpec,
} from "../../src/cli/sandbox_options.ts";
import { UsageError } from "../../src/cli/usage.ts";

function options(...args: string[]) {
  return parseOptions(sandboxOptions, args, "podnet create").options;
}

Deno.test("sandboxSpec() has what was asked for and nothing else", async () => {
  assertEquals<unknown>(await sandboxSpec("web", options()), {
    name: "web",
    addresses: [],
    ports: [],
    containers: [],
    routes: [],
    labels: {},
    sysctls: {},
    unsafeSysctls: [],
  });
});

Deno.test("parseInterface() refuses what is no interface", () => {
  for (
    const text of [
      "",
      "net1",
      "net1=eth1",
      "net1=macvlan:",
      "net1=macvlan:eth1:other",
      "net1=device:eth1,ip",
      "net1=device:eth1,colour=red",
      "net1=device:eth1,default-route=yes",
      "net1=device:eth1:vepa",
      "net1=device:eth1,hairpin",
      "net1=bridge:br0:vepa",
      "net1=bridge:br0,hairpin=1",
    ]
  ) {
    assertThrows(() => parseInterface(text), UsageError, "write NAME=");
  }
});

Deno.test("parseInterface() takes all that a bridge has", () => {
  const text =
    "net1=bridge:cni0,node-ip=10.8.0.1/24,range=10.8.0.0/24@10.8.0.9-10.8.0.20,range=fd08::/64,masquerade,hairpin,isolated,any-mac";
  assertEquals(parseInterface(text).attachment, {
    type: "bridge",
    bridge: "cni0",
    nodeAddresses: ["10.8.0.1/24"],
    ranges: [
      { network: "10.8.0.0/24", first: "10.8.0.9", last: "10.8.0.20" },
      { network: "fd08::/64" },
    ],
    masquerade: true,
    hairpin: true,
    isolated: true,
    macSpoofCheck: false,
  });
});

Deno.test("sandboxSpec() takes every option", async () => {
  const spec = await sandboxSpec(
    "web",
    options(
      ...["--namespace", "ns", "--uid", "u", "--mac", "02:00:00:00:00:01"],
      ...["--mtu", "1400", "--interface-name", "net0", "--host-network"],
      ...["--ip", "10.0.0.5", "--ip", "fd00::5", "-p", "80:8080/udp"],
      ...["--container", "app:80,53/udp", "--label", "a=b=c"],
      ...["--sysctl", "net.core.somaxconn=9", "--unsafe-sysctl", "net.x"],
      ...["--dns", "10.0.0.2", "--dns-search", "local"],
      ...["--dns-option", "ndots:5", "--hostname", "h"],
      ...["--ingress-bandwidth", "10M", "--egress-bandwidth", "1.5G:64Ki"],
      ...["--interface", "net1=macvlan:eth1:vepa,ip=10.9.0.7/24,mtu=1400"],
      ...[
        "--interface",
        "net2=device:eth2,gateway=10.8.0.1,route=10.7.0.0/16@10.8.0.2,default-route,mac=02:00:00:00:00:02",
      ],
      ...["--without-default-route", "--route", "10.9.0.0/16"],
    ),
  );
  assertEquals<unknown>(spec, {
    name: "web",
    namespace: "ns",
    uid: "u",
    mac: "02:00:00:00:00:01",
    mtu: 1400,
    interfaceName: "net0",
    hostNetwork: true,
    defaultRoute: false,
    interfaces: [
      {
        name: "net1",
        attachment: { type: "macvlan", parent: "eth1", mode: "vepa" },
        addresses: ["10.9.0.7/24"],
        gateways: [],
        routes: [],
        mtu: 1400,
      },
      {
        name: "net2",
        attachment: { type: "device", device: "eth2" },
        addresses: [],
        gateways: ["10.8.0.1"],
        routes: [{ destination: "10.7.0.0/16", gateway: "10.8.0.2" }],
        defaultRoute: true,
        mac: "02:00:00:00:00:02",
      },
    ],
    bandwidth: { ingress: 1e7, egress: 1.5e9, egressBurst: 65536 },
    routes: [{ destination: "10.9.0.0/16" }],
    dns: {
      nameservers: ["10.0.0.2"],
      searches: ["local"],
      options: ["ndots:5"],
      hostname: "h",
    },
    addresses: ["10.0.0.5", "fd00::5"],
    ports: [{ protocol: "udp", hostPort: 80, containerPort: 8080 }],
    containers: [{
      name: "app",
      ports: [{ port: 80, protocol: "tcp" }, { port: 53, protocol: "udp" }],
    }],
    labels: { a: "b=c" },
    sysctls: { "net.core.somaxconn": "9" },
    unsafeSysctls: ["net.x"],
  });
});

for (
  const text of ["80", "-1:80", "80.5:80", '"80":80', "80:80/xyz", "::1:1:1"]
) {
  Deno.test(`portMappings() says what to write instead of ${text}`, async () => {
    const error = await assertRejects(() => portMappings([text]), UsageError);
    assertEquals(error.message.startsWith("--publish: "), true);
  });
}

for (const text of ["", ":80", "app:", "app:x", "app:80/xyz", "app:80,"]) {
  Deno.test(`parseContainer() refuses "${text}"`, () => {
    assertThrows(() => parseContainer(text), UsageError, "like app:80,53/udp");
  });
}

Deno.test("parseContainer() takes a name alone", () => {
  assertEquals(parseContainer("app"), { name: "app" });
});

for (const text of ["1.5", "0x10", "", "1e3", " 1", "big"]) {
  Deno.test(`integer() refuses "${text}"`, () => {
    assertThrows(() => integer("mtu", text), UsageError, "--mtu");
  });
}

Deno.test("integer() leaves the range to the library", () => {
  assertEquals([integer("mtu", "-1"), integer("mtu", "70000")], [-1, 70000]);
});

Deno.test("pairs() refuses what has no key or no value and what is there twice", () => {
  assertThrows(() => pairs("label", ["a"]), UsageError, "--label a=VALUE");
  assertThrows(() => pairs("label", ["=b"]), UsageError, "--label KEY=VALUE");
  assertThrows(() => pairs("label", ["a=1", "a=1"]), UsageError, "twice");
});

Deno.test("pairs() takes an empty value and any key", () => {
  assertEquals(
    Object.entries(pairs("label", ["a=", "__proto__=x"])),
    [["a", ""], ["__proto__", "x"]],
  );
});
