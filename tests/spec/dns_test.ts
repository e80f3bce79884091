import { type BadInput, testBadInput } from "./cases.ts";

testBadInput({
  "DNS settings are wrong": [
    [{ dns: "10.96.0.10" }, "dns", "write an object with nameservers"],
    [
      { dns: { nameservers: "10.96.0.10" } },
      "dns.nameservers",
      "write a list of IP addresses",
    ],
    [
      { dns: { nameservers: ["dns.example"] } },
      "dns.nameservers[0]",
      "is not an IP address",
    ],
    [
      { dns: { nameservers: ["::1", "::2", "::3", "::4"] } },
      "dns.nameservers",
      "at most 3 entries, not 4",
    ],
    [
      { dns: { searches: Array(33).fill("a.b") } },
      "dns.searches",
      "at most 32 entries, not 33",
    ],
    [
      { dns: { searches: Array(32).fill(`${"a".repeat(60)}.example`) } },
      "dns.searches",
      "at most 2048 characters",
    ],
    ...[
      "a b",
      "",
      "-a.b",
      "a..b",
      `${"a".repeat(64)}.b`,
      "a\nnameserver 6.6.6.6",
      5,
    ].map((domain): BadInput => [
      { dns: { searches: [domain] } },
      "dns.searches[0]",
      "write a domain name",
    ]),
    [
      { dns: { options: ["ndots: 5"] } },
      "dns.options[0]",
      "write an option of resolv.conf(5)",
    ],
    [
      { dns: { options: ["edns0\nnameserver 6.6.6.6"] } },
      "dns.options[0]",
      "write an option of resolv.conf(5)",
    ],
    ...["a b", "", "-a", "a_b", "a.", "x".repeat(64), "a\n"].map((
      hostname,
    ): BadInput => [
      { dns: { hostname } },
      "dns.hostname",
      "write a host name of at most 63",
    ]),
    [
      { dns: { hostAliases: [{ ip: "1.2.3", hostnames: ["a"] }] } },
      "dns.hostAliases[0].ip",
      "is not an IP address",
    ],
    [
      { dns: { hostAliases: [{ ip: "1.2.3.4" }] } },
      "dns.hostAliases[0].hostnames",
      "is missing: write a list",
    ],
    [
      { dns: { hostAliases: [{ ip: "1.2.3.4", hostnames: [] }] } },
      "dns.hostAliases[0].hostnames",
      "at least one",
    ],
    [
      {
        dns: {
          hostAliases: [{ ip: "1.2.3.4", hostnames: ["a\n6.6.6.6 bank"] }],
        },
      },
      "dns.hostAliases[0].hostnames[0]",
      "write a domain name",
    ],
  ],
});
