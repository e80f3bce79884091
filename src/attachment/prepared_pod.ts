/**
 * The pod's end of a link that was made ahead, before it was known whose it would be: it has a MAC and addresses already.
 * The addresses are claimed when it is a pod's. If somebody else has one by then, or the pod is to have others, what
 * differs is changed.
 *
 * @module
 */
import { Cidr } from "../net/cidr.ts";
import type { Request } from "../netlink/message.ts";
import { deleteAddress } from "../rtnetlink/address.ts";
import { setLink } from "../rtnetlink/link.ts";
import type { ClaimedAddress } from "./address_claims.ts";
import type { PodLink, PreparedEnd } from "./pod_link.ts";
import { addressRequests } from "./pod_messages.ts";

/** What is still to be done for a pod of this MAC and these addresses: mostly nothing, which saves 0.1 ms. */
export function changesTo(
  { mac: had, addresses }: PreparedEnd,
  { podIndex: index, mac }: Pick<PodLink, "podIndex" | "mac">,
  claimed: readonly ClaimedAddress[],
): Request<unknown, unknown>[] {
  const hasMac = mac === had || mac.equals(had);
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
  return all.filter(({ address }) =>
    !others.some((other) =>
      other.address === address || other.address.equals(address)
    )
  );
}
