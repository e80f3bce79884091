import {
  type BadInput,
  IPV4_ONLY,
  IPV6_ONLY,
  port,
  ports,
  testBadInput,
} from "./cases.ts";

testBadInput({
  "a port is none": [
    ...[0, 65536, -1, 80.5, "80", NaN, Infinity, null, true, 80n, 2 ** 53]
      .flatMap((number): BadInput[] => [
        [
          port({ hostPort: number }),
          "ports[0].hostPort",
          "write an integer from 1 to 65535, not ",
        ],
        [
          port({ containerPort: number }),
          "ports[0].containerPort",
          "write an integer from 1 to 65535, not ",
        ],
        [
          port({ hostPortEnd: number }),
          "ports[0].hostPortEnd",
          "write an integer from 1 to 65535, not ",
        ],
        [
          { containers: [{ name: "a", ports: [{ port: number }] }] },
          "containers[0].ports[0].port",
          "write an integer",
        ],
      ]),
    ...[0, 65536, -1, 80.5, NaN].map((number): BadInput => [
      { containers: [{ name: "a", ports: [number] }] },
      "containers[0].ports[0]",
      "write an integer from 1 to 65535",
    ]),
    [
      { containers: [{ name: "a", ports: ["80"] }] },
      "containers[0].ports[0]",
      "write a port, or an object",
    ],
    [
      { ports: [{ containerPort: 80 }] },
      "ports[0].hostPort",
      "is missing: write an integer",
    ],
    [
      { ports: [{ hostPort: 80 }] },
      "ports[0].containerPort",
      "is missing: write an integer",
    ],
    [
      { ports: ["8080:80"] },
      "ports[0]",
      'write an object with hostPort and containerPort, not "8080:80"',
    ],
    [{ ports: { hostPort: 80 } }, "ports", "write a list of port mappings"],
  ],
  "ranges do not fit": [
    [
      port({ hostPortEnd: 8079 }),
      "ports[0].hostPortEnd",
      "the smaller port first",
    ],
    [
      port({ containerPortEnd: 79 }),
      "ports[0].containerPortEnd",
      "the smaller port first",
    ],
    [
      port({ hostPortEnd: 8090, containerPortEnd: 89 }),
      "ports[0].containerPortEnd",
      "write 90",
    ],
    [port({ containerPortEnd: 81 }), "ports[0].containerPortEnd", "write 80"],
    [
      port({ hostPortEnd: 8090, containerPort: 65530 }),
      "ports[0].containerPort",
      "write at most 65525",
    ],
  ],
  "a protocol is unknown": [
    ...["icmp", "TCP", "", 6, null].flatMap((protocol): BadInput[] => [
      [
        port({ protocol }),
        "ports[0].protocol",
        'write "tcp", "udp" or "sctp", not ',
      ],
      [
        { containers: [{ name: "a", ports: [{ port: 80, protocol }] }] },
        "containers[0].ports[0].protocol",
        'write "tcp", "udp" or "sctp", not ',
      ],
    ]),
  ],
  "a host IP is wrong": [
    [port({ hostIP: "" }), "ports[0].hostIP", "is not an IP address"],
    [port({ hostIP: "localhost" }), "ports[0].hostIP", "is not an IP address"],
    [port({ hostIP: "01.2.3.4" }), "ports[0].hostIP", "is not an IP address"],
    [
      port({ hostIP: "192.0.2.0/24" }),
      "ports[0].hostIP",
      "is not an IP address",
    ],
    [
      port({ hostIP: "fe80::1%eth0" }),
      "ports[0].hostIP",
      "is not an IP address",
    ],
    [port({ hostIP: 5 }), "ports[0].hostIP", "write an address of the node"],
    [
      port({ hostIP: "224.0.0.1" }),
      "ports[0].hostIP",
      "no address of one node",
    ],
    [port({ hostIP: "ff02::1" }), "ports[0].hostIP", "no address of one node"],
    [
      port({ hostIP: "255.255.255.255" }),
      "ports[0].hostIP",
      "no address of one node",
    ],
    [port({ hostIP: "127.0.0.2" }), "ports[0].hostIP", "write 127.0.0.1"],
    [port({ hostIP: "fe80::1" }), "ports[0].hostIP", "not link-local"],
    [
      port({ hostIP: "::ffff:192.0.2.1" }),
      "ports[0].hostIP",
      "write 192.0.2.1",
    ],
    [
      port({ hostIP: "::1" }),
      "ports[0].hostIP",
      "no IPv6 address that ::1 could lead to",
      IPV4_ONLY,
    ],
    [
      port({ hostIP: "127.0.0.1" }),
      "ports[0].hostIP",
      "no IPv4 address that 127.0.0.1 could lead to",
      IPV6_ONLY,
    ],
    [
      port({ hostIP: "::" }),
      "ports[0].hostIP",
      "write an IPv4 address",
      IPV4_ONLY,
    ],
    [
      port({ hostIP: "192.0.2.1" }),
      "ports[0].hostIP",
      "write an IPv6 address",
      IPV6_ONLY,
    ],
  ],
  "host ports exclude each other (HP17, HP18)": [
    ...[
      [{}, {}],
      [{}, { hostIP: "127.0.0.1" }],
      [{ hostIP: "127.0.0.1" }, {}],
      [{ hostIP: "0.0.0.0" }, { hostIP: "192.0.2.1" }],
      [{ hostIP: "192.0.2.1" }, { hostIP: "0.0.0.0" }],
      [{ hostIP: "::1" }, { hostIP: "0:0::1" }],
      [{ hostPort: 8000, hostPortEnd: 8100 }, {}],
      [{}, { hostPort: 8000, hostPortEnd: 8080 }],
      [{ protocol: "tcp" }, { containerPort: 81 }],
    ].map(([first = {}, second = {}]): BadInput => [
      ports(first, second),
      "ports[1].hostPort",
      "tcp port 8080 is taken by ports[0] already",
    ]),
  ],
  "containers clash": [
    [{ containers: "app" }, "containers", "write a list of containers"],
    [
      { containers: ["app"] },
      "containers[0]",
      "write an object with name and ports",
    ],
    [
      { containers: [{ name: "a" }, { name: "a" }] },
      "containers[1].name",
      "the name of containers[0] already",
    ],
    [
      { containers: [{ name: "a", ports: [80, 80] }] },
      "containers[0].ports[1]",
      "twice",
    ],
    [
      {
        containers: [{ name: "a", ports: [80] }, {
          name: "b",
          ports: [{ port: 80, protocol: "tcp" }],
        }],
      },
      "containers[1].ports[0]",
      'containers "a" and "b" both declare port 80/tcp',
    ],
  ],
});
