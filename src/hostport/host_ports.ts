/**
 * Claims and gives back host ports. The map element is the claim; NLM_F_EXCL decides between two who want it, and the
 * ruleset's generation decides where one element cannot: a wildcard against single addresses, an owner against another.
 *
 * @module
 */
import { Errno } from "../../ffi/errno.ts";
import { flushConntrack } from "../conntrack/conntrack.ts";
import { isNetlinkError } from "../netlink/netlink_error.ts";
import {
  GenerationError,
  type NftablesConnection,
} from "../nftables/connection.ts";
import type { Element } from "../nftables/ruleset.ts";
import { Transaction } from "../nftables/transaction.ts";
import {
  type ConflictOptions,
  refuseOverlap,
  refuseTaken,
  refuseUnusable,
} from "./conflicts.ts";
import {
  bySet,
  elementsOf,
  furtherElements,
  type Placed,
  type PortOwner,
  portsOf,
} from "./elements.ts";
import { translatedFlows } from "./flows.ts";
import type { SocketTables } from "./listeners.ts";
import type { HostPort } from "./mapping.ts";
import { ALL_SETS, TABLE } from "./sets.ts";
import type { TableMemory } from "./table_memory.ts";

/** Everybody who commits in this namespace makes others try again; somebody always gets through. */
const MAX_ATTEMPTS = 1000;

/** The kernel sockets that host ports need, all of the node's namespace. */
export interface HostPortSockets extends SocketTables {
  readonly nft: NftablesConnection;
  /** Spares asking; belongs to `nft`. */
  readonly memory?: TableMemory;
  /** In which those who work on the same table take turns: of two that commit at once, one has to begin anew. */
  readonly turn?: { take(work: () => void): void };
}

function inTurn({ turn, memory }: HostPortSockets, work: () => void): void {
  if (turn === undefined || memory?.isAlone === true) work();
  else turn.take(work);
}

/** What {@linkcode claimHostPorts} asks of its caller. */
export interface ClaimOptions extends ConflictOptions {
  /** Also add the elements that every pod has. */
  readonly withHairpin: boolean;
}

/**
 * Claims all ports or none. Ports that the owner has already are fine. Flows that began before go on where they went:
 * {@linkcode earlierFlows}.
 *
 * @throws {SandboxError} `HostPortInUse`, `HostAddressUnknown`
 */
export function claimHostPorts(
  sockets: HostPortSockets,
  owner: PortOwner,
  mappings: readonly HostPort[],
  asked: ClaimOptions,
): void {
  const { withHairpin, describeOwner } = asked;
  const nodeAddresses = once(asked.nodeAddresses);
  const options = { withHairpin, describeOwner, nodeAddresses };
  if (mappings.length > 0) refuseUnusable(sockets, mappings, options);
  const wanted = withHairpin
    ? elementsOf(mappings, owner)
    : portsOf(mappings, owner);
  if (wanted.length === 0) return;
  inTurn(sockets, () => {
    const change = { add: wanted, delete: undefined, isAll: withHairpin };
    if (sockets.memory?.tryCommit(sockets.nft, change)) return;
    claimByAsking(sockets, owner, mappings, wanted, options);
  });
}

/** Claims that a pod may reach itself from its further addresses, as far as that is not there. */
export function claimFurther(
  sockets: HostPortSockets,
  owner: PortOwner,
  asked: ConflictOptions,
): void {
  const wanted = furtherElements(owner);
  if (wanted.length === 0) return;
  inTurn(sockets, () => claimByAsking(sockets, owner, [], wanted, asked));
}

/** Asked for at most once in a claim. */
function once<T>(ask: () => T): () => T {
  let answer: { readonly value: T } | undefined;
  return () => (answer ??= { value: ask() }).value;
}

/** Asks for all that could be in the way, and names it. */
function claimByAsking(
  sockets: HostPortSockets,
  owner: PortOwner,
  mappings: readonly HostPort[],
  wanted: readonly Placed[],
  options: ConflictOptions,
): void {
  retryOnNewGeneration((generation) => {
    for (const mapping of mappings) {
      refuseOverlap(sockets.nft, owner, mapping, options);
    }
    const transaction = new Transaction();
    const missing: Placed[] = [];
    const there = elementsAt(sockets.nft, wanted);
    for (const [i, placed] of wanted.entries()) {
      const { set, element: { key } } = placed;
      const found = there[i];
      if (isAsPlaced(found, placed)) continue;
      if (found?.comment === owner.id) {
        // Of an earlier life of the same sandbox, whose address was another.
        transaction.deleteElements(TABLE, set, [{ key }]);
      }
      missing.push(placed);
    }
    addAll(transaction, missing);
    try {
      sockets.nft.commit(transaction, { generation });
      const change = { add: missing, delete: undefined, isAll: false };
      sockets.memory?.committed(generation, change);
    } catch (error) {
      if (!isNetlinkError(error, Errno.EEXIST)) throw error;
      // Somebody was faster, who may let go of it meanwhile, or the address is another pod's by the table.
      for (const mapping of mappings) {
        refuseTaken(sockets.nft, owner, mapping, options);
      }
      throw sockets.nft.generation() === generation
        ? error
        : new GenerationError(generation, { cause: error });
    }
  }, sockets.nft);
}

