/**
 * A node in a lab, many processes on it, and what must hold afterwards.
 *
 * @module
 */
import { assert, assertEquals, assertMatch } from "@std/assert";
import type { Finding, Node } from "../../mod.ts";
import { createLab } from "../../src/testing/mod.ts";
import { command } from "../support/command.ts";
import { assertAsBefore, snapshot } from "../support/node_state.ts";
import { nodeAt } from "../support/pods.ts";
import { churn, type ChurnOptions, type ChurnReport } from "./churn.ts";
import { assertOneOwnerEach, assertTraffic } from "./ownership.ts";

/**
 * Lets the processes loose, and asserts that every address and host port has one owner, that each sandbox carries
 * traffic, and that nothing is left when all are removed. Prints the seed and what happened.
 */
export async function churnAndCheck(
  options: ChurnOptions,
): Promise<ChurnReport> {
  console.log(`churn: ${JSON.stringify(options)}`);
  await using lab = await createLab();
  const labNode = nodeAt(lab.nodes, 0);
  const { node } = labNode;
  const before = await snapshot(labNode);
  const start = performance.now();
  const report = await churn(labNode, options);
  const { counts, operations, killed, found } = report;
  const seconds = ((performance.now() - start) / 1000).toFixed(1);
  console.log(
    `churn: ${operations} operations in ${seconds} s, ${killed} processes killed, ${found.length} findings`,
    counts,
  );
  assertEquals(report.unexpected, []);

  // What those left who were killed.
  const garbage = await node.collectGarbage();
  const { mended, remaining } = await node.repair();
  await giveUpNotedPorts(node, remaining, killed);
  assertEquals(await node.check(), []);
  const sandboxes = await assertOneOwnerEach(labNode);
  assertTraffic(labNode, sandboxes);
  console.log(
    `churn: ${sandboxes.length} sandboxes with one owner each; ${garbage.length} were garbage, ${mended.length} parts were mended`,
  );

  for (const { id } of sandboxes) {
    await node.removeSandbox(id, { force: true });
  }
  assertEquals(await node.collectGarbage(), []);
  assertEquals(await node.check(), []);
  await assertAsBefore(labNode, before);
  assertEquals(translatedDatagrams(labNode), []);
  return report;
}

/** Title of an element that is the claim of a port, of one address or of all. */
const CLAIM =
  /^element (?:\S+ \. )?(\w+ \. \d+) of set (?:hostports|loopback|hostnetwork)[46](?:_ip)?$/;

/**
 * Does what the findings say: whoever is killed between noting a port and claiming it leaves the note, and another sandbox
 * may have the port before that is mended. A process leaves one such note at most.
 */
async function giveUpNotedPorts(
  node: Node,
  findings: readonly Finding[],
  killed: number,
): Promise<void> {
  const noted = new Map<string, Set<string>>();
  for (const { sandbox = "", object, problem, remedy } of findings) {
    const [, port] = CLAIM.exec(object) ?? [];
    assert(port !== undefined, `${object} ${problem}`);
    assertMatch(problem, /^belongs to sandbox default\//);
    assertMatch(remedy, /podnet ports rm/);
    noted.set(sandbox, (noted.get(sandbox) ?? new Set()).add(port));
  }
  assert(noted.size <= killed, `${[...noted.keys()]}`);
  for (const [name, ports] of noted) {
    const sandbox = await node.openSandbox(name.replace("default/", ""));
    await sandbox.removePorts(
      sandbox.ports.filter(({ protocol, hostPort }) =>
        ports.has(`${protocol} . ${hostPort}`)
      ),
    );
  }
}

/** Flows through host ports that would go on for ever: of TCP the connections end by themselves. */
function translatedDatagrams({ namespace }: { namespace: LabNamespace }) {
  return command(namespace, "conntrack -L -p udp 2>/dev/null")
    .split("\n").filter((line) => / dport=2\d{4} /.test(line));
}

type LabNamespace = Parameters<typeof command>[0];
