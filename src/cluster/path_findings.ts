/**
 * How paths differ from what they should be, in words for people.
 *
 * @module
 */
import {
  type Cure,
  difference,
  type Finding,
  findingOf,
} from "../sandbox/node/finding.ts";
import type { Change } from "./parts.ts";
import type { LinkChange } from "./tunnels.ts";

const PROBLEMS = {
  add: "is missing",
  change: "leads elsewhere",
  remove: "is none that it should be",
} as const;

/** All that is to be told. */
export function findingsOf(
  { isNoted, isTold, links, parts }: {
    /** Whether the record of other nodes is what it should be. */
    readonly isNoted: boolean;
    /** Whether the rules for packets know the other nodes. */
    readonly isTold: boolean;
    readonly links: readonly LinkChange[];
    readonly parts: readonly Change[];
  },
): Finding[] {
  const findings: Finding[] = [];
  const tell = (object: string, problem: string, does: string) => {
    const cure: Cure = { does };
    findings.push(findingOf(difference(undefined, object, problem, cure)));
  };
  if (!isNoted) {
    tell("record of other nodes", "is not what was applied", "writes it anew");
  }
  if (!isTold) {
    tell("packet rules", "know other nodes than were applied", "tells them");
  }
  for (const { object, problem, does } of links) {
    tell(object, problem, `${does}s it`);
  }
  for (const { part, does } of parts) {
    tell(part.text, PROBLEMS[does], `${does}s it`);
  }
  return findings;
}
