/** What is told of a chain without sending a packet: rules as nft writes them, read back from the kernel. */
import { assertEquals } from "@std/assert";
import { NetworkNamespace } from "../../mod.ts";
import { NftablesConnection } from "../../src/nftables/connection.ts";
import { Cidr } from "../../src/net/cidr.ts";
import {
  type ChainFacts,
  rulesetFacts,
  type TableFacts,
} from "../../src/diagnosis/facts/ruleset.ts";
import { Witness } from "../../src/diagnosis/facts/witness.ts";
import type { Packet } from "../../src/diagnosis/walk/packet.ts";
import { walk } from "../../src/diagnosis/walk/walk.ts";
import { attrs, encode } from "../../src/netlink/attrs.ts";
import { bytes, cstring } from "../../src/netlink/codec.ts";
import { command } from "../support/command.ts";
import { table } from "./healthy.ts";
import { nft } from "./patient.ts";

/** A pod's first packet to the outside. */
const fromPod: Packet = {
  title: "from a pod",
  family: 4,
  input: { any: "pod" },
  output: { name: "eth0", index: 2, isBridge: false },
  source: Cidr.parse("10.244.1.0/24"),
  toNode: false,
  protocol: 6,
  state: "new",
  translated: false,
};
const answer: Packet = {
  title: "answer",
  family: 4,
  input: { name: "eth0", index: 2, isBridge: false },
  output: { any: "pod" },
  destination: Cidr.parse("10.244.1.0/24"),
  toNode: false,
  protocol: 6,
  state: "answer",
  translated: false,
};
const answerByBridge: Packet = {
  ...answer,
  input: { name: "br0", index: 3, isBridge: true },
};
const bridged: Packet = {
  ...answerByBridge,
  output: answerByBridge.input,
};
const fromPod6: Packet = {
  ...fromPod,
  family: 6,
  source: Cidr.parse("fd00:10:244:1::/64"),
};
const toHostPort: Packet = {
  ...answer,
  state: "new",
  translated: true,
};

/** `drop`, `accept`, or with a question mark what happens unless something that cannot be judged comes in between. */
function outcome(
  ruleset: readonly TableFacts[],
  packet: Packet,
): string {
  const table = ruleset.find(({ name }) => name === "t");
  const chain = table?.chains.get("c");
  if (table === undefined || chain?.hook === undefined) return "no chain";
  const { verdict, certain, possibleDrops } = walk(
    table,
    chain as ChainFacts & Required<Pick<ChainFacts, "hook">>,
    packet,
  );
  const doubtful = !certain ||
    verdict === "accept" && possibleDrops.length > 0;
  return verdict + (doubtful ? "?" : "");
}

