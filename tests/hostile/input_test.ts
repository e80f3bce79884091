/**
 * Names and values that would lead out of a directory, or into a shell or a rule's text, had podnet any (CVE-2021-20206).
 * Each line is an attack, what stops it, and what comes of it.
 *
 * @module
 */
import { assert, assertEquals, assertRejects } from "@std/assert";
import { type NodeOptions, openNode, type SandboxSpec } from "../../mod.ts";
import { SandboxError } from "../../src/errors.ts";
import { NetworkNamespace } from "../../src/namespace/network_namespace.ts";
import { createLab, type Lab, type LabNode } from "../../src/testing/mod.ts";
import { command } from "../support/command.ts";
import { assertAsBefore, snapshot } from "../support/node_state.ts";
import { nodeAt, Pod } from "../support/pods.ts";

let lab: Lab;
let node: LabNode;
Deno.test.beforeAll(async () => {
  lab = await createLab();
  node = nodeAt(lab.nodes, 0);
});
Deno.test.afterAll(() => lab[Symbol.asyncDispose]().then());

/** What each would do where a path, a command or a rule is put together as text. */
const WORDS = {
  "leads out of a directory": "../../../escaped",
  "is another path": "/etc/passwd",
  "ends a path early": "web\0.cbor",
  "is a command of its own": "$(touch escaped); `touch escaped`",
  "is a rule of its own": 'x" ; flush ruleset ; add table inet escaped #',
  "is a line of its own": "web\nflush ruleset",
} as const;

type Field = readonly [string, (word: string) => Partial<SandboxSpec>];

const FIELDS: readonly Field[] = [
  ["name", (name) => ({ name })],
  ["namespace", (namespace) => ({ namespace })],
  ["id", (id) => ({ id })],
  ["uid", (uid) => ({ uid })],
  ["interface name", (interfaceName) => ({ interfaceName })],
  ["container", (name) => ({ containers: [{ name }] })],
  [
    "host IP",
    (hostIP) => ({ ports: [{ hostIP, hostPort: 80, containerPort: 80 }] }),
  ],
  ["sysctl", (name) => ({ sysctls: { [`net.ipv4.${name}`]: "1" } })],
  ["host name", (hostname) => ({ dns: { hostname } })],
  ["search domain", (search) => ({ dns: { searches: [search] } })],
];

for (const [what, word] of Object.entries(WORDS)) {
  Deno.test(`a value that ${what} | strict patterns | InvalidSpec in every field, nothing is done`, async () => {
    const before = await snapshot(node);
    for (const [field, spec] of FIELDS) {
      const error = await assertRejects(
        () => node.node.createSandbox({ name: "web", ...spec(word) }),
        SandboxError,
        undefined,
        field,
      );
      assertEquals(error.code, "InvalidSpec", field);
    }
    const nodeFields: readonly NodeOptions[] = [
      { name: word },
      { podCidrs: [word] },
      { nonMasqueradeCidrs: [word] },
    ];
    for (const options of nodeFields) {
      const error = await assertRejects(
        () =>
          openNode({
            netns: node.namespace,
            stateDir: node.node.stateDir,
            ...options,
          }),
        SandboxError,
      );
      assertEquals(error.code, "InvalidSpec");
    }
    await assertAsBefore(node, before);
  });
}

Deno.test("a path that is put together carelessly leaves its directory, so the test above can fail", () => {
  const base = Deno.makeTempDirSync();
  try {
    const word = WORDS["leads out of a directory"].replace("../../../", "../");
    Deno.mkdirSync(`${base}/sandboxes`);
    Deno.writeTextFileSync(`${base}/sandboxes/${word}`, "");
    assert(Deno.statSync(`${base}/escaped`).isFile);
  } finally {
    Deno.removeSync(base, { recursive: true });
  }
});

Deno.test("a label that is a rule of its own | rules are numbers, not text | it is kept as it is; read by nft, it flushes", async () => {
  const word = WORDS["is a rule of its own"];
  const tables = command(node.namespace, "nft list tables");
  await using pod = await Pod.create(node, {
    name: "labelled",
    labels: { app: word },
  });
  assertEquals(pod.sandbox.labels["app"], word);
  assertEquals(command(node.namespace, "nft list tables"), tables);
  assertEquals(await node.node.check(), []);
  // What a program does that writes its rules as text.
  using other = NetworkNamespace.create();
  command(other, "nft 'add table inet kept; add chain inet kept c'");
  const text = `add rule inet kept c iifname "${word}" drop`;
  command(other, `nft -f - <<'END'\n${text}\nEND`);
  assertEquals(
    command(other, "nft list tables").trim(),
    "table inet escaped",
  );
});
