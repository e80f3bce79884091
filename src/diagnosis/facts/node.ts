/**
 * What is podnet's own in the namespace: the node, its sandboxes, and what others of its kind left there.
 *
 * @module
 */
import type { Connection } from "../../netlink/connection.ts";
import { ConntrackWalks } from "../../conntrack/walks.ts";
import { AddressPool } from "../../ipam/pool.ts";
import { ALL_SETS, TABLE } from "../../hostport/sets.ts";
import type { NetworkNamespace } from "../../namespace/network_namespace.ts";
import { Cidr } from "../../net/cidr.ts";
import type { NftablesConnection } from "../../nftables/connection.ts";
import { ROUTE_PROTOCOL } from "../../rtnetlink/route.ts";
import { isOf, tableOf } from "../../sandbox/node/node_table.ts";
import { checkNode } from "../../sandbox/check/check.ts";
import {
  hasIpv6,
  loopback,
  type NodeContext,
  type NodeSockets,
} from "../../sandbox/node/context.ts";
import { collectGarbage } from "../../sandbox/garbage/garbage.ts";
import { LeaseGate } from "../../sandbox/records/node_lease.ts";
import { NodeState } from "../../sandbox/records/node_state.ts";
import type { NodeRecord } from "../../sandbox/records/records.ts";
import { attachmentOf } from "../../cni/model/attachment_labels.ts";
import { keptSockets } from "../../hostport/kept_sockets.ts";
import { listListeners } from "../../sockdiag/listeners.ts";
import { acquireLock } from "../../state/lock.ts";
import type { HostPortFacts, ListenerFacts, NodeFacts } from "./node_facts.ts";
import type { NetworkFacts } from "./network.ts";
import type { TableFacts } from "./ruleset.ts";
import { mountOf } from "./state_directory.ts";
import { readIfPresent, type Witness } from "./witness.ts";

/** Sockets that the facts of a node are read through; undefined are those that could not be opened. */
export interface NodeSources {
  readonly namespace: NetworkNamespace;
  readonly route: Connection | undefined;
  readonly nft: NftablesConnection | undefined;
  readonly diag: Connection | undefined;
}

/** Another process may be at work on a sandbox for a moment; one that holds a lock for longer is in the way. */
const LOCK_TIMEOUT_MS = 200;

/** Looks; undefined when no node of the name was ever set up, or its record cannot be read. */
export async function nodeFacts(
  witness: Witness,
  { name, stateDir }: { readonly name: string; readonly stateDir: string },
  sources: NodeSources,
  network: NetworkFacts,
  ruleset: readonly TableFacts[] | undefined,
): Promise<NodeFacts | undefined> {
  const state = new NodeState(stateDir, name);
  const settings = witness.see(
    `record of node ${name}`,
    () => state.readNode(),
  );
  if (settings === undefined) return undefined;
  state.records.holdTo(settings);
  const pools = settings.podCidrs.map((text) =>
    new AddressPool(Cidr.parse(text))
  );
  const ids = witness.see("sandboxes", () => state.sandboxIds()) ?? [];
  const here = settings.netnsId === sources.namespace.id;
  const table = tableOf({ settings, state, pools });
  const own = ruleset?.find((t) => t.family === "inet" && t.name === TABLE);
  const isOwn = isOf(own?.comment, table);
  const elementSets: ReadonlySet<string> = new Set(
    ALL_SETS.map((set) => set.name),
  );
  const inspected = here
    ? await inspect(witness, { settings, state, pools, table }, sources, ids)
    : {};
  return {
    name,
    stateDir,
    netnsId: settings.netnsId,
    podCidrs: settings.podCidrs,
    mtu: settings.mtu,
    masquerade: settings.masquerade,
    here,
    sandboxes: ids.length,
    pins: pinsIn(witness, `${state.directory}/sandboxes`),
    pinsShared: witness.see("mounts", () => mountOf(state.directory))?.shared ??
      false,
    ...(ruleset === undefined ? {} : {
      table: own === undefined
        ? "missing" as const
        : isOwn
        ? "present" as const
        : "foreign" as const,
    }),
    rules: isOwn ? rulesOf(own) : 0,
    elements: isOwn
      ? [...own?.sets ?? []].reduce(
        (sum, [set, { count }]) => sum + (elementSets.has(set) ? count : 0),
        0,
      )
      : 0,
    links:
      network.links.filter(({ alias }) => alias?.startsWith(`podnet:${name}/`))
        .length,
    routes:
      network.routes.filter(({ protocol, link }) =>
        protocol === ROUTE_PROTOCOL &&
        network.links.some((l) => l.ofPod && l.name === link)
      ).length,
    gateways: pools.map(({ gateway }) => String(gateway)),
    hostPorts: hostPortsOf(witness, state, ids),
    ...inspected,
  };
}