/** Rules of a chain with the policy accept, and what becomes of the four packets, in their order. */
const cases: readonly (readonly [rules: string, expected: string])[] = [
  ["", "accept accept accept accept"],
  ["drop", "drop drop drop drop"],
  ["reject", "drop drop drop drop"],
  ["accept; drop", "accept accept accept accept"],
  ["counter; log; ct mark set 7; drop", "drop drop drop drop"],
  ['iifname "pn-*" drop', "drop accept drop accept"],
  ['oifname "pn-*" drop', "accept drop accept drop"],
  ['iifname "pn-0123456789ab" drop', "accept? accept accept? accept"],
  ['iifname "pnx*" drop', "accept accept accept accept"],
  ['oifname "eth0" drop', "drop accept drop accept"],
  ['oifname != "eth0" drop', "accept drop accept drop"],
  ['oifname { "eth0", "eth1" } drop', "drop accept drop accept"],
  ['oifname "docker0" accept; drop', "drop drop drop drop"],
  ["meta nfproto ipv6 drop", "accept accept drop accept"],
  ["meta protocol ip drop", "drop drop accept drop"],
  ["meta l4proto { icmp, ipv6-icmp } accept; drop", "drop drop drop drop"],
  ["meta l4proto tcp drop", "drop drop drop drop"],
  ["ip saddr 10.244.1.0/24 drop", "drop accept? accept accept?"],
  ["ip saddr 10.0.0.0/8 drop", "drop accept? accept accept?"],
  ["ip saddr 10.244.1.7 drop", "accept? accept? accept accept?"],
  ["ip saddr 10.245.0.0/16 drop", "accept accept? accept accept?"],
  ["ip daddr 10.244.0.0/16 drop", "accept? drop accept drop"],
  [
    "ip saddr { 10.200.0.0-10.250.0.0, 1.1.1.1 } drop",
    "drop accept? accept accept?",
  ],
  ["ip saddr != { 10.0.0.0/8 } drop", "accept accept? accept accept?"],
  [
    "ip saddr != 10.0.0.0-10.255.255.255 drop",
    "accept accept? accept accept?",
  ],
  [
    "ip saddr { 10.200.0.0-10.244.0.255 } drop",
    "accept accept? accept accept?",
  ],
  ["ip6 saddr fd00::/8 drop", "accept accept drop accept"],
  ["tcp dport 25 drop", "accept? accept? accept? accept?"],
  ["tcp flags syn / fin,syn,rst,ack drop", "drop accept drop drop"],
  ["udp dport 53 drop", "accept accept accept accept"],
  ["ct state established,related accept; drop", "drop accept drop drop"],
  ["ct state { established, related } accept; drop", "drop accept drop drop"],
  [
    "ct state vmap { established : accept, new : drop }",
    "drop accept drop drop",
  ],
  ["ct state invalid drop", "accept accept accept accept"],
  ["ct state != new accept; drop", "drop accept drop drop"],
  ["ct status dnat accept; drop", "drop drop drop accept"],
  ["ct direction reply accept; drop", "drop accept drop drop"],
  ["meta mark 7 accept; drop", "drop? drop? drop? drop?"],
  ["meta mark & 0x0 == 0 drop", "drop drop drop drop"],
  ["limit rate 5/second accept; drop", "drop? drop? drop? drop?"],
  ["limit rate over 5/second drop", "accept? accept? accept? accept?"],
  ["fib daddr type local drop", "accept accept accept accept"],
  ["fib saddr . iif oif missing drop", "accept accept? accept accept?"],
  ["jump d; drop", "drop accept drop drop"],
  ["goto d; drop", "accept accept accept accept"],
  [
    'iifname vmap { "eth0" : jump d, "pn-x" : drop }; accept',
    "accept? accept accept? accept",
  ],
  ["ct state new return; drop", "accept drop accept accept"],
  ["meta mark 7 return; drop", "drop? drop? drop? drop?"],
  ["meta mark 7 jump e; accept", "accept? accept? accept? accept?"],
];

Deno.test("walk() tells what rules do with packets that stand for many", () => {
  using namespace = NetworkNamespace.create();
  using connection = namespace.run(() => NftablesConnection.open());
  const wrong = cases.flatMap(([rules, expected]) => {
    command(
      namespace,
      nft(`table inet t
        delete table inet t
        table inet t {
          chain d { ct state established accept; }
          chain e { drop; }
          chain c {
            type filter hook forward priority 0; policy accept;
            ${rules.split("; ").join("\n            ")}
          }
        }`),
    );
    const ruleset = rulesetFacts(new Witness(), connection.netlink) ?? [];
    const found = [fromPod, answer, fromPod6, toHostPort].map((packet) =>
      outcome(ruleset, packet)
    ).join(" ");
    return found === expected ? [] : [`${rules}: ${found}, not ${expected}`];
  });
  assertEquals(wrong, []);
});

