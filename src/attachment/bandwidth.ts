/**
 * Limits of what goes into a pod and comes out of it, both on the node's side, where the pod cannot lift them.
 *
 * What goes in waits in a token bucket of the link's own end. What comes out cannot wait where it arrives: it is sent to a
 * link of its own, the shaper, which has the bucket and gives it back as if it had just arrived (net/core drivers/net/ifb.c).
 *
 * @module
 */
import { Errno } from "../../ffi/errno.ts";
import type { Bandwidth } from "../net/bandwidth.ts";
import type { Connection } from "../netlink/connection.ts";
import type { Request } from "../netlink/message.ts";
import { isNetlinkError } from "../netlink/netlink_error.ts";
import { deleteLink, getLink, newLink, setLink } from "../rtnetlink/link.ts";
import { deleteQdisc, INGRESS, newQdisc } from "../rtnetlink/qdisc.ts";
import { newRedirect } from "../rtnetlink/redirect.ts";
import { tbfOptions, type TokenBucket } from "../rtnetlink/tbf.ts";
import { SHAPER_PREFIX, shaperAlias } from "./names.ts";
import { orNone } from "./questions.ts";

/** What is limited, and how. */
export interface ShapedLink {
  readonly hostInterface: string;
  readonly hostIndex: number;
  /** Of the link; the shaper's is made from it. */
  readonly alias: string;
  /** Bytes. */
  readonly mtu: number;
  /** @default no limits */
  readonly bandwidth?: Bandwidth | undefined;
}

/** The shaper of a link. */
export function shaperOf(
  { hostInterface, alias }: Pick<ShapedLink, "hostInterface" | "alias">,
): { readonly name: string; readonly alias: string } {
  return {
    name: SHAPER_PREFIX + hostInterface.slice(hostInterface.indexOf("-") + 1),
    alias: shaperAlias(alias),
  };
}

/** An Ethernet header with a VLAN tag. */
const HEADER_BYTES = 18;
const MIN_BURST_BYTES = 16 << 10;

function bucketOf(
  bits: number | undefined,
  burstBits: number | undefined,
  mtu: number,
): TokenBucket | undefined {
  if (bits === undefined) return undefined;
  const rate = Math.floor(bits / 8);
  const burst = Math.max(
    mtu + HEADER_BYTES,
    burstBits === undefined
      ? Math.max(Math.floor(rate / 50), MIN_BURST_BYTES)
      : Math.ceil(burstBits / 8),
  );
  // Whoever has to wait for longer than 25 ms is dropped, so that senders notice.
  return { rate, burst, limit: burst + Math.floor(rate / 40) };
}

/** The buckets that its limits come to, undefined where there is none. */
export function bucketsOf({ bandwidth = {}, mtu }: ShapedLink) {
  const { ingress, ingressBurst, egress, egressBurst } = bandwidth;
  return {
    into: bucketOf(ingress, ingressBurst, mtu),
    outOf: bucketOf(egress, egressBurst, mtu),
  };
}

/**
 * The node's messages that limit a link which is down and was just made.
 *
 * @param shaperIndex a number that no link has
 */
export function shapingRequests(
  link: ShapedLink,
  shaperIndex: number,
): Request<unknown, unknown>[] {
  const { into, outOf } = bucketsOf(link);
  return [
    ...into === undefined ? [] : [intoRequest(link, into)],
    ...outOf === undefined ? [] : outOfRequests(link, outOf, shaperIndex),
  ];
}

/** Has what goes in wait. */
export function intoRequest(
  { hostIndex: index }: ShapedLink,
  bucket: TokenBucket,
): Request<unknown> {
  const options = tbfOptions(bucket);
  return newQdisc({ index, kind: "tbf", options, replace: true });
}

/** Makes a shaper, and sends to it what comes out. */
export function outOfRequests(
  link: ShapedLink,
  bucket: TokenBucket,
  shaperIndex: number,
): Request<unknown, unknown>[] {
  const { hostIndex } = link;
  const { name, alias } = shaperOf(link);
  return [
    newLink({ name, index: shaperIndex, info: { $other: { name: "ifb" } } }),
    setLink({ index: shaperIndex, alias }),
    newQdisc({
      index: shaperIndex,
      kind: "tbf",
      options: tbfOptions(bucket),
      replace: true,
    }),
    setLink({ index: shaperIndex, up: true }),
    newQdisc({ index: hostIndex, parent: INGRESS, kind: "ingress" }),
    newRedirect({ index: hostIndex, target: shaperIndex }),
  ];
}

/** Takes away what does not go with the link by itself. It waits for RCU grace periods, 30 ms, if there is anything. */
export function removeShaper(
  route: Connection,
  link: Pick<ShapedLink, "hostIndex" | "hostInterface" | "alias">,
): void {
  const { name, alias } = shaperOf(link);
  const found = orNone(route, getLink({ name }), Errno.ENODEV);
  // First: what is sent to a shaper that is gone is lost.
  if (found !== undefined) stopRedirecting(route, link.hostIndex);
  if (found === undefined || (found.alias ?? alias) !== alias) return;
  unlessGone(() => route.execute([deleteLink({ index: found.index })]));
}

/** Nothing is sent to a shaper any more. */
export function stopRedirecting(route: Connection, index: number): void {
  unlessGone(() => route.execute([deleteQdisc({ index, parent: INGRESS })]));
}

/** Does what may be done already. */
export function unlessGone(act: () => void): void {
  try {
    act();
  } catch (error) {
    if (
      !isNetlinkError(error, Errno.ENODEV, Errno.ENOENT, Errno.EINVAL)
    ) throw error;
  }
}
