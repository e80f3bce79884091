/**
 * Draws boxes with characters, and the demo's network with these.
 *
 * @module
 */

import type { Sandbox } from "../../mod.ts";
import type { LabHost } from "../../src/testing/mod.ts";

/** Lines of text as one block: all are made as long as the longest. */
type Block = readonly string[];

function widthOf(block: Block): number {
  return Math.max(0, ...block.map((line) => line.length));
}

function padded(block: Block): string[] {
  const width = widthOf(block);
  return block.map((line) => line.padEnd(width));
}

/** Draws a frame around a block, with room for a wire above or below it. */
export function box(
  title: string,
  content: Block,
  { above = "─", below = "─" } = {},
): string[] {
  const width = Math.max(title.length + 4, widthOf(content));
  return [
    `┌─${above}─ ${title} ${"─".repeat(width - title.length - 3)}┐`,
    ...content.map((line) => `│ ${line.padEnd(width)} │`),
    `└─${below}${"─".repeat(width)}┘`,
  ];
}

/** Where a wire leaves a frame, downwards and upwards; both are above each other. */
const DOWN = { below: "┬" };
const UP = { above: "┴" };

/** Puts blocks side by side. */
export function beside(...blocks: readonly Block[]): string[] {
  const height = Math.max(0, ...blocks.map((block) => block.length));
  const columns = blocks.map((block) =>
    padded([...block, ...Array(height - block.length).fill("")])
  );
  return Array.from(
    { length: height },
    (_, row) => columns.map((column) => column[row]).join(" ").trimEnd(),
  );
}

/** What the picture shows of a network of one node. */
export interface Topology {
  readonly outside: Pick<LabHost, "name" | "addresses">;
  readonly node: Pick<LabHost, "name" | "addresses">;
  readonly pods: readonly Sandbox[];
}

function drawPod(sandbox: Sandbox): string[] {
  const containers = sandbox.containers.map(({ name, ports }) =>
    box(name, ports.map(({ port, protocol }) => `${protocol} ${port}`))
  );
  const { name, addresses, mac, hostInterface } = sandbox;
  const content = [...addresses, `${mac}`, ...beside(...containers)];
  return [
    `  │ ${hostInterface}`,
    ...box(`pod ${name}`, content, UP),
  ];
}

/** Draws the network, as it is now. */
export function drawTopology({ outside, node, pods }: Topology): string {
  const hostPorts = pods.flatMap(({ name, ports }) =>
    ports.map(({ protocol, hostPort, containerPort }) =>
      `host port ${protocol} ${hostPort} → pod ${name}, ${protocol} ${containerPort}`
    )
  );
  const content = [
    ...node.addresses,
    ...hostPorts,
    "",
    ...beside(...pods.map(drawPod)),
  ];
  return [
    ...box(outside.name, outside.addresses, DOWN),
    "  │",
    ...box(node.name, content, UP),
  ].join("\n");
}