/** As iptables writes them, most of them matches and targets of its own. */
const iptables: readonly (readonly [rules: string, expected: string])[] = [
  ["-j DROP", "drop drop drop drop"],
  ["-j REJECT", "drop drop drop drop"],
  ["-m comment --comment x -j DROP", "drop drop drop drop"],
  [
    "-m conntrack --ctstate RELATED,ESTABLISHED -j ACCEPT;-j DROP",
    "drop accept accept accept",
  ],
  [
    "-m conntrack ! --ctstate NEW -j ACCEPT;-j DROP",
    "drop accept accept accept",
  ],
  ["-i docker0 -j ACCEPT;-j LOG;-j DROP", "drop drop drop drop"],
  ["-i pn-+ -j ACCEPT;-o pn-+ -j ACCEPT;-j DROP", "accept accept accept drop"],
  ["-s 10.244.0.0/16 -j DROP", "drop accept? accept? accept?"],
  ["-p udp -j DROP", "accept accept accept accept"],
  ["-m physdev --physdev-is-bridged -j DROP", "accept accept accept drop"],
  ["-m physdev ! --physdev-is-bridged -j DROP", "drop drop drop accept"],
  ["-m physdev --physdev-in eth0 -j DROP", "accept accept accept? accept?"],
  ["-m physdev ! --physdev-in eth0 -j DROP", "drop drop accept? accept?"],
  [
    "-m physdev ! --physdev-in eth0 --physdev-is-bridged -j DROP",
    "accept accept accept? accept?",
  ],
  ["-m mark --mark 7 -j DROP", "accept? accept? accept? accept?"],
  ["-m addrtype --dst-type LOCAL -j DROP", "accept accept accept accept"],
  ["-m addrtype ! --dst-type LOCAL -j DROP", "drop drop drop drop"],
  ["-m addrtype --src-type LOCAL -j DROP", "accept? accept? accept? accept?"],
  [
    "-m multiport -p tcp --dports 80,443 -j REJECT",
    "accept? accept? accept? accept?",
  ],
];

Deno.test("walk() tells what rules of iptables do", () => {
  using namespace = NetworkNamespace.create();
  using connection = namespace.run(() => NftablesConnection.open());
  const wrong = iptables.flatMap(([rules, expected]) => {
    command(
      namespace,
      [
        "export XTABLES_LOCKFILE=/dev/null",
        "iptables -F",
        ...rules.split(";").map((rule) => `iptables -A FORWARD ${rule}`),
      ].join("\n"),
    );
    const ruleset = rulesetFacts(new Witness(), connection.netlink) ?? [];
    const renamed = ruleset.map((table) => ({
      ...table,
      name: "t",
      chains: new Map(
        [...table.chains].map(([name, chain]) => [
          name === "FORWARD" ? "c" : name,
          chain,
        ]),
      ),
    }));
    const found = [fromPod, answer, answerByBridge, bridged].map((packet) =>
      outcome(renamed, packet)
    ).join(" ");
    return found === expected ? [] : [`${rules}: ${found}, not ${expected}`];
  });
  assertEquals(wrong, []);
});

/** As older versions of iptables wrote ports: `struct xt_tcp` in a match of the old form. */
function portsMatch(first: number, last: number, option = 0): Uint8Array {
  const info = new Uint8Array(12);
  info.set(new Uint8Array(Uint16Array.of(0, 0xffff, first, last).buffer));
  info[8] = option;
  return encode(
    attrs("", { name: [1, cstring(32)], info: [3, bytes] }),
    { name: "tcp", info },
  );
}

Deno.test("walk() tells what ports of older iptables do", () => {
  const found = [
    portsMatch(0, 0xffff),
    portsMatch(8000, 8100),
    portsMatch(25, 25),
    portsMatch(8000, 8100, 3),
  ].map((data) => {
    const drop = {
      immediate: { dreg: 0, data: { verdict: { code: "drop" as const } } },
    };
    const expressions = [{ $other: { name: "match", data } }, drop];
    const t = table({ name: "t" }, { rules: [{ handle: 1, expressions }] });
    const c = t.chains.get("forward");
    const ruleset = c === undefined
      ? []
      : [{ ...t, chains: new Map([["c", c]]) }];
    return [fromPod, { ...fromPod, destinationPort: 8080 }]
      .map((packet) => outcome(ruleset, packet)).join(" ");
  });
  assertEquals(found, [
    "drop drop",
    "accept? drop",
    "accept? accept",
    "accept? accept?",
  ]);
});
