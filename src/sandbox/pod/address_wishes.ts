/**
 * Which addresses a sandbox that is being made may have.
 *
 * @module
 */
import type { AddressWish } from "../../attachment/address_claims.ts";
import { podAt } from "../../attachment/questions.ts";
import { SandboxError } from "../../errors.ts";
import { ofFamily } from "../../hostport/elements.ts";
import { IpAddress } from "../../net/ip.ts";
import type { NormalisedSpec } from "../../spec/sandbox_spec.ts";
import { describeOwner, type NodeContext } from "../node/context.ts";
import {
  candidatesOf,
  freeAddresses,
  ownerOfAddress,
} from "../node/free_addresses.ts";
import type { WarmNamespace } from "../node/warm_pool.ts";
import { type Identity, idOfAlias } from "../records/identity.ts";

/** In each family the requested address and no other, or any free one. */
export function addressWishes(
  context: NodeContext,
  spec: NormalisedSpec,
  own: () => Identity,
  isSure: boolean,
  warm: WarmNamespace | undefined,
): AddressWish[] {
  const requested = spec.addresses.map((text) => IpAddress.parse(text));
  return context.pools.map((pool, i): AddressWish => {
    const { gateway, cidr, size } = pool;
    const ahead = warm?.prepared.addresses[i]?.address;
    const address = ofFamily(requested, cidr.family);
    if (address !== undefined) {
      return {
        gateway,
        first: ownerOfAddress(context, address) === undefined
          ? address
          : undefined,
        others: () => [],
        exhausted: () => addressInUse(context, address),
      };
    }
    const { first, others } = ahead === undefined
      ? candidatesOf(context, pool, own().seed, isSure)
      : {
        first: ahead,
        others: () => freeAddresses(context, pool, own().seed),
      };
    const exhausted = () =>
      new SandboxError("AddressPoolExhausted", {
        cidr: String(cidr),
        size: Number(size),
      });
    return { gateway, first, others, exhausted };
  });
}

function addressInUse(context: NodeContext, address: IpAddress): SandboxError {
  const { sockets, settings } = context;
  // One that is still being made has its link, and no element yet.
  const owner = ownerOfAddress(context, address) ??
    idOfAlias(settings.name, podAt(sockets.route, address));
  return new SandboxError("AddressInUse", {
    address: String(address),
    ...(owner === undefined ? {} : { owner: describeOwner(context, owner) }),
  });
}
