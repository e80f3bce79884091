/**
 * Rules of others that keep pods' packets. In nf_tables, a packet that one table accepts goes on to the next, and any
 * of them can drop it: podnet's accepting it would not help.
 *
 * @module
 */
import { TABLE } from "../../hostport/sets.ts";
import type { Facts } from "../facts/facts.ts";
import type { ChainFacts, TableFacts } from "../facts/ruleset.ts";
import { crossedBridge, type Packet } from "../walk/packet.ts";
import { type Place, walk } from "../walk/walk.ts";
import { type DiagnosisFinding, finding } from "./finding.ts";
import { packetsAt, packetsToNode } from "./traffic.ts";

type Given = Pick<Facts, "network" | "podCidrs" | "ruleset">;

/** A chain that the kernel enters by itself. */
export type BaseChain = ChainFacts & Required<Pick<ChainFacts, "hook">>;

/** Base chains of others, with their tables. */
export function foreignBaseChains(
  ruleset: readonly TableFacts[] | undefined,
): { readonly table: TableFacts; readonly chain: BaseChain }[] {
  return (ruleset ?? []).filter(({ family, name }) =>
    !(family === "inet" && name === TABLE)
  ).flatMap((table) =>
    [...table.chains.values()].flatMap((chain) =>
      isBase(chain) ? [{ table, chain }] : []
    )
  );
}

function isBase(chain: ChainFacts): chain is BaseChain {
  return chain.hook !== undefined;
}

/** Whether packets of this IP version enter the table. */
export function sees({ family }: TableFacts, packet: Packet): boolean {
  return family === "inet" || family === (packet.family === 4 ? "ip" : "ip6");
}

/** How nft names a chain. */
export function nameOf(table: TableFacts, chain: ChainFacts): string {
  return `${table.family} ${table.name} ${chain.name}`;
}

/** Judges all base chains of filters. */
export function filterFindings(given: Given): DiagnosisFinding[] {
  return foreignBaseChains(given.ruleset).flatMap(({ table, chain }) => [
    ...dropped(given, table, chain),
    ...chain.hook.hook === "input" ? closed(given, table, chain) : [],
  ]);
}

function dropped(
  given: Given,
  table: TableFacts,
  chain: BaseChain,
): DiagnosisFinding[] {
  const packets = packetsAt(chain.hook.hook, given)
    .filter((packet) => sees(table, packet));
  const passages = packets.map((packet) => ({
    packet,
    ...walk(table, chain, packet),
  }));
  const lost = passages.filter(({ verdict, certain }) =>
    verdict === "drop" && certain
  );
  const [first] = lost;
  if (first !== undefined) {
    return [finding(
      "error",
      "traffic-dropped",
      `chain ${nameOf(table, chain)}`,
      `${describeHook(chain)}: ${describePlace(table, first.by)} drops ${
        titles(lost)
      }. What podnet accepts in its own table does not help: every table can drop`,
      remedy(table, chain, lost.map(({ packet }) => packet)),
    )];
  }
  const doubtful = passages.filter(({ verdict, possibleDrops }) =>
    verdict === "drop" || possibleDrops.length > 0
  );
  const [doubt] = doubtful;
  if (doubt === undefined) return [];
  const place = doubt.verdict === "drop" ? doubt.by : doubt.possibleDrops[0];
  return [finding(
    "warning",
    "traffic-maybe-dropped",
    `chain ${nameOf(table, chain)}`,
    `${describeHook(chain)}: ${
      describePlace(table, place ?? doubt.by)
    } may drop some of ${titles(doubtful)}; which, cannot be told from here`,
    `look at it: nft -a list chain ${
      nameOf(table, chain)
    }; to let all through: ${
      remedy(table, chain, doubtful.map(({ packet }) => packet))
    }`,
  )];
}

/** Many a node keeps pods out of itself. It is good to know when a pod does not reach a service of the node. */
function closed(
  given: Given,
  table: TableFacts,
  chain: BaseChain,
): DiagnosisFinding[] {
  const lost = packetsToNode(given).filter((packet) => {
    if (!sees(table, packet)) return false;
    return walk(table, chain, packet).verdict === "drop";
  });
  if (lost.length === 0) return [];
  return [finding(
    "note",
    "node-closed-to-pods",
    `chain ${nameOf(table, chain)}`,
    `${
      describeHook(chain)
    }: keeps pods from services of the node itself, such as a name server on it`,
    `nothing, if that is meant; else ${remedy(table, chain, lost)}`,
  )];
}

function describeHook({ hook }: BaseChain): string {
  return `hook ${hook.hook} priority ${hook.priority} policy ${hook.policy}`;
}

function describePlace({ family, name }: TableFacts, place: Place): string {
  return place.handle === undefined
    ? "the policy"
    : `the rule with handle ${place.handle} of chain ${family} ${name} ${place.chain}`;
}

function titles(passages: readonly { readonly packet: Packet }[]): string {
  const found = new Set(passages.map(({ packet }) => packet.title));
  const families = new Set(passages.map(({ packet }) => packet.family));
  const version = families.size === 2 ? "" : ` (IPv${[...families][0]})`;
  return [...found].join(", ") + version;
}

/** The lines that let the packets through before any other rule of the chain sees them. */
function remedy(
  table: TableFacts,
  chain: BaseChain,
  packets: readonly Packet[],
): string {
  const isPod = (link: Packet["input"]) => "any" in link && link.any === "pod";
  const matches = packets.map((packet) => {
    const bridge = crossedBridge(packet);
    if (bridge !== undefined) {
      return `iifname "${bridge}" oifname "${bridge}"`;
    }
    if (isPod(packet.input)) return 'iifname "pn-*"';
    return isPod(packet.output) && chain.hook.hook !== "prerouting"
      ? 'oifname "pn-*"'
      : "ct state established,related";
  });
  return [...new Set(matches)].map((match) =>
    `nft insert rule ${nameOf(table, chain)} ${match} accept`
  ).join("; ");
}
