import { type BadInput, port, testBadInput } from "./cases.ts";

testBadInput({
  "a name is wrong": [
    ...[
      "",
      "a/b",
      "../x",
      ".",
      "..",
      "-x",
      "_x",
      "a b",
      "a\u0000",
      "a\n",
      "ü",
      "x".repeat(254),
      7,
      null,
      ["a"],
      {},
    ]
      .flatMap((name): BadInput[] => [
        [{ name }, "name", "write a name of at most 253"],
        [{ namespace: name }, "namespace", "write a name of at most 253"],
        [{ uid: name }, "uid", "write a name of at most 253"],
        [
          { containers: [{ name }] },
          "containers[0].name",
          "write a name of at most 253",
        ],
      ]),
    [{ name: undefined }, "name", "is missing: write a name"],
    [{ id: "x".repeat(128) }, "id", "write a name of at most 127"],
    [{ id: "../../etc" }, "id", "write a name of at most 127"],
    [{ containers: [{}] }, "containers[0].name", "is missing: write a name"],
  ],
  "labels are wrong": [
    [{ labels: "app=web" }, "labels", "write an object of strings"],
    [{ labels: ["a"] }, "labels", "write an object of strings"],
    [{ labels: { app: 1 } }, "labels.app", "write a string on one line, not 1"],
    [{ labels: { app: "a\nb" } }, "labels.app", "write a string on one line"],
    [
      { labels: { "a/b c": null } },
      'labels["a/b c"]',
      "write a string on one line, not null",
    ],
    [{ labels: { "": "x" } }, 'labels[""]', "write a name"],
    // Half a character, which no record can hold.
    [{ labels: { a: "\ud800" } }, "labels.a", "write a string on one line"],
    [{ labels: { "\udc00": "x" } }, 'labels["\\udc00"]', "write a name"],
    [
      { labels: { constructor: "x" } },
      "labels.constructor",
      "write another name",
    ],
    [
      { labels: JSON.parse('{"__proto__":"x"}') },
      "labels.__proto__",
      "write another name",
    ],
  ],
  "the path of a namespace is wrong": [
    "",
    "/",
    "blue",
    "/run/\0blue",
    "/run/\ud800",
    7,
  ].map((netns) => [
    { netns },
    "netns",
    "write an absolute path",
  ]),
  "the interface name is wrong": [
    ...[
      "",
      "x".repeat(16),
      ".",
      "..",
      "lo",
      "all",
      "default",
      "a/b",
      "a:b",
      "a b",
      "a\t",
      "eth%d",
      "é",
      0,
    ]
      .map((
        interfaceName,
      ): BadInput => [
        { interfaceName },
        "interfaceName",
        "write an interface name of 1 to 15",
      ]),
  ],
  "a field is unknown": [
    [{ namspace: "x" }, "namspace", "did you mean namespace?"],
    [{ MTU: 1500 }, "MTU", "did you mean mtu?"],
    [{ volumes: [] }, "volumes", "leave it out, or use one of name, namespace"],
    [{ "a b": 1 }, '["a b"]', "leave it out"],
    [port({ hostport: 80 }), "ports[0].hostport", "did you mean hostPort?"],
    [port({ hostIp: "::" }), "ports[0].hostIp", "did you mean hostIP?"],
    [
      { containers: [{ name: "a", port: 80 }] },
      "containers[0].port",
      "did you mean ports?",
    ],
    [
      { dns: { nameserver: [] } },
      "dns.nameserver",
      "did you mean nameservers?",
    ],
  ],
});
