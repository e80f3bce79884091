/** From facts to findings, one fact spoiled at a time: also those that no test can make for real. */
import { assert, assertEquals, assertStringIncludes } from "@std/assert";
import type { Facts } from "../../src/diagnosis/facts/facts.ts";
import {
  FINDING_CODES,
  type FindingCode,
} from "../../src/diagnosis/rules/finding.ts";
import { judge } from "../../src/diagnosis/rules/judge.ts";
import { address, healthy, link, route, table } from "./healthy.ts";
import { machineCases } from "./machine_cases.ts";
import { networkCases } from "./network_cases.ts";
import { rulesetCases } from "./ruleset_cases.ts";
import { network, node, stateDirectory, sysctl } from "./spoiled.ts";

const withoutNode = (parts: Partial<Facts>): Facts => {
  const { node: _, ...rest } = healthy;
  return { ...rest, ...parts };
};

const all = [...machineCases, ...networkCases, ...rulesetCases];

for (const [what, spoiled, code, severity] of all) {
  Deno.test(`judge() tells ${code ?? "nothing"} of ${what}`, () => {
    const found = judge({ ...healthy, ...spoiled });
    assertEquals(
      found.map((finding) => [finding.code, finding.severity]),
      code === undefined ? [] : [[code, severity]],
      JSON.stringify(found, null, 1),
    );
    for (const { about, message, remedy } of found) {
      assert(about !== "" && message !== "" && remedy !== "");
    }
  });
}

Deno.test("judge() tells node-table-missing where check() could not be asked", () => {
  const { differences: _, ...unchecked } = healthy.node;
  const found = judge({ ...healthy, node: { ...unchecked, table: "missing" } });
  assertEquals(found.map(({ code }) => code), ["node-table-missing"]);
});

Deno.test("judge() tells node-not-set-up, unless the record could not be read", () => {
  const codes = (facts: Facts) => judge(facts).map(({ code }) => code);
  const parts = stateDirectory({ nodes: [] });
  assertEquals(codes(withoutNode(parts)), ["node-not-set-up"]);
  const unseen = [{ about: "record of node node-1", reason: "EACCES" }];
  assertEquals(codes(withoutNode({ ...parts, unseen })), []);
});

Deno.test("judge() tells node-record-invalid of one that is damaged", () => {
  const { about, reason } = { about: "record of node node-1", reason: "bad" };
  const unseen = [{ about, reason, code: "RecordInvalid" as const }];
  const [found, ...more] = judge(withoutNode({ unseen }));
  assertEquals(more, []);
  assertEquals([found?.code, found?.severity], [
    "node-record-invalid",
    "error",
  ]);
});

Deno.test("judge() takes nobody for another node when the record could not be read, or is not there", () => {
  const codes = (facts: Facts) => judge(facts).map(({ code }) => code);
  const linked = (name: string) =>
    network({
      links: [
        ...healthy.network.links,
        link("pn-1", { alias: `podnet:${name}/ab` }),
      ],
    });
  const unseen = [{ about: "record of node node-1", reason: "EACCES" }];
  assertEquals(codes(withoutNode({ ...linked("other"), unseen })), []);
  assertEquals(codes(withoutNode(linked("node-1"))), ["node-not-set-up"]);
});

Deno.test("judge() has nobody give a state directory away", () => {
  const status = { kind: "directory", mode: 0o700, uid: 0 } as const;
  const [found] = judge({
    ...healthy,
    ...stateDirectory({ status }),
    privileges: { ...healthy.privileges, user: 65534 },
  });
  assertEquals(found, {
    severity: "error",
    code: "state-directory-unusable",
    about: "state directory /run/podnet",
    message: "belongs to user 0, and podnet runs as user 65534",
    remedy:
      "run podnet as user 0, or use another directory: podnet --state-dir DIR",
  });
});

Deno.test("judge() names table, chain, hook and policy of what drops, and the line against it", () => {
  const hook = {
    type: "filter",
    hook: "forward",
    priority: -5,
    policy: "drop",
  } as const;
  const [found] = judge({ ...healthy, ruleset: [table({}, { hook })] });
  assertEquals(found, {
    severity: "error",
    code: "traffic-dropped",
    about: "chain inet fw forward",
    message:
      "hook forward priority -5 policy drop: the policy drops pods' connections to the outside, answers from the outside to pods, connections to host ports and pods from outside, pods' answers to the outside, connections between pods. What podnet accepts in its own table does not help: every table can drop",
    remedy:
      'nft insert rule inet fw forward iifname "pn-*" accept; nft insert rule inet fw forward oifname "pn-*" accept',
  });
});

Deno.test("judge() has what a network manager did to pods' links taken away, and what goes with it mended", () => {
  const found = judge({
    ...healthy,
    ...network({
      addresses: [
        ...healthy.network.addresses,
        address("pn-0", "169.254.3.4", 16, { scope: 253 }),
      ],
      routes: [
        ...healthy.network.routes,
        route("169.254.0.0/16", { link: "pn-0", protocol: 16 }),
      ],
    }),
  });
  assertEquals(found.map(({ code }) => code), ["pod-link-managed"]);
  assertStringIncludes(
    found[0]?.remedy ?? "",
    "; then ip addr del 169.254.3.4/16 dev pn-0, and the others likewise; podnet check --repair",
  );
});

Deno.test("judge() tells one thing once", () => {
  const object = "sysctl net.ipv4.ip_forward";
  const found = judge({
    ...healthy,
    ...sysctl("net.ipv4.ip_forward", "0"),
    ...node({ differences: [{ object, problem: "is off", remedy: "repair" }] }),
  });
  assertEquals(found.map(({ code }) => code), ["forwarding-off"]);
});

Deno.test("judge() tells the worst first", () => {
  const found = judge({
    ...healthy,
    ...stateDirectory({ fileSystem: "ext4" }),
    ...node({ here: false, pinsShared: false }),
    ...network({ outsideMtu: 1400 }),
  });
  assertEquals(found.map(({ severity }) => severity), [
    "error",
    "warning",
    "note",
  ]);
});

Deno.test("every code has a test", () => {
  const others: readonly FindingCode[] = [
    "node-table-missing",
    "node-not-set-up",
    "node-record-invalid",
  ];
  const tested = new Set([...all.map(([, , code]) => code), ...others]);
  assertEquals(FINDING_CODES.filter((code) => !tested.has(code)), []);
});