function rulesOf(table: TableFacts | undefined): number {
  return [...table?.chains.values() ?? []]
    .reduce((sum, { rules }) => sum + rules.length, 0);
}

function pinsIn(witness: Witness, directory: string): number {
  const text = witness.see(
    "pins",
    () => readIfPresent("/proc/thread-self/mountinfo"),
  );
  return (text ?? "").split("\n").filter((line) => {
    const point = line.split(" ")[4] ?? "";
    return point.startsWith(`${directory}/`) && point.endsWith("/netns");
  }).length;
}

function hostPortsOf(
  witness: Witness,
  state: NodeState,
  ids: readonly string[],
): HostPortFacts[] {
  return witness.see("host ports", () =>
    ids.flatMap((id) => {
      const record = state.readableSandbox(id);
      if (record === undefined) return [];
      const { spec: { namespace, name, labels } } = record;
      const containerID = attachmentOf(labels)?.containerID;
      return record.ports.map(({ protocol, hostPort, hostIP }) => ({
        protocol,
        port: hostPort,
        ...(hostIP === undefined ? {} : { address: hostIP }),
        sandbox: `${namespace}/${name}`,
        ...(containerID === undefined ? {} : { containerID }),
      }));
    })) ?? [];
}

/** Processes that wait on a port, and for which of the sandboxes' containers. */
export function listenerFacts(
  witness: Witness,
  diag: Connection | undefined,
  hostPorts: readonly HostPortFacts[],
): ListenerFacts[] {
  if (diag === undefined) return [];
  const containers = new Set(
    hostPorts.flatMap(({ containerID }) => containerID ?? []),
  );
  const kept = containers.size === 0
    ? undefined
    : witness.see("processes", () => keptSockets(containers));
  const protocols = ["tcp", "udp"] as const;
  return protocols.flatMap((protocol) =>
    ([4, 6] as const).flatMap((family) =>
      witness.see(
        `${protocol} sockets of IPv${family}`,
        () =>
          listListeners(diag, { protocol, family }).map((
            { address, port, uid, inode },
          ) => {
            const keptFor = kept?.get(inode);
            return {
              protocol,
              address,
              port,
              uid,
              ...(keptFor === undefined ? {} : { keptFor }),
            };
          }),
      ) ?? []
    )
  );
}

interface Inspected {
  readonly settings: NodeRecord;
  readonly state: NodeState;
  readonly pools: readonly AddressPool[];
  readonly table: NodeContext["table"];
}

/** Asks check and garbage, unless another process is at work for long. */
async function inspect(
  witness: Witness,
  node: Inspected,
  { namespace, route, nft, diag }: NodeSources,
  ids: readonly string[],
): Promise<Pick<NodeFacts, "differences" | "garbage">> {
  if (route === undefined || nft === undefined || diag === undefined) {
    witness.note(
      "sandboxes",
      "they are compared with the kernel through sockets that could not be opened",
    );
    return {};
  }
  const about = "sandboxes";
  const free = await witness.wait(about, async () => {
    const { state } = node;
    for (
      const [path, mode] of [
        [`${state.directory}/lock`, "shared"],
        ...ids.map((id) => [state.sandboxDirectory(id), "exclusive"]),
      ] as const
    ) {
      const lock = await acquireLock(path, mode as "shared" | "exclusive", {
        timeoutMs: LOCK_TIMEOUT_MS,
      });
      lock?.[Symbol.dispose]();
    }
    return true;
  });
  if (free === undefined) return {};
  const sockets: NodeSockets = {
    route,
    nft,
    diag,
    // Nothing is made here, and nothing forgotten.
    ipv6Guard: undefined,
    walks: new ConntrackWalks(nft.netlink, nft.netlink),
    mayShadow: () => false,
    hasLink: () => false,
    [Symbol.dispose]() {},
  };
  const context: NodeContext = {
    ...node,
    namespace,
    sockets,
    ipv6: hasIpv6(loopback(route)),
    gate: new LeaseGate(),
  };
  const differences = await witness.wait(about, () => checkNode(context));
  const garbage = await witness.wait(
    "garbage",
    () => collectGarbage(context, { dryRun: true }),
  );
  return {
    ...(differences === undefined ? {} : { differences }),
    ...(garbage === undefined ? {} : { garbage }),
  };
}
