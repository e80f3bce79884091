/**
 * Everything that a node has, as text: to show that a failure or a removal left nothing.
 *
 * @module
 */
import { assertEquals } from "@std/assert";
import { decodeCborSequence } from "../../src/state/cbor.ts";
import type { LabNode } from "../../src/testing/mod.ts";
import { command, ipLinks } from "./command.ts";
import { settled, until } from "./patience.ts";

/** Routes and elements that pods have. */
const CLAIMS = `
  ip -4 route show proto 112
  ip -6 route show proto 112
  nft list ruleset`;

/** All that may take its time. Neighbours that are not permanent come and go with traffic. */
const STATE = `
  ip -o -d link show
  ip -o addr show
  ip -4 route show table all
  ip -6 route show table all
  ip -4 neigh show nud permanent
  ip -6 neigh show nud permanent`;

/** What nobody may have to wait for: routes and elements that pods have, and notes on disk. */
export function claimsOf({ namespace, node }: LabNode): string[] {
  // One in 64 of a pod's connections is counted, at random, and its counter is there until the kernel collects it, under a
  // MAC or the number of a link, or under its name as long as the kernel has not destroyed that.
  const counters = /\n\s*elements = \{ \S+ ct count over [^}]*\}/g;
  return [
    ...lines(command(namespace, CLAIMS).replace(counters, "")),
    ...[...mountsBelow(node.stateDir), ...filesBelow(node.stateDir)]
      .filter((line) => !isRemoved(line)),
  ];
}

/** Links, addresses, routes and neighbours of any kind, and what is there of sandboxes that are removed. */
export function stateOf({ namespace, node }: LabNode): string[] {
  // The kernel says that a new link is up some time after it is; its flags do at once.
  return [
    ...lines(
      command(namespace, STATE).replaceAll(/ state (?:UNKNOWN|UP) /g, " "),
    ),
    ...removedBelow(node.stateDir),
  ];
}

/** What is left of sandboxes that are removed, which goes at any moment. */
function removedBelow(stateDir: string): string[] {
  return [...Deno.readDirSync(stateDir)].flatMap(({ name }) => {
    const path = `${stateDir}/${name}/removed`;
    try {
      const names = [...Deno.readDirSync(path)].map(({ name }) => name);
      return [path, ...names.map((name) => `${path}/${name}`)].sort();
    } catch (error) {
      if (error instanceof Deno.errors.NotFound) return [];
      throw error;
    }
  });
}

function isRemoved(line: string): boolean {
  return line.includes("/removed");
}

/** A moment to return to. */
export interface Snapshot {
  readonly claims: readonly string[];
  readonly state: readonly string[];
}

/** Remembers this moment, once links of pods that were removed are gone. */
export async function snapshot(node: LabNode): Promise<Snapshot> {
  await linksSettled(node);
  return { claims: claimsOf(node), state: stateOf(node) };
}

/** Waits until links of pods that were removed are gone: the kernel destroys them on its own time. */
export async function linksSettled(node: LabNode): Promise<void> {
  const alive = (await node.node.listSandboxes())
    .map(({ hostInterface }) => hostInterface);
  await until(() =>
    ipLinks(node.namespace).every(({ ifname }) =>
      !ifname.startsWith("pn-") || alive.includes(ifname)
    )
  );
}

/** Asserts that the node is as it was: its claims already, the rest once the kernel is done. */
export async function assertAsBefore(
  node: LabNode,
  { claims, state }: Snapshot,
): Promise<void> {
  assertEquals(claimsOf(node), claims);
  assertEquals(await settled(() => stateOf(node), state), state);
}

function lines(text: string): string[] {
  return text.split("\n").filter((line) => line !== "");
}

/** The mounts below a directory. */
export function mountsBelow(path: string): string[] {
  return lines(Deno.readTextFileSync("/proc/thread-self/mountinfo"))
    // Without its number and its parent's, which the kernel gives anew.
    .map((line) => line.split(" ").slice(2).join(" "))
    .filter((line) => line.includes(` ${path}/`)).sort();
}

/** The files below a directory: names and contents. */
export function filesBelow(path: string): string[] {
  return [...Deno.readDirSync(path)].flatMap(({ name, isDirectory }) => {
    const file = `${path}/${name}`;
    if (isDirectory) return [file, ...filesBelow(file)];
    // A pin has no contents to read.
    const bytes = name === "netns" ? new Uint8Array() : Deno.readFileSync(file);
    const contents = name === "record.cbor" ? textOf(bytes) : bytes.toHex();
    return [`${file} ${contents}`];
  }).sort();
}

/** A record is the same in whatever order its fields are written, and whether changes are in it or follow it. */
function textOf(bytes: Uint8Array): string {
  let items: [{ readonly body: object }, ...object[]];
  try {
    items = decodeCborSequence(bytes) as typeof items;
  } catch {
    return bytes.toHex();
  }
  const [record, ...changes] = items;
  const whole = { ...record, body: Object.assign({}, record.body, ...changes) };
  return JSON.stringify(whole, (_, value) => sorted(value));
}

function sorted(value: unknown): unknown {
  if (typeof value !== "object" || value === null || Array.isArray(value)) {
    return value;
  }
  return Object.fromEntries(
    Object.entries(value).sort(([a], [b]) => a < b ? -1 : 1),
  );
}
