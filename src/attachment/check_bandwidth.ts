/**
 * How the limits of a pod's link differ from what they should be.
 *
 * @module
 */
import { Errno } from "../../ffi/errno.ts";
import type { Connection } from "../netlink/connection.ts";
import { getLink } from "../rtnetlink/link.ts";
import { deleteQdisc, getQdisc, newQdisc } from "../rtnetlink/qdisc.ts";
import { dumpRedirects } from "../rtnetlink/redirect.ts";
import {
  tbfOptions,
  type TokenBucket,
  tokenBucketOf,
} from "../rtnetlink/tbf.ts";
import {
  bucketsOf,
  intoRequest,
  outOfRequests,
  removeShaper,
  type ShapedLink,
  shaperOf,
  stopRedirecting,
  unlessGone,
} from "./bandwidth.ts";
import type { WiringDifference } from "./difference.ts";
import { orNone } from "./questions.ts";

/** How a link's limits differ from what they should be. */
export function shapingDifferences(
  route: Connection,
  link: ShapedLink,
  newIndex: () => number,
): WiringDifference[] {
  return [
    ...intoDifferences(route, link),
    ...outOfDifferences(
      route,
      link,
      newIndex,
    ),
  ];
}

function intoDifferences(
  route: Connection,
  link: ShapedLink,
): WiringDifference[] {
  const { hostIndex: index } = link;
  const { into } = bucketsOf(link);
  const found = bucketAt(route, index);
  if (isSame(found, into)) return [];
  return [{
    object: "bandwidth into the pod",
    problem: problemOf(found, into),
    does: into === undefined ? "lifts the limit" : "limits it",
    mend: () =>
      into === undefined
        ? unlessGone(() => route.execute([deleteQdisc({ index })]))
        : route.execute([intoRequest(link, into)]),
  }];
}

function outOfDifferences(
  route: Connection,
  link: ShapedLink,
  newIndex: () => number,
): WiringDifference[] {
  const { outOf } = bucketsOf(link);
  const { name, alias } = shaperOf(link);
  const shaper = orNone(route, getLink({ name }), Errno.ENODEV);
  if (shaper === undefined && outOf === undefined) return [];
  const isWired = shaper !== undefined && shaper.up &&
    shaper.alias === alias &&
    route.dump(dumpRedirects(link.hostIndex)).includes(shaper.index);
  const found = isWired ? bucketAt(route, shaper.index) : undefined;
  if (isWired && isSame(found, outOf)) return [];
  return [{
    object: "bandwidth out of the pod",
    problem: problemOf(found, outOf),
    does: outOf === undefined ? "lifts the limit" : "limits it",
    mend: () => {
      if (isWired && outOf !== undefined) {
        const options = tbfOptions(outOf);
        route.execute([
          newQdisc({
            index: shaper.index,
            kind: "tbf",
            options,
            replace: true,
          }),
        ]);
        return;
      }
      removeShaper(route, link);
      if (outOf === undefined) return;
      stopRedirecting(route, link.hostIndex);
      route.execute(outOfRequests(link, outOf, newIndex()));
    },
  }];
}

function bucketAt(
  route: Connection,
  index: number,
): Omit<TokenBucket, "burst"> | undefined {
  const found = orNone(
    route,
    getQdisc({ index }),
    Errno.ENOENT,
    Errno.ENODEV,
    Errno.EINVAL,
  );
  return found?.kind === "tbf" && found.options !== undefined
    ? tokenBucketOf(found.options)
    : undefined;
}

/** The limit tells of the burst, too, which the kernel does not tell exactly. */
function isSame(
  found: Omit<TokenBucket, "burst"> | undefined,
  wanted: TokenBucket | undefined,
): boolean {
  return found?.rate === wanted?.rate &&
    found?.limit ===
      (wanted === undefined ? undefined : Math.min(wanted.limit, 0xffffffff));
}

function problemOf(
  found: Omit<TokenBucket, "burst"> | undefined,
  wanted: TokenBucket | undefined,
): string {
  if (wanted === undefined) return "is limited";
  const limit = `limited to ${wanted.rate * 8} bits a second`;
  return found === undefined ? `is not ${limit}` : `is not ${limit} any more`;
}
