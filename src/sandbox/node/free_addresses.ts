/**
 * Which addresses to try for a new pod: free ones as far as is known. The claim decides.
 *
 * @module
 */
import type { AddressWish } from "../../attachment/address_claims.ts";
import { hairpinElement } from "../../hostport/elements.ts";
import { TABLE } from "../../hostport/sets.ts";
import type { AddressPool } from "../../ipam/pool.ts";
import { IpAddress } from "../../net/ip.ts";
import { dumpHostDestinations } from "../../rtnetlink/host_routes.ts";
import type { NodeContext } from "./context.ts";

/**
 * How many addresses are tried before all routes are read. Asking for one costs some 60 µs, and reading them all, once,
 * 4 µs a route: a pool that is nearly full, or is full, would be asked for address by address.
 */
const TRIES = 32;

/** The address to try first, and those that are tried when somebody has it. */
export type Candidates = Pick<AddressWish, "first" | "others">;

/**
 * In the order of the pool.
 *
 * @param isSure whether also no sandbox has the first one by the node's table. The claim is the route; an owner without one
 * has lost its link and is still to be removed, which is rare: then the table refuses the pod's elements
 */
export function candidatesOf(
  context: Pick<NodeContext, "sockets">,
  pool: AddressPool,
  seed: bigint,
  isSure: boolean,
): Candidates {
  if (!isSure) {
    const others = () => freeAddresses(context, pool, seed, 1);
    return { first: pool.first(seed), others };
  }
  const all = freeAddresses(context, pool, seed);
  return { first: all.next().value ?? undefined, others: () => all };
}

/**
 * Those that no sandbox has by the node's table, in the order of the pool; whoever takes another one has found the last one
 * taken.
 *
 * @param passed how many of the first are left out
 */
export function* freeAddresses(
  context: Pick<NodeContext, "sockets">,
  pool: AddressPool,
  seed: bigint | Uint8Array,
  passed = 0,
): Generator<IpAddress, undefined> {
  let tries = 0;
  let routed: ReadonlySet<bigint | undefined> | undefined;
  const isRouted = (address: bigint) => routed?.has(address) ?? false;
  for (const address of pool.candidates(seed, isRouted)) {
    if (tries >= passed && ownerOfAddress(context, address) === undefined) {
      yield address;
    }
    if (++tries === TRIES) {
      const { sockets: { route } } = context;
      routed = new Set(route.dump(dumpHostDestinations(pool.cidr.family)));
    }
  }
}

/** How many addresses of the pool nobody has. */
export function countFree(
  { sockets: { route } }: NodeContext,
  pool: AddressPool,
): bigint {
  const { family } = pool.cidr;
  const routed = new Set(route.dump(dumpHostDestinations(family)));
  const taken = [...routed].filter((address) =>
    address !== undefined &&
    pool.isAllocatable(IpAddress.fromBigInt(address, family))
  );
  return pool.size - BigInt(taken.length);
}

/** The id of the sandbox whose address it is, by the element that every pod has. */
export function ownerOfAddress(
  { sockets: { nft } }: Pick<NodeContext, "sockets">,
  address: IpAddress,
): string | undefined {
  const { set, element } = hairpinElement(address, "");
  return nft.getElement(TABLE, set, element.key)?.comment;
}
