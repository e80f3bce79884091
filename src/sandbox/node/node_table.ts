/**
 * Whose nf_tables table it is, and whether it has the node's rules: told by its comment.
 *
 * @module
 */
import { SandboxError } from "../../errors.ts";
import { RULES, TABLE } from "../../hostport/sets.ts";
import type { TableInfo } from "../../nftables/connection.ts";
import { realPathOf } from "../../state/directory.ts";
import type { NodeContext, NodeTable, TableOwner } from "./context.ts";
import { digest } from "../records/digest.ts";
import { HOST_INTERFACE_PREFIX } from "../records/identity.ts";
import type { NodeState } from "../records/node_state.ts";

/**
 * Makes the table, or renews that of another version of podnet.
 *
 * @returns what was changed, in plain words
 * @throws {SandboxError} `NodeConflict` when the namespace has another node's table
 */
export async function ensureTable(context: NodeContext): Promise<string[]> {
  const { sockets: { nft }, table } = context;
  for (;;) {
    const found = nft.getTable(TABLE);
    if (found === undefined) {
      const { createTable } = await import("../upkeep.ts");
      if (!await createTable(context)) continue; // another process did, just now
      return [`added nf_tables table inet ${TABLE}`];
    }
    refuseForeignTable(context, found);
    if (found.comment !== table.comment) {
      const { replaceTable } = await import("../upkeep.ts");
      replaceTable(context);
      return [`renewed the rules of nf_tables table inet ${TABLE}`];
    }
    if (!found.isDormant) return [];
    nft.wakeTable(TABLE);
    return [`woke nf_tables table inet ${TABLE}, which was dormant`];
  }
}

/**
 * A network namespace is one node's.
 *
 * @throws {SandboxError} `NodeConflict`
 */
export function refuseForeignTable(
  { sockets: { nft }, settings, table }: NodeContext,
  found: Pick<TableInfo, "comment"> | undefined = nft.getTable(TABLE),
): void {
  if (found === undefined || isOf(found.comment, table)) return;
  throw new SandboxError("NodeConflict", {
    name: settings.name,
    reason: `this network namespace has the nf_tables table "${TABLE}" of ${
      describeOwner(found.comment, settings.name)
    }: take that down first, or use its name and state directory`,
  });
}

/** Whether a table's comment is that of the node that signs so, in whatever version. */
export function isOf(
  comment: string | undefined,
  { owner, asWritten }: TableOwner,
): boolean {
  if (comment === undefined) return false;
  const found = ownerOf(comment);
  return found === owner || found === asWritten;
}

function ownerOf(comment: string): string {
  return comment.replace(/ rules .*/, "");
}

/** Whose table it is that bears this comment, which is not this node's. */
function describeOwner(comment: string | undefined, ownName: string): string {
  const name = nodeOf(comment);
  if (name === undefined) return "somebody else";
  return `node "${name}"${
    name === ownName ? " of another state directory" : ""
  }`;
}

/** The name of the node whose table bears this comment. */
export function nodeOf(comment: string | undefined): string | undefined {
  return /^node (\S+) state /.exec(comment ?? "")?.[1];
}

/** What the node's table is to say of itself. */
export function tableOf(
  { settings, state, pools }: Pick<NodeContext, "settings" | "state" | "pools">,
): NodeTable {
  const { masquerade, nonMasqueradeCidrs, maxConnectionsPerPod } = settings;
  // All that `wholeTable()` makes the rules of.
  const given = JSON.stringify([
    RULES,
    HOST_INTERFACE_PREFIX,
    pools.map(({ cidr }) => String(cidr)),
    masquerade,
    nonMasqueradeCidrs,
    maxConnectionsPerPod,
  ]);
  const owner = tableOwner(state);
  const comment = `${owner.owner} rules ${shortDigest(given)}`;
  return { ...owner, comment };
}

/**
 * How a node signs its table, whatever the version: by its name and state directory.
 *
 * @throws {SandboxError} `StateUnusable`
 */
export function tableOwner(
  { name, stateDir }: Pick<NodeState, "name" | "stateDir">,
): TableOwner {
  const by = (path: string) => `node ${name} state ${shortDigest(path)}`;
  const path = realPathOf(stateDir);
  const owner = by(path);
  return path === stateDir ? { owner } : { owner, asWritten: by(stateDir) };
}

function shortDigest(text: string): string {
  return digest(text).subarray(0, 6).toHex();
}
