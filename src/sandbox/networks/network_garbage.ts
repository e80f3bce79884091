/**
 * What concerns a network and no single sandbox: whether its plugins are ready, and what they have kept of sandboxes that
 * are no more.
 *
 * @module
 */
import type { CachedAttachment } from "../../cni/model/cache.ts";
import type { Attachment } from "../../cni/model/network.ts";
import {
  collectNetwork,
  type InstalledPlugin,
  networkStatus,
} from "../../cni/runtime/chain.ts";
import { ResultCache } from "../../cni/runtime/result_cache.ts";
import { parseNetwork } from "../../spec/network_attachment.ts";
import { attachmentOf, type SandboxAttachment } from "../pod/description.ts";
import type { NodeContext } from "../node/context.ts";
import { readNetworks } from "../records/network_notes.ts";
import { containerPrefix, deleteCached, hostOf } from "./network_plugins.ts";
import type { NodeState } from "../records/node_state.ts";

/** What was removed of a network. */
export interface NetworkGarbage {
  /** The attachments that nobody had any more, whose plugins were run with DEL, and which are noted no more. */
  readonly deleted: readonly Attachment[];
  /** What plugins failed to do; each is a `CniPluginError`. */
  readonly failures: readonly unknown[];
}

/** How a network's garbage is collected. */
export interface NetworkGarbageOptions {
  /**
   * Forget attachments that nobody has any more also when plugins fail to delete them: what those hold is theirs then.
   * @default false
   */
  readonly force?: boolean;
}

/**
 * Whether the plugins of a network are there, know its version, and are ready.
 *
 * @throws {SandboxError} `InvalidSpec`
 * @throws {CniPluginError} of the first that is not ready
 * @throws {CniError} when one does not know the version
 */
export async function statusOf(
  context: NodeContext,
  given: unknown,
): Promise<InstalledPlugin[]> {
  const wanted = parseNetwork(given);
  return await networkStatus(hostOf(context, wanted), wanted.list);
}

/**
 * Deletes what is noted of sandboxes of this node that are no more, then has the plugins remove what belongs to no
 * attachment (GC). What other runtimes, and other nodes, have attached to the network is valid as long as it is noted.
 *
 * Nobody is attached or detached meanwhile.
 *
 * @throws {SandboxError} `InvalidSpec`, `Timeout`, `StateUnusable`, `RecordInvalid`
 */
export async function collectNetworkGarbage(
  context: NodeContext,
  given: unknown,
  { force = false }: NetworkGarbageOptions = {},
): Promise<NetworkGarbage> {
  const { state } = context;
  const { cacheDir, ...now } = parseNetwork(given);
  const { list } = now;
  if (list.disableGC) return { deleted: [], failures: [] };
  const cache = new ResultCache(cacheDir);
  using _alone = await cache.lock("exclusive");
  const own = ownAttachments(state, list.name);
  const noted = cache.list().filter(({ networkName }) =>
    networkName === list.name
  );
  const isStale = (cached: CachedAttachment) =>
    cached.containerId.startsWith(containerPrefix(state)) &&
    !own.some((one) => isOf(cached, one));
  const failures: unknown[] = [];
  const deleted: Attachment[] = [];
  for (const cached of noted.filter(isStale)) {
    const failed = await deleteCached(context, now, cached);
    failures.push(...failed);
    // Without --allow-run none of them was run.
    const wasRun = !failed.some((error) =>
      error instanceof Deno.errors.NotCapable
    );
    if (failed.length > 0 && !(force && wasRun)) continue;
    cache.remove(cached);
    deleted.push(keyOf(cached));
  }
  const valid = [
    ...own.map(({ containerId, name }) => ({
      containerID: containerId,
      ifname: name,
    })),
    ...noted.filter((cached) =>
      !isStale(cached) && !own.some((one) => isOf(cached, one))
    ).map(keyOf),
  ];
  failures.push(
    ...await collectNetwork(hostOf(context, now), list, valid),
  );
  return { deleted, failures };
}

/** A note that cannot be read might name any attachment: then nothing may be collected. */
function ownAttachments(
  state: NodeState,
  network: string,
): SandboxAttachment[] {
  return state.sandboxIds().flatMap((id) => readNetworks(state, id))
    .map(attachmentOf).filter((one) => one.network === network);
}

function isOf(
  { containerId, ifName }: CachedAttachment,
  own: SandboxAttachment,
): boolean {
  return own.containerId === containerId && own.name === ifName;
}

function keyOf({ containerId, ifName }: CachedAttachment): Attachment {
  return { containerID: containerId, ifname: ifName };
}
