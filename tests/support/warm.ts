/**
 * Nodes that keep namespaces ready, and what can be seen of these.
 *
 * @module
 */
import { type Node, openNode } from "../../mod.ts";
import { createLab, type Lab, type LabNode } from "../../src/testing/mod.ts";
import { command } from "./command.ts";
import { until } from "./patience.ts";
import { nodeAt, type Pod } from "./pods.ts";

/** Another handle of its node, which keeps so many ready. */
export function openWarm(host: LabNode, warm: number): Promise<Node> {
  const { name, stateDir } = host.node;
  return openNode({ name, stateDir, netns: host.namespace, warm });
}

/** A lab, its node, and another handle of that which keeps namespaces ready. */
export interface WarmLab {
  readonly lab: Lab;
  readonly host: LabNode;
  readonly node: Node;
}

/** Each test of the file has a node that keeps so many ready. */
export function eachWarm(
  count: number,
  give: (given: WarmLab) => void,
): void {
  let lab: Lab;
  let node: Node;
  Deno.test.beforeAll(async () => {
    lab = await createLab();
  });
  Deno.test.beforeEach(async () => {
    const host = nodeAt(lab.nodes, 0);
    await untilBlanks(host, 0);
    node = await openWarm(host, count);
    await untilReady(node, count);
    give({ lab, host, node });
  });
  Deno.test.afterEach(() => node[Symbol.asyncDispose]());
  Deno.test.afterAll(() => lab[Symbol.asyncDispose]().then());
}

/** Waits until so many are. */
export async function untilReady(node: Node, count: number): Promise<void> {
  await until(() => node.warm.ready >= count);
}

/** Names of the node's ends of links that are nobody's yet. */
export function blanks(host: LabNode): string[] {
  return command(host.namespace, "ip -o link show").split("\n")
    .filter((line) => line.includes(": pn-") && !line.includes("alias"))
    .map((line) => /: (pn-\w+)/.exec(line)?.[1] ?? "");
}

/** Waits until there are so many of them. */
export async function untilBlanks(
  host: LabNode,
  count: number,
): Promise<void> {
  await until(() => blanks(host).length === count);
}

/** Of the node. */
export function directoryOf(host: LabNode): string {
  return `${host.node.stateDir}/${host.node.name}`;
}

/** What a pod is like, less what is its own. */
export function likeness(
  host: LabNode,
  { sandbox, namespace }: Pod,
): unknown {
  const masked = (text: string) =>
    [
      [sandbox.hostInterface, "HOST"],
      [sandbox.mac, "MAC"],
      [sandbox.id, "ID"],
      ...sandbox.addresses.map((address) => [address, "ADDRESS"] as const),
    ].reduce((rest, [own = "", word]) => rest.replaceAll(own, word ?? ""), text)
      .replaceAll(/"?(?:ifindex|link|link_index|link_netnsid)"?:\s?\d+/g, "");
  const ofPod =
    "ip -j -d link show; ip -j addr show; ip -j -4 route show table all; ip -j -6 route show table all; ip -j neigh show; sysctl -a 2>/dev/null | grep -E 'net.ipv[46].conf.(eth0|lo)' | grep -v stable_secret";
  const ofHost =
    "ip -j -d link show HOST; ip -j -4 route show dev HOST; ip -j -6 route show dev HOST; ip -j neigh show dev HOST; sysctl -a 2>/dev/null | grep conf.HOST | grep -v stable_secret";
  return [
    masked(command(namespace, ofPod)).split("\n"),
    masked(
      command(
        host.namespace,
        ofHost.replaceAll("HOST", sandbox.hostInterface ?? ""),
      ),
    ).split("\n"),
  ];
}
