/**
 * Which namespace a node is, and what its settings are: kept from the first time it is opened.
 *
 * @module
 */
import { hostName } from "../../../ffi/process.ts";
import { SandboxError } from "../../errors.ts";
import { NetworkNamespace } from "../../namespace/network_namespace.ts";
import { bootId } from "../records/boot.ts";
import type { NodeContext } from "./context.ts";
import { NodeState } from "../records/node_state.ts";
import type { NodeRecord } from "../records/records.ts";
import {
  MAX_CONNECTIONS_PER_POD,
  type NodeOptions,
  type NormalisedNodeOptions,
  parseNodeOptions,
} from "../../spec/node_options.ts";

/** What the options say, checked, and the files of their node. */
export function parseNode(options: NodeOptions): {
  readonly name: string;
  readonly parsed: NormalisedNodeOptions;
  readonly state: NodeState;
} {
  const parsed = parseNodeOptions(options, hostName);
  const { name } = parsed;
  return { name, parsed, state: new NodeState(parsed.stateDir, name) };
}

/** The namespace that an option means; one that is given open stays its owner's. */
export function openNamespace(
  opened: DisposableStack,
  netns: NodeOptions["netns"],
): NetworkNamespace {
  if (netns instanceof NetworkNamespace) return netns;
  return opened.use(
    netns === undefined
      ? NetworkNamespace.current()
      : typeof netns === "number"
      ? NetworkNamespace.fromPid(netns)
      : netns.includes("/")
      ? NetworkNamespace.open(netns)
      : NetworkNamespace.fromName(netns),
  );
}

/** Whether the settings are of another boot: all that the node had in the kernel is gone, its namespace too. */
export function isOfEarlierBoot(known: NodeRecord | undefined): boolean {
  return known?.bootId !== undefined && known.bootId !== bootId();
}

/**
 * The node's settings: those it has, which the options must not contradict, or new ones. After a reboot the namespace in
 * which the node is opened first is its own, whatever its number.
 */
export function settle(
  name: string,
  options: NormalisedNodeOptions,
  found: NodeRecord | undefined,
  netnsId: string,
  defaultMtu: () => number,
): NodeRecord | undefined {
  const known = found !== undefined && isOfEarlierBoot(found)
    ? { ...found, netnsId, bootId: bootId() }
    : found;
  if (known === undefined) {
    if (options.podCidrs === undefined) return undefined;
    return {
      name,
      netnsId,
      bootId: bootId(),
      podCidrs: options.podCidrs,
      masquerade: options.masquerade ?? true,
      nonMasqueradeCidrs: options.nonMasqueradeCidrs ?? [],
      mtu: options.mtu ?? defaultMtu(),
      maxConnectionsPerPod: options.maxConnectionsPerPod ??
        MAX_CONNECTIONS_PER_POD,
    };
  }
  if (known.netnsId !== netnsId) {
    throw new SandboxError("NodeConflict", {
      name,
      reason:
        `it was set up in network namespace ${known.netnsId}, this is ${netnsId}: use another node name or state directory, or take it down there first; with force if that namespace is gone`,
    });
  }
  const isGrowing = grows(known, options);
  for (const [key, label] of SETTINGS) {
    const wanted = options[key];
    // Who needs no networks has nothing against those that there are.
    if (key === "podCidrs" && (isGrowing || wanted?.toString() === "")) {
      continue;
    }
    if (wanted !== undefined && String(wanted) !== String(known[key])) {
      throw new SandboxError("NodeConflict", {
        name,
        reason: `it differs in ${label} (${
          known[key]
        }, requested ${wanted}): leave the option out, or take the node down first`,
      });
    }
  }
  return isGrowing && options.podCidrs !== undefined
    ? { ...known, podCidrs: options.podCidrs }
    : known;
}

/** Whether a node that has no pod CIDRs is to have some. */
export function grows(
  known: NodeRecord | undefined,
  { podCidrs = [] }: Pick<NormalisedNodeOptions, "podCidrs">,
): boolean {
  return known?.podCidrs.length === 0 && podCidrs.length > 0;
}

/** What can be asked of a node that exists, and how people call it. */
const SETTINGS = [
  ["podCidrs", "pod CIDRs"],
  ["masquerade", "masquerading"],
  ["nonMasqueradeCidrs", "networks that are not masqueraded"],
  ["mtu", "MTU"],
  ["maxConnectionsPerPod", "connections per pod"],
] as const;

/**
 * The node may have been taken down since this process opened it, and set up again in another way; or be closed by now.
 *
 * @throws {SandboxError} `NodeNotFound`, `NodeConflict`, `NodeClosed`
 */
export function refuseStaleNode(
  { state, settings }: Pick<NodeContext, "state" | "settings">,
): void {
  state.refuseClosed();
  const { name, stateDir } = state;
  const still = state.isStill(settings);
  if (still) return;
  if (still === undefined) {
    throw new SandboxError("NodeNotFound", { name, stateDir });
  }
  throw new SandboxError("NodeConflict", {
    name,
    reason: "it was set up again with other settings: open it again",
  });
}
