/** What is told of traffic is so: lost before the remedy, there after it, the remedy being the finding's own. */
import { assert, assertEquals } from "@std/assert";
import { diagnose, type FindingCode } from "../../mod.ts";
import { createLab } from "../../src/testing/mod.ts";
import { ask } from "../support/ask.ts";
import { command } from "../support/command.ts";
import { nodeAddress, Pod } from "../support/pods.ts";
import { nft } from "./patient.ts";

/** Disturbances that keep clients of host ports from pods, and how much of them is lost. */
const losses: readonly (readonly [
  code: FindingCode,
  families: readonly (4 | 6)[],
  make: string,
])[] = [
  [
    "traffic-dropped",
    [4, 6],
    nft(`table inet fw {
      chain forward {
        type filter hook forward priority filter; policy accept;
        ct state established,related accept
        oifname "virbr0" accept
        reject
      }
    }`),
  ],
  [
    "traffic-dropped",
    [4],
    nft(`table ip fw {
      chain raw {
        type filter hook prerouting priority raw; policy accept;
        iifname "pn-*" ip saddr 10.244.0.0/16 drop
      }
    }`),
  ],
  [
    "traffic-dropped",
    [4],
    // iptables would leave its lock in /run.
    `XTABLES_LOCKFILE=/dev/null iptables -A FORWARD -m physdev ! --physdev-is-bridged -j DROP`,
  ],
  [
    "policy-rule",
    [4],
    `ip rule add from all lookup 77 priority 100
    ip route add blackhole 10.0.0.0/8 table 77`,
  ],
];

for (const [code, families, make] of losses) {
  Deno.test(`diagnose() tells ${code} where IPv${families.join(" and IPv")} is lost, and what helps`, async () => {
    await using lab = await createLab();
    const [{ node, namespace }] = lab.nodes;
    await using pod = await Pod.create(node, {
      ports: [{ hostPort: 8080, containerPort: 80 }],
    });
    using server4 = pod.serve("tcp", 4, 80);
    using server6 = pod.serve("tcp", 6, 80);
    // What is expected to get through has all the time.
    const lost = (expected: readonly (4 | 6)[]) =>
      ([4, 6] as const).filter((family) => {
        const to = { address: nodeAddress(family), port: 8080 };
        const answer = ask("tcp", lab.outside.namespace, to, [
          server4,
          server6,
        ], expected.includes(family) ? { timeoutMs: 300 } : {});
        return typeof answer === "string";
      });
    const found = async () => {
      const reference = { name: node.name, netns: namespace };
      const { findings } = await diagnose({
        ...reference,
        stateDir: node.stateDir,
      });
      return findings.filter((finding) => finding.code === code);
    };
    assertEquals(lost([]), []);
    command(namespace, make);
    assertEquals(lost(families), families);
    const [finding] = await found();
    assert(finding !== undefined);
    command(namespace, finding.remedy);
    assertEquals(await found(), []);
    assertEquals(lost([]), []);
  });
}
