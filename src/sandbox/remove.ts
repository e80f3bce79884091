/**
 * How a sandbox is taken away: host ports first, so that nothing is led into the void, the link with its namespace last.
 *
 * The kernel destroys a link on its own time once its namespace is gone, which costs 16–66 µs here; asking for it
 * (RTM_DELLINK) would block for 31–44 ms. What anybody could miss, addresses and ports, is free when this returns.
 *
 * @module
 */
import { Errno } from "../../ffi/errno.ts";
import type { OwnedFd } from "../../ffi/fd.ts";
import {
  addressesOfLink,
  detachHost,
  releaseAddresses,
  retireHost,
} from "../attachment/routed_veth.ts";
import { isSandboxError, SandboxError } from "../errors.ts";
import {
  deleteElements,
  findElementsOf,
  releaseHostPorts,
} from "../hostport/host_ports.ts";
import { NetworkNamespace } from "../namespace/network_namespace.ts";
import { NetlinkError } from "../netlink/netlink_error.ts";
import { deleteLink, dumpLinks } from "../rtnetlink/link.ts";
import type { NodeContext } from "./context.ts";
import {
  HOST_INTERFACE_PREFIX,
  idOfAlias,
  isRetired,
  retiredAlias,
} from "./identity.ts";
import type { NodeState } from "./node_state.ts";
import { addressesOf, hostPortsOf, type SandboxRecord } from "./records.ts";

/** How to remove. */
export interface RemoveOptions {
  /**
   * Also when containers are attached, when the record is damaged, and when a process still holds the namespace open:
   * the link is then deleted at once, which takes 31–44 ms.
   * @default false
   */
  readonly force?: boolean;
}

/**
 * Removes the sandbox `id`, whatever is left of it: record, link or namespace may be gone.
 *
 * @param options `incarnation` is the `createdAt` of the sandbox that is meant; one that was made since is left alone
 * @returns whether there was anything
 * @throws {SandboxError} `SandboxInUse`; `RecordInvalid` unless forced
 */
export async function removeSandbox(
  context: NodeContext,
  id: string,
  options: RemoveOptions & { readonly incarnation?: string } = {},
): Promise<boolean> {
  const { state } = context;
  const force = options.force ?? false;
  using node = await lockUnlessGone(state);
  if (node === undefined) return removeOrphans(context, id, { retired: force });
  const wasThere = state.hasSandbox(id);
  using _lock = await state.lockNewSandbox(id);
  const record = force ? state.readableSandbox(id) : state.readSandbox(id);
  const { incarnation } = options;
  if (
    record !== undefined && incarnation !== undefined &&
    record.createdAt !== incarnation
  ) return false;
  if (record !== undefined && record.containers.length > 0 && !force) {
    throw new SandboxError("SandboxInUse", {
      id,
      containers: record.containers.map(({ name }) => name),
    });
  }
  removeRemains(context, id, record);
  let found = wasThere;
  if (record === undefined) {
    found = removeOrphans(context, id, { retired: force }) || found;
  } else if (force) removeLinks(context, id, { retired: true });
  state.removeSandbox(id);
  return found;
}

/** Undefined when the node was taken down, or its directory is lost: then there is nobody to be kept out. */
async function lockUnlessGone(state: NodeState): Promise<OwnedFd | undefined> {
  try {
    return await state.lock("shared");
  } catch (error) {
    if (isSandboxError(error, "NodeNotFound")) return undefined;
    throw error;
  }
}

/**
 * Takes away what the kernel has of a sandbox whose lock the caller holds. Without a record that is the pin: the record
 * is written before anything that would outlive the pin.
 */
export function removeRemains(
  context: NodeContext,
  id: string,
  record: SandboxRecord | undefined,
): void {
  const { state, sockets, settings } = context;
  if (record?.link !== undefined) {
    if (record.addresses.length === 0) {
      // It was cut short before its addresses were noted.
      releaseAddresses(
        sockets.route,
        record.link.hostIndex,
        addressesOfLink(sockets.route, record.link.hostIndex),
      );
    }
    const addresses = addressesOf(record);
    releaseHostPorts(sockets, { id, addresses }, hostPortsOf(record), {
      withHairpin: true,
    });
    releaseAddresses(sockets.route, record.link.hostIndex, addresses);
    if (record.spec.netns !== undefined) detachHost(sockets.route, record.link);
    else {retireHost(
        sockets.route,
        record.link,
        retiredAlias(settings.name, id),
      );}
  }
  NetworkNamespace.unpin(state.pinPath(id));
}

/** What is found from the kernel's side alone, by reading whole tables: for a sandbox whose record is lost. */
export function removeOrphans(
  context: NodeContext,
  id: string,
  which: WhichLinks,
): boolean {
  const elements = findElementsOf(
    context.sockets.nft,
    (owner) => owner === id,
  );
  deleteElements(context.sockets.nft, elements);
  return removeLinks(context, id, which) || elements.length > 0;
}

/** Which links of a sandbox. */
interface WhichLinks {
  /** Also the one that was given up and goes by itself, unless a process stays in its namespace. */
  readonly retired: boolean;
}

/** Deletes the links that bear the sandbox's alias, and their routes with them. */
export function removeLinks(
  { sockets, settings }: NodeContext,
  id: string,
  { retired }: WhichLinks,
): boolean {
  const links = sockets.route.dump(dumpLinks({}))
    .filter(({ name, alias }) =>
      name.startsWith(HOST_INTERFACE_PREFIX) &&
      idOfAlias(settings.name, alias) === id &&
      (retired || !isRetired(alias))
    );
  for (const { index } of links) {
    try {
      sockets.route.execute([deleteLink({ index })]);
    } catch (error) {
      // The kernel may have been faster.
      if (!(error instanceof NetlinkError && error.errno === Errno.ENODEV)) {
        throw error;
      }
    }
  }
  return links.length > 0;
}

/**
 * Removes the notes and pins of a node that cannot be opened any more.
 *
 * @returns what was removed, in plain words
 */
export async function forgetNode(state: NodeState): Promise<string[]> {
  using _lock = await state.lockNew("exclusive");
  const ids = state.sandboxIds();
  for (const id of ids) {
    NetworkNamespace.unpin(state.pinPath(id));
    state.removeSandbox(id);
  }
  state.removeNode();
  return [...ids.map((id) => `sandbox ${id}`), `records of ${state.name}`];
}
