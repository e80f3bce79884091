/**
 * Compares a node and its sandboxes with the kernel, and mends what differs. Each difference carries its own remedy, so
 * that what is told and what is done cannot drift apart.
 *
 * @module
 */
import { isSandboxError } from "../errors.ts";
import { attachmentDifferences } from "../attachment/check.ts";
import type { Placed } from "../hostport/elements.ts";
import { addAll } from "../hostport/host_ports.ts";
import { TABLE } from "../hostport/ruleset.ts";
import { ALL_SETS } from "../hostport/sets.ts";
import { NetworkNamespace } from "../namespace/network_namespace.ts";
import { readSysctl, writeSysctl } from "../namespace/sysctl.ts";
import { MacAddress } from "../net/mac.ts";
import { formatKey } from "../nftables/datatype.ts";
import { differences } from "../nftables/live.ts";
import { Transaction } from "../nftables/transaction.ts";
import { isAlive } from "./alive.ts";
import {
  baselineDifferences,
  elementsOfNode,
  rebuildTable,
} from "./baseline.ts";
import type { NodeContext } from "./context.ts";
import { linkAlias } from "./identity.ts";
import { addressesOf, type SandboxRecord } from "./records.ts";

/** Something that is not as it should be. */
export interface Finding {
  /** The sandbox as `namespace/name`; missing when it is the node itself. */
  readonly sandbox?: string;
  /** What it is about, such as `route to 10.244.1.5/32`. */
  readonly object: string;
  /** What is wrong with it. */
  readonly problem: string;
  /** What mends it. */
  readonly remedy: string;
}

/** A finding and what mends it; without `mend` only people can. */
interface Difference extends Finding {
  readonly mend?: () => void;
}

const REPAIR = "repair the node (podnet check --repair)";

/** Compares; changes nothing. */
export async function checkNode(context: NodeContext): Promise<Finding[]> {
  using _node = await context.state.lock("shared");
  return compare(context).map(finding);
}

/** Compares and mends. Connections that still work are not disturbed. */
export async function repairNode(context: NodeContext): Promise<Finding[]> {
  using _node = await context.state.lock("exclusive");
  const found = compare(context);
  for (const { mend } of found) mend?.();
  return found.map(finding);
}

function finding({ mend: _, ...rest }: Difference): Finding {
  return rest;
}

function compare(context: NodeContext): Difference[] {
  return [
    ...baselineDifferences(context).map((difference) => ({
      ...difference,
      remedy: REPAIR,
    })),
    ...tableDifferences(context),
    ...context.state.sandboxIds().flatMap((id) => {
      try {
        const record = context.state.readSandbox(id);
        return record === undefined ? [] : sandboxDifferences(context, record);
      } catch (error) {
        if (!isSandboxError(error, "RecordInvalid")) throw error;
        return [{
          sandbox: id,
          object: "record",
          problem: error.context.reason,
          remedy: "collect garbage with force (podnet gc --force)",
        }];
      }
    }),
  ];
}

/** Rules and elements are mended in one transaction each, so that nothing is ever half there. */
function tableDifferences(context: NodeContext): Difference[] {
  const { sockets: { nft }, table } = context;
  const rules = differences(table, nft.readTable(TABLE));
  const missing = missingElements(context);
  return [
    ...rules.map((problem, i): Difference => ({
      object: `nf_tables table inet ${TABLE}`,
      problem,
      remedy: REPAIR,
      ...(i === 0 ? { mend: () => rebuildTable(context) } : {}),
    })),
    ...missing.map(({ set, element }, i): Difference => ({
      object: `element ${formatKey(set.key, element.key)} of set ${set.name}`,
      problem: "is missing",
      remedy: REPAIR,
      ...(i === 0
        ? {
          mend: () => {
            const transaction = new Transaction();
            addAll(transaction, missing);
            nft.commit(transaction);
          },
        }
        : {}),
    })),
  ];
}

function missingElements(context: NodeContext): Placed[] {
  const present = new Set(
    ALL_SETS.flatMap((set) =>
      context.sockets.nft.listElements(TABLE, set).map(({ key, comment }) =>
        `${set.name} ${key.toHex()} ${comment}`
      )
    ),
  );
  return elementsOfNode(context).filter(({ set, element }) =>
    !present.has(`${set.name} ${element.key.toHex()} ${element.comment}`)
  );
}

function sandboxDifferences(
  context: NodeContext,
  record: SandboxRecord,
): Difference[] {
  const { spec, link, id } = record;
  const sandbox = `${spec.namespace}/${spec.name}`;
  if (record.state === "creating") {
    return [{
      sandbox,
      object: "sandbox",
      problem: "its creation was cut short",
      remedy: "create it again, or collect garbage (podnet gc)",
    }];
  }
  if (!isAlive(context, record)) {
    return [{
      sandbox,
      object: `network namespace ${context.state.pinPath(id)}`,
      problem: "is gone",
      remedy: "create the sandbox again, or collect garbage (podnet gc)",
    }];
  }
  if (link === undefined) return [];
  const gateways = context.pools.map(({ gateway }) => gateway);
  const wiring = attachmentDifferences(
    context.sockets.route,
    () => NetworkNamespace.open(context.state.pinPath(id)),
    {
      hostInterface: link.hostInterface,
      hostIndex: link.hostIndex,
      podIndex: link.podIndex,
      alias: linkAlias(context.settings.name, id),
      interfaceName: spec.interfaceName,
      mac: MacAddress.parse(link.mac),
      mtu: record.mtu,
    },
    addressesOf(record).flatMap((address) => {
      const gateway = gateways.find(({ family }) => family === address.family);
      return gateway === undefined ? [] : [{ address, gateway }];
    }),
  );
  return [
    ...wiring.map((difference): Difference => ({
      sandbox,
      ...difference,
      remedy: difference.mend === undefined
        ? "remove the sandbox and create it again"
        : REPAIR,
    })),
    ...sysctlDifferences(context, record, sandbox),
  ];
}

function sysctlDifferences(
  context: NodeContext,
  { id, spec }: SandboxRecord,
  sandbox: string,
): Difference[] {
  const path = context.state.pinPath(id);
  return Object.entries(spec.sysctls).flatMap(([name, value]) => {
    using pod = NetworkNamespace.open(path);
    const found = readSysctl(pod, name);
    if (words(found) === words(value)) return [];
    return [{
      sandbox,
      object: `sysctl ${name}`,
      problem: `is "${found}" instead of "${value}"`,
      remedy: REPAIR,
      mend: () => {
        using pod = NetworkNamespace.open(path);
        writeSysctl(pod, name, value);
      },
    }];
  });
}

/** The kernel shows several values with tabs between them. */
function words(text: string): string {
  return text.trim().split(/\s+/).join(" ");
}
