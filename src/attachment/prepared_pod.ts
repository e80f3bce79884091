/**
 * A link that was made ahead, before it was known whose it would be: its pod's end has a MAC and addresses already, which the
 * node's end has as neighbours. The addresses are claimed when it is a pod's. If somebody else has one by then, or the pod is
 * to have others, what differs is changed.
 *
 * @module
 */
import { Cidr } from "../net/cidr.ts";
import type { Request } from "../netlink/message.ts";
import { deleteAddress } from "../rtnetlink/address.ts";
import { setLink } from "../rtnetlink/link.ts";
import { deleteNeighbour } from "../rtnetlink/neighbour.ts";
import type { ClaimedAddress } from "./address_claims.ts";
import type { PodLink, PreparedEnd } from "./pod_link.ts";
import { addressRequests } from "./pod_messages.ts";

/** Whether a pod is to have the MAC and the addresses that are there. */
export function isAsPrepared(
  { mac: had, addresses }: PreparedEnd,
  { mac }: Pick<PodLink, "mac">,
  wanted: readonly ClaimedAddress[],
): boolean {
  return (mac === had || mac.equals(had)) && isAll(wanted, addresses);
}

/** What comes before the claims of other addresses, or for another MAC, at the node's end. */
export function beforeOtherClaims(
  { addresses }: PreparedEnd,
  { hostIndex: index, alias }: Pick<PodLink, "hostIndex" | "alias">,
  wanted: readonly ClaimedAddress[],
): Request<unknown, unknown>[] {
  return [
    setLink({ index, alias }),
    ...without(addresses, wanted).map(({ address }) =>
      deleteNeighbour({ index, address })
    ),
  ];
}

/** What is still to be done at the pod's end for these addresses: mostly nothing, which saves 0.1 ms. */
export function changesTo(
  prepared: PreparedEnd,
  link: Pick<PodLink, "podIndex" | "mac">,
  claimed: readonly ClaimedAddress[],
): Request<unknown, unknown>[] {
  if (isAsPrepared(prepared, link, claimed)) return [];
  const { mac: had, addresses } = prepared;
  const { podIndex: index, mac } = link;
  const hasMac = mac.equals(had);
  return [
    ...hasMac ? [] : [setLink({ index, mac })],
    // With its MAC a link loses its neighbours, permanent ones too (neigh_changeaddr).
    ...addressRequests(index, hasMac ? without(claimed, addresses) : claimed),
    // Last: with its only IPv4 address a link loses its routes (fib_disable_ip).
    ...without(addresses, claimed).map(({ address }) =>
      deleteAddress({
        index,
        address,
        prefixLength: Cidr.host(address).prefixLength,
      })
    ),
  ];
}

/** Those that the others are not. */
export function without(
  all: readonly ClaimedAddress[],
  others: readonly ClaimedAddress[],
): readonly ClaimedAddress[] {
  return isAll(all, others)
    ? NONE
    : all.filter(({ address }) =>
      !others.some((other) => other.address.equals(address))
    );
}

const NONE: readonly ClaimedAddress[] = [];

/** Whether one list has the very addresses that the other has: mostly, and found out in no time. */
function isAll(
  all: readonly ClaimedAddress[],
  others: readonly ClaimedAddress[],
): boolean {
  let i = 0;
  for (const { address } of all) {
    if (address !== others[i++]?.address) return false;
  }
  return i === others.length;
}
