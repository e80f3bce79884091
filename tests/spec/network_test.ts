import {
  type BadInput,
  DUAL,
  IPV4_ONLY,
  IPV6_ONLY,
  port,
  ports,
  testBadInput,
} from "./cases.ts";

function route(fields: Record<string, unknown>) {
  return { routes: [fields] };
}

function other(fields: Record<string, unknown>) {
  return {
    interfaces: [{
      name: "net1",
      attachment: { type: "macvlan", parent: "eth1" },
      ...fields,
    }],
  };
}

function ipv6Off(link: string) {
  const name = `net.ipv6.conf.${link}.disable_ipv6`;
  return { sysctls: { [name]: "1" }, unsafeSysctls: [name] };
}

testBadInput({
  "a requested address is wrong": [
    [{ addresses: "10.244.1.7" }, "addresses", "write a list of IP addresses"],
    [{ addresses: [7] }, "addresses[0]", "write an IP address"],
    [{ addresses: ["10.244.1"] }, "addresses[0]", "is not an IP address"],
    [{ addresses: ["10.244.1.7/24"] }, "addresses[0]", "is not an IP address"],
    [{ addresses: ["::ffff:10.244.1.7"] }, "addresses[0]", "write 10.244.1.7"],
    [
      { addresses: ["10.244.2.7"] },
      "addresses[0]",
      "outside the node's pod CIDRs",
    ],
    [
      { addresses: ["fd00:10:244:1::7"] },
      "addresses[0]",
      "outside the node's pod CIDRs",
      IPV4_ONLY,
    ],
    [
      { addresses: ["10.244.1.0"] },
      "addresses[0]",
      "network, gateway or broadcast address",
    ],
    [
      { addresses: ["10.244.1.1"] },
      "addresses[0]",
      "network, gateway or broadcast address",
    ],
    [
      { addresses: ["10.244.1.255"] },
      "addresses[0]",
      "network, gateway or broadcast address",
    ],
    [
      { addresses: ["fd00:10:244:1::"] },
      "addresses[0]",
      "network, gateway or broadcast address",
    ],
    [
      { addresses: ["fd00:10:244:1::1"] },
      "addresses[0]",
      "network, gateway or broadcast address",
    ],
    [
      { addresses: ["10.244.1.7", "10.244.1.8"] },
      "addresses[1]",
      "addresses[0] asks for one",
    ],
  ],
  "a route is wrong": [
    [{ routes: "10.9.0.0/16" }, "routes", "write a list of routes"],
    [{ routes: ["10.9.0.0/16"] }, "routes[0]", "write an object"],
    [
      route({ destination: "10.9.0.1/16" }),
      "routes[0].destination",
      "10.9.0.0/16",
    ],
    [
      route({ destination: "0.0.0.0/0" }),
      "routes[0].destination",
      "defaultRoute",
    ],
    [route({ destination: "::/0" }), "routes[0].destination", "defaultRoute"],
    [
      route({ destination: "fd99::/64" }),
      "routes[0].destination",
      "no IPv6 address",
      IPV4_ONLY,
    ],
    [
      {
        routes: [{ destination: "10.9.0.0/16" }, {
          destination: "10.9.0.0/16",
        }],
      },
      "routes[1].destination",
      "routes[0] leads to 10.9.0.0/16 already",
    ],
    [
      route({ destination: "10.9.0.0/16", gateway: "10.244.1.2" }),
      "routes[0].gateway",
      "write 10.244.1.1",
    ],
    [{ defaultRoute: "no" }, "defaultRoute", "write true or false"],
    [{ attachment: "routed" }, "attachment", "an object with a type"],
    [{ attachment: { type: "bridges" } }, "attachment.type", 'write "routed"'],
  ],
  "another interface is wrong": [
    [{ interfaces: {} }, "interfaces", "write a list of interfaces"],
    [other({ name: "eth0" }), "interfaces[0].name", "another interface"],
    [other({ name: "a/b" }), "interfaces[0].name", "an interface name"],
    [
      { interfaces: [...other({}).interfaces, ...other({}).interfaces] },
      "interfaces[1].name",
      "another interface",
    ],
    [
      other({ attachment: { type: "ipvlan", parent: "eth1" } }),
      "interfaces[0].attachment.type",
      '"macvlan" or "device"',
    ],
    [
      other({ attachment: { type: "macvlan", parent: "lo" } }),
      "interfaces[0].attachment.parent",
      "name of a link",
    ],
    [
      other({ attachment: { type: "device", device: "pn-0123456789ab" } }),
      "interfaces[0].attachment.device",
      "name of a link",
    ],
    [
      other({ attachment: { type: "macvlan", parent: "a", mode: "bad" } }),
      "interfaces[0].attachment.mode",
      '"passthru"',
    ],
    [
      other({ addresses: ["192.168.1.7"] }),
      "interfaces[0].addresses[0]",
      "prefix length",
    ],
    [
      other({ addresses: ["192.168.1.7/33"] }),
      "interfaces[0].addresses[0]",
      "1 to 32",
    ],
    [
      other({ gateways: ["192.168.1.1"] }),
      "interfaces[0].gateways[0]",
      "another address of a network",
    ],
    [
      other({ addresses: ["192.168.1.7/24"], gateways: ["192.168.1.7"] }),
      "interfaces[0].gateways[0]",
      "another address of a network",
    ],
    [
      other({
        addresses: ["192.168.1.7/24"],
        gateways: ["192.168.1.1", "192.168.1.2"],
      }),
      "interfaces[0].gateways[1]",
      "leave this one out",
    ],
    [
      other({
        addresses: ["192.168.1.7/24"],
        gateways: ["192.168.1.1"],
        defaultRoute: true,
      }),
      "interfaces[0].defaultRoute",
      "another interface",
    ],
    [
      { defaultRoute: false, ...other({ defaultRoute: true }) },
      "interfaces[0].defaultRoute",
      "give gateways",
    ],
    [
      other({ routes: [{ destination: "10.9.0.0/16" }] }),
      "interfaces[0].routes[0].destination",
      "no IPv4 address",
    ],
    [
      {
        ...route({ destination: "10.9.0.0/16" }),
        ...other({
          addresses: ["192.168.1.7/24"],
          routes: [{ destination: "10.9.0.0/16" }],
        }),
      },
      "interfaces[0].routes[0].destination",
      "another route",
    ],
    [
      other({
        addresses: ["192.168.1.7/24"],
        routes: [{ destination: "10.9.0.0/16", gateway: "192.0.2.1" }],
      }),
      "interfaces[0].routes[0].gateway",
      "another address of a network",
    ],
    [
      other({ addresses: ["fd01::7/64"], mtu: 1000 }),
      "interfaces[0].mtu",
      "write at least 1280",
    ],
    [{ hostNetwork: true, ...other({}) }, "interfaces", "leave it out"],
  ],
  "a bandwidth is wrong": [
    [{ bandwidth: "10M" }, "bandwidth", "an object with ingress and egress"],
    [{ bandwidth: { ingress: "10M" } }, "bandwidth.ingress", "bits a second"],
    [{ bandwidth: { ingress: 999 } }, "bandwidth.ingress", "from 1000"],
    [{ bandwidth: { egress: 1e15 + 1 } }, "bandwidth.egress", "from 1000"],
    [{ bandwidth: { egress: 0 } }, "bandwidth.egress", "from 1000"],
    [
      { bandwidth: { egress: 1e6, egressBurst: 0 } },
      "bandwidth.egressBurst",
      "from 1",
    ],
    [
      { bandwidth: { ingress: 1e6, egressBurst: 8000 } },
      "bandwidth.egressBurst",
      "give egress too",
    ],
    [
      { hostNetwork: true, bandwidth: { egress: 1e6 } },
      "bandwidth",
      "leave it out",
    ],
  ],
  "the MTU is wrong": [
    ...[0, 67, 65536, 70000, -1, 1500.5, "1500", NaN].map((
      mtu,
    ): BadInput => [{ mtu }, "mtu", "from 68 to 65535"]),
    [{ mtu: 1279 }, "mtu", "write at least 1280", IPV6_ONLY],
    [{ mtu: 1279 }, "mtu", "write at least 1280", DUAL],
  ],
  "the MAC address is wrong": [
    [{ mac: "02:00:5e:10:00" }, "mac", "is not a MAC address"],
    [{ mac: "02-00-5e-10-00-01" }, "mac", "is not a MAC address"],
    [{ mac: 2 }, "mac", "write a MAC address"],
    [{ mac: "01:00:5e:00:00:01" }, "mac", "multicast"],
    [{ mac: "ff:ff:ff:ff:ff:ff" }, "mac", "multicast"],
    [{ mac: "00:00:00:00:00:00" }, "mac", "not zero"],
  ],
  "a sysctl is not for pods": [
    ...["all", "eth0"].map((link): BadInput => [
      { ...ipv6Off(link) },
      `sysctls["net.ipv6.conf.${link}.disable_ipv6"]`,
      "the pod has IPv6 addresses on eth0",
      DUAL,
    ]),
    ...["all", "default", "a/b"].map((link): BadInput => [
      {
        ...ipv6Off(link),
        attachment: { type: "none" },
        interfaces: [{
          name: "a.b",
          attachment: {
            type: "bridge",
            bridge: "br0",
            ranges: [{ network: "fd09::/64" }],
          },
        }],
      },
      `sysctls["net.ipv6.conf.${link}.disable_ipv6"]`,
      "the pod has IPv6 addresses on a.b",
      IPV4_ONLY,
    ]),
    [
      { sysctls: ["net.ipv4.tcp_rmem"] },
      "sysctls",
      "write an object of strings",
    ],
    [
      { sysctls: { "net.ipv4.tcp_rmem": 4096 } },
      'sysctls["net.ipv4.tcp_rmem"]',
      "write a string on one line",
    ],
    [
      { sysctls: { "net.ipv4.tcp_rmem": "" } },
      'sysctls["net.ipv4.tcp_rmem"]',
      "write a string on one line",
    ],
    [
      { sysctls: { "net.ipv4.tcp_rmem": "1\n2" } },
      'sysctls["net.ipv4.tcp_rmem"]',
      "write a string on one line",
    ],
    [
      { sysctls: { "kernel.shm_rmid_forced": "1" } },
      'sysctls["kernel.shm_rmid_forced"]',
      "IPC namespace",
    ],
    [
      { sysctls: { "vm.swappiness": "1" } },
      'sysctls["vm.swappiness"]',
      "not a sysctl of the network",
    ],
    [
      { sysctls: { "net/ipv4/tcp_rmem": "1" } },
      'sysctls["net/ipv4/tcp_rmem"]',
      'begins with "net."',
    ],
    [
      { sysctls: { "net.../../vm": "1" } },
      'sysctls["net.../../vm"]',
      'begins with "net."',
    ],
    ...["net.//.x", "net.ipv4./", "net.//.//.vm.swappiness"].map((
      name,
    ): BadInput => [
      { sysctls: { [name]: "1" } },
      `sysctls["${name}"]`,
      'begins with "net."',
    ]),
    [
      { sysctls: { "net.ipv4..x": "1" } },
      'sysctls["net.ipv4..x"]',
      'begins with "net."',
    ],
    [{ sysctls: { net: "1" } }, "sysctls.net", 'begins with "net."'],
    ...[
      "net.netfilter.nf_conntrack_max",
      "net.nf_conntrack_max",
      "net.core.rmem_max",
      "net.ipv4.tcp_mem",
    ]
      .map((
        name,
      ): BadInput => [
        { sysctls: { [name]: "1" } },
        `sysctls["${name}"]`,
        "the whole machine",
      ]),
    [
      { sysctls: { "net.core.somaxconn": "1" } },
      'sysctls["net.core.somaxconn"]',
      "name it among the unsafe sysctls",
    ],
    [
      { unsafeSysctls: "net.core.somaxconn" },
      "unsafeSysctls",
      "write a list of sysctl names",
    ],
    [{ unsafeSysctls: [1] }, "unsafeSysctls[0]", "write a sysctl name"],
    [
      { unsafeSysctls: ["net.core.rmem_max"] },
      "unsafeSysctls[0]",
      "the whole machine",
    ],
    [{ unsafeSysctls: ["kernel.sem"] }, "unsafeSysctls[0]", "IPC namespace"],
  ],
  "a pod on the node's network wants its own (H4)": [
    [{ hostNetwork: "yes" }, "hostNetwork", 'write true or false, not "yes"'],
    [
      { hostNetwork: true, ...port({}) },
      "ports[0].containerPort",
      "write 8080, as for the host",
    ],
    [
      { hostNetwork: true, addresses: ["10.244.1.7"] },
      "addresses",
      "leave it out",
    ],
    [{ hostNetwork: true, mac: "02:00:5e:10:00:01" }, "mac", "leave it out"],
    [{ hostNetwork: true, mtu: 1400 }, "mtu", "leave it out"],
    [
      { hostNetwork: true, sysctls: { "net.ipv4.tcp_syncookies": "1" } },
      "sysctls",
      "leave it out",
    ],
    [
      {
        hostNetwork: true,
        ...ports({ containerPort: 8080 }, { containerPort: 8080 }),
      },
      "ports[1].hostPort",
      "is taken by ports[0]",
    ],
  ],
});