/**
 * Gives ports back: those of the mappings that are still this owner's, whatever else is in the table.
 * Connections through them go on until they are forgotten: {@linkcode endedFlows}.
 *
 * @param options `withHairpin`: all that the owner has
 */
export function releaseHostPorts(
  sockets: HostPortSockets,
  owner: PortOwner,
  mappings: readonly HostPort[],
  { withHairpin }: { readonly withHairpin: boolean },
): void {
  const { nft, memory } = sockets;
  inTurn(sockets, () => {
    if (withHairpin && memory?.tryRelease(nft, owner.id)) return;
    const placed = withHairpin
      ? elementsOf(mappings, owner)
      : portsOf(mappings, owner);
    releasePlaced(sockets, owner, placed);
  });
}

/** The other way: `owner` has further addresses that it has no more. */
export function releaseFurther(
  sockets: HostPortSockets,
  owner: PortOwner,
): void {
  const placed = furtherElements(owner);
  if (placed.length === 0) return;
  inTurn(sockets, () => releasePlaced(sockets, owner, placed));
}

function releasePlaced(
  { nft, memory }: HostPortSockets,
  owner: PortOwner,
  placed: readonly Placed[],
): void {
  const change = { add: undefined, delete: placed, isAll: false };
  if (memory?.tryCommit(nft, change)) return;
  deleteOwned(
    nft,
    placed,
    (found) => found?.comment === owner.id,
    (generation, gone) =>
      memory?.committed(generation, { ...change, delete: gone }),
  );
}

/**
 * Gives all back that an owner has, if this process knows it without being told. For ports of TCP, whose connections end with
 * the pod.
 *
 * @returns false when nothing was done
 */
export function tryReleaseAll(
  sockets: HostPortSockets,
  { id }: Pick<PortOwner, "id">,
): boolean {
  let isDone = false;
  inTurn(sockets, () => {
    isDone = sockets.memory?.tryRelease(sockets.nft, id) ?? false;
  });
  return isDone;
}

/**
 * Every element that belongs to an owner, by reading whole sets: for a sandbox whose record is lost.
 */
export function findElementsOf(
  nft: NftablesConnection,
  isOwner: (id: string) => boolean,
): Placed[] {
  return ALL_SETS.flatMap((set) =>
    nft.listElements(TABLE, set)
      .filter(({ comment }) => comment !== undefined && isOwner(comment))
      .map((element) => ({ set, element }))
  );
}

/** The owners that elements say that they are of, by reading whole sets. */
export function idsOfElements(nft: NftablesConnection): string[] {
  return findElementsOf(nft, () => true)
    .flatMap(({ element: { comment } }) => comment ?? []);
}

/**
 * Deletes elements as long as each is still its owner's and leads to the same pod, and ends the datagram flows that they
 * had translated. For sandboxes whose record does not tell of them.
 */
export function deleteElements(
  nft: NftablesConnection,
  placed: readonly Placed[],
): void {
  deleteOwned(nft, placed, isAsPlaced);
  flushConntrack(nft.netlink, placed.flatMap(translatedFlows));
}

/** Adds elements to a transaction; an element that exists fails it. */
export function addAll(
  transaction: Transaction,
  placed: readonly Placed[],
): void {
  for (const [set, elements] of bySet(placed)) {
    transaction.addElements(TABLE, set, elements, { exclusive: true });
  }
}

function deleteOwned(
  nft: NftablesConnection,
  candidates: readonly Placed[],
  isOwned: (found: Element | undefined, placed: Placed) => boolean,
  onDone?: (generation: number, gone: readonly Placed[]) => void,
): void {
  retryOnNewGeneration((generation) => {
    const found = elementsAt(nft, candidates);
    const placed = candidates.filter((one, i) => isOwned(found[i], one));
    if (placed.length === 0) return;
    const transaction = new Transaction();
    for (const [set, elements] of bySet(placed)) {
      transaction.deleteElements(TABLE, set, elements);
    }
    nft.commit(transaction, { generation });
    onDone?.(generation, placed);
  }, nft);
}

/** Runs `attempt` until the ruleset stays as it was while the attempt decided what to do. */
export function retryOnNewGeneration(
  attempt: (generation: number) => void,
  nft: NftablesConnection,
): void {
  for (let count = 1;; count++) {
    try {
      return attempt(nft.generation());
    } catch (error) {
      if (!(error instanceof GenerationError) || count === MAX_ATTEMPTS) {
        throw error;
      }
    }
  }
}

/** What the table has by the keys of these. */
function elementsAt(
  nft: NftablesConnection,
  placed: readonly Placed[],
): (Element | undefined)[] {
  return nft.getElements(
    TABLE,
    placed.map(({ set, element: { key } }) => ({ set, key })),
  );
}

/** Whether what was found by a key is the same owner's, and leads to the same pod. */
export function isAsPlaced(
  found: Element | undefined,
  { element }: Placed,
): boolean {
  return found !== undefined && found.comment === element.comment &&
    found.data?.toHex() === element.data?.toHex();
}
