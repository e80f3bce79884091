/**
 * How one sandbox differs in the kernel from what its record tells, and what mends it.
 *
 * @module
 */
import { attachmentDifferences } from "../attachment/check.ts";
import type { Placed } from "../hostport/elements.ts";
import { addAll, elementsOf, isAsPlaced } from "../hostport/host_ports.ts";
import { TABLE } from "../hostport/ruleset.ts";
import { NetworkNamespace } from "../namespace/network_namespace.ts";
import { readSysctl, writeSysctl } from "../namespace/sysctl.ts";
import { MacAddress } from "../net/mac.ts";
import { formatKey } from "../nftables/datatype.ts";
import { Transaction } from "../nftables/transaction.ts";
import { isAlive } from "./alive.ts";
import { describeOwner, type NodeContext } from "./context.ts";
import { linkAlias } from "./identity.ts";
import {
  addressesOf,
  hostPortsOf,
  portOwner,
  type SandboxRecord,
} from "./records.ts";

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
export interface Difference extends Finding {
  readonly mend?: () => void;
}

/** The remedy of what has a `mend`. */
export const REPAIR = "repair the node (podnet check --repair)";

const CREATE_AGAIN = "create it again, or collect garbage (podnet gc)";

/** Compares a sandbox, whose lock the caller holds. */
export function sandboxDifferences(
  context: NodeContext,
  record: SandboxRecord,
): Difference[] {
  const { spec: { namespace, name }, id } = record;
  const about = { sandbox: `${namespace}/${name}` };
  if (record.state === "creating") {
    return [{
      ...about,
      object: "sandbox",
      problem: "its creation was cut short",
      remedy: CREATE_AGAIN,
    }];
  }
  if (!isAlive(context, record)) {
    return [{
      ...about,
      object: `network namespace ${context.state.pinPath(id)}`,
      problem: "is gone",
      remedy: CREATE_AGAIN,
    }];
  }
  return [
    ...record.link === undefined
      ? []
      : wiringDifferences(context, record, record.link),
    ...sysctlDifferences(context, record),
    ...elementDifferences(context, record),
  ].map((difference) => ({
    ...about,
    ...difference,
    remedy: difference.mend === undefined ? CREATE_AGAIN : REPAIR,
  }));
}

/**
 * Mends a sandbox, whose lock the caller holds.
 *
 * @returns false when nothing short of a new one helps; nothing was done then
 */
export function mendSandbox(
  context: NodeContext,
  record: SandboxRecord,
): boolean {
  const found = sandboxDifferences(context, record);
  if (found.some(({ mend }) => mend === undefined)) return false;
  for (const { mend } of found) mend?.();
  return true;
}

type Unplaced = Omit<Difference, "sandbox" | "remedy">;

function wiringDifferences(
  context: NodeContext,
  { id, spec, mtu, addresses }: SandboxRecord,
  { hostInterface, hostIndex, podIndex, mac }: NonNullable<
    SandboxRecord["link"]
  >,
): Unplaced[] {
  const gateways = context.pools.map(({ gateway }) => gateway);
  return attachmentDifferences(
    context.sockets.route,
    () => NetworkNamespace.open(context.state.pinPath(id)),
    {
      hostInterface,
      hostIndex,
      podIndex,
      alias: linkAlias(context.settings.name, id),
      interfaceName: spec.interfaceName,
      mac: MacAddress.parse(mac),
      mtu,
    },
    addressesOf({ addresses }).flatMap((address) => {
      const gateway = gateways.find(({ family }) => family === address.family);
      return gateway === undefined ? [] : [{ address, gateway }];
    }),
  );
}

function sysctlDifferences(
  { state }: NodeContext,
  { id, spec }: SandboxRecord,
): Unplaced[] {
  const path = state.pinPath(id);
  return Object.entries(spec.sysctls).flatMap(([name, value]) => {
    using pod = NetworkNamespace.open(path);
    const found = readSysctl(pod, name);
    if (words(found) === words(value)) return [];
    return [{
      object: `sysctl ${name}`,
      problem: `is "${found}" instead of "${value}"`,
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

function elementDifferences(
  context: NodeContext,
  record: SandboxRecord,
): Unplaced[] {
  const { sockets: { nft } } = context;
  const { id } = record;
  return elementsOf(hostPortsOf(record), portOwner(record)).flatMap(
    (placed) => {
      const { set, element: { key } } = placed;
      const object = `element ${formatKey(set.key, key)} of set ${set.name}`;
      const found = nft.getElement(TABLE, set, key);
      if (isAsPlaced(found, placed)) return [];
      if (found?.comment === id) {
        // Of an earlier life of the sandbox, whose record was lost.
        return [{
          object,
          problem: "leads to an address that the sandbox no longer has",
          mend: () => add(context, placed, { replace: true }),
        }];
      }
      return [
        found === undefined
          ? { object, problem: "is missing", mend: () => add(context, placed) }
          : {
            object,
            problem: `belongs to ${
              describeOwner(context, found.comment ?? "somebody else")
            }`,
          },
      ];
    },
  );
}

function add(
  { sockets: { nft } }: NodeContext,
  placed: Placed,
  { replace = false }: { readonly replace?: boolean } = {},
): void {
  const transaction = new Transaction();
  if (replace) {
    transaction.deleteElements(TABLE, placed.set, [placed.element]);
  }
  addAll(transaction, [placed]);
  nft.commit(transaction);
}
