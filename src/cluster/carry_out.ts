/**
 * Changes are carried out, many with one send.
 *
 * @module
 */
import type { Connection } from "../netlink/connection.ts";
import type { Steps } from "../steps.ts";
import { failuresOf, type Refused } from "./kernel_refusal.ts";
import type { Change } from "./parts.ts";
import type { LinkChange } from "./tunnels.ts";

/** So that a send stays within the socket's buffer, and takes some milliseconds. */
const REQUESTS_A_SEND = 500;

const DONE = { add: "added", change: "changed", remove: "removed" } as const;

/**
 * Changes parts.
 *
 * @param changes takes what was done, in plain words
 * @returns what the kernel did not take, of single members
 * @throws {NetlinkError} when it does not take something else
 */
export function* carryOut(
  route: Connection,
  needed: readonly Change[],
  changes: string[],
): Steps<Refused[]> {
  const refused: Refused[] = [];
  for (let at = 0; at < needed.length; at += REQUESTS_A_SEND) {
    yield;
    const some = needed.slice(at, at + REQUESTS_A_SEND);
    const failures = failuresOf(() =>
      route.execute(some.map(({ request }) => request()))
    );
    // The kernel has carried out all others.
    for (const [i, { does, part }] of some.entries()) {
      if (!failures.has(i)) changes.push(`${DONE[does]} ${part.text}`);
    }
    for (const [index, error] of failures) {
      const { part, does } = some[index] ?? {};
      if (part?.member === undefined || does === "remove") throw error;
      refused.push({
        part,
        member: part.member,
        error,
        text: `${part.key} ${part.value}`,
      });
    }
  }
  return refused;
}

/**
 * Changes a link.
 *
 * @param changes takes what was done, in plain words
 * @throws {NetlinkError}
 */
export function changeLink(
  route: Connection,
  { object, does, requests }: LinkChange,
  changes: string[],
): void {
  route.execute(requests);
  changes.push(`${DONE[does]} ${object}`);
}
