/** What is told of traffic is so: lost before the remedy, there after it, the remedy being the finding's own. */
import { assert, assertEquals } from "@std/assert";
import { diagnose, type FindingCode } from "../../mod.ts";
import { createLab } from "../../src/testing/mod.ts";
import { ask, FAMILIES, serve } from "../support/ask.ts";
import { port, portAddress } from "../support/bridged.ts";
import { command } from "../support/command.ts";
import { Page } from "../support/page.ts";
import { nodeAddress, Pod } from "../support/pods.ts";
import type { Family } from "../support/sockets.ts";
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

Deno.test("diagnose() tells where pods on a bridge are kept from each other, and what helps", async () => {
  await using lab = await createLab();
  const [{ node, namespace }] = lab.nodes;
  await using client = await Pod.create(node, { interfaces: [port(11)] });
  await using pod = await Pod.create(node, { interfaces: [port(12)] });
  const at = (family: Family) => ({
    address: portAddress(12)(family),
    port: 80,
  });
  const wait = (family: Family) =>
    serve(pod.name, pod.namespace, { transport: "tcp", ...at(family) });
  using server4 = wait(4);
  using server6 = wait(6);
  const lost = (expected: readonly Family[]) =>
    FAMILIES.filter((family) => {
      const answer = ask("tcp", client.namespace, at(family), [
        server4,
        server6,
      ], expected.includes(family) ? { timeoutMs: 300 } : {});
      return typeof answer === "string";
    });
  const found = async (code: FindingCode) => {
    const { findings } = await diagnose({
      name: node.name,
      netns: namespace,
      stateDir: node.stateDir,
    });
    return findings.filter((finding) => finding.code === code);
  };
  const severities = async (code: FindingCode) =>
    (await found(code)).map(({ severity }) => severity);
  assertEquals(await severities("bridge-filtering"), ["warning"]);
  assertEquals(await severities("traffic-dropped"), []);
  assertEquals(lost([]), []);
  // As Docker does, and as those let routed pods through who have them.
  const fill = ["iptables", "ip6tables"].map((command) =>
    `${command} -F FORWARD
     ${command} -P FORWARD DROP
     ${command} -A FORWARD -i pn-+ -j ACCEPT
     ${command} -A FORWARD -o pn-+ -j ACCEPT`
  ).join("\n");
  const drop = () =>
    command(namespace, `export XTABLES_LOCKFILE=/dev/null\n${fill}`);
  drop();
  assertEquals(lost(FAMILIES), FAMILIES);
  const dropped = await found("traffic-dropped");
  assertEquals(dropped.map(({ about }) => about), [
    "chain ip filter FORWARD",
    "chain ip6 filter FORWARD",
  ]);
  for (const { remedy } of dropped) command(namespace, remedy);
  assertEquals(await severities("traffic-dropped"), []);
  assertEquals(lost([]), []);
  drop();
  assertEquals(lost(FAMILIES), FAMILIES);
  command(
    namespace,
    Page.read("troubleshooting.md").scriptAfter("\n`bridge-filtering`:"),
  );
  assertEquals(await severities("traffic-dropped"), []);
  assertEquals(await severities("bridge-filtering"), []);
  assertEquals(lost([]), []);
});
