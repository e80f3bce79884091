/**
 * Every disturbance is made, found, and taken away by the very lines that docs/troubleshooting.md has against it, and the
 * pod is reached then.
 */
import { assert, assertEquals } from "@std/assert";
import { NetworkNamespace } from "../../mod.ts";
import { FINDING_CODES } from "../../src/diagnosis/rules/finding.ts";
import { ask, FAMILIES, serve } from "../support/ask.ts";
import { Page } from "../support/page.ts";
import { nodeAddress } from "../support/pods.ts";
import { disturbances } from "./disturbances.ts";
import { Patient } from "./patient.ts";

const page = Page.read("troubleshooting.md");

Deno.test("docs/troubleshooting.md cures what diagnose() finds", async (t) => {
  await using patient = await Patient.admit();
  const { host: { node }, lab: { outside } } = patient;
  const { netnsPath, addresses } = await node.openSandbox("web");
  using namespace = NetworkNamespace.open(netnsPath);
  using opened = new DisposableStack();
  const servers = addresses.map((address) =>
    opened.use(serve("web", namespace, { transport: "tcp", address, port: 80 }))
  );
  const unanswered = () =>
    FAMILIES.filter((family) => {
      const to = { address: nodeAddress(family), port: 8080 };
      return typeof ask("tcp", outside.namespace, to, servers) === "string";
    });
  assertEquals(unanswered(), []);
  for (const { code, severity, make, tidy = "true", stays } of disturbances) {
    await t.step(code, async () => {
      patient.run(make);
      const [found] = await patient.findings(code);
      assertEquals(found?.severity, severity, `${code} was not found`);
      patient.run(page.scriptAfter(`\n\`${code}\`:`));
      const left = await patient.findings(code);
      assertEquals(left.length > 0, stays === true, JSON.stringify(left));
      assertEquals(unanswered(), [], "the cure does not bring traffic back");
      patient.run(tidy);
    });
  }
});

Deno.test("docs/troubleshooting.md tells of codes that there are", () => {
  const known: ReadonlySet<string> = new Set(FINDING_CODES);
  const told = [...page.text.matchAll(/^`([a-z0-9]+(?:-[a-z0-9]+)*)`:/gm)]
    .map(([, code = ""]) => code);
  assert(told.length > 20);
  assertEquals(told.filter((code) => !known.has(code)), []);
  const severe = disturbances.map(({ code }) => code);
  assertEquals(severe.filter((code) => !told.includes(code)), []);
});

Deno.test("diagnose() finds nothing to complain about on a healthy node", async () => {
  await using patient = await Patient.admit();
  const { findings, unseen, healthy } = await patient.diagnose();
  assertEquals(findings.filter(({ severity }) => severity !== "note"), []);
  assertEquals([unseen, healthy], [[], true]);
});
