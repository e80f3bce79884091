/**
 * Keeping a node in its cluster, and printing what happens, until a signal ends it.
 *
 * @module
 */
import type { ClusterEvent, JoinOptions } from "../../mod.ts";
import { printable } from "../text.ts";
import { printMeanwhile } from "./output.ts";
import { refusedNode } from "./session.ts";
import { untilSignal } from "./watching.ts";

/**
 * Joins, and prints each event on a line, as text or as JSON. Ends with SIGINT or SIGTERM. Nobody need read the lines: the
 * lease is renewed all the same, and what is too much to be kept for a reader becomes an event of its own.
 */
export async function keepInCluster(
  options: JoinOptions,
  json: boolean,
): Promise<void> {
  const { joinCluster } = await import("../../mod.ts");
  const { loadUpkeep } = await import("./library.ts");
  // By the time that it is needed podnet may have been installed anew, and what this one is made of be gone.
  await loadUpkeep();
  const abort = new AbortController();
  using _signals = untilSignal(() => abort.abort());
  try {
    await using cluster = await refusedNode(() =>
      joinCluster({ ...options, signal: abort.signal })
    );
    const watch = cluster.watch();
    abort.signal.addEventListener("abort", () => void watch.return?.());
    if (abort.signal.aborted) return;
    const time = new Date().toISOString();
    const { state, reason } = cluster.status;
    const first: ClusterEvent[] = [
      { type: "state", time, state, ...reason !== undefined && { reason } },
      ...cluster.members.map((member) => ({
        type: "joined" as const,
        time,
        member,
      })),
      ...cluster.refused.map((one) => ({
        type: "refused" as const,
        time,
        ...one,
      })),
    ];
    const tell = (event: ClusterEvent) => {
      const line = json ? JSON.stringify(event) : lineOf(event);
      return printMeanwhile(line, abort.signal);
    };
    for (const event of first) await tell(event);
    for await (const event of watch) await tell(event);
  } catch (error) {
    // Told to end before it had joined.
    if (!abort.signal.aborted || error !== abort.signal.reason) throw error;
  }
}

function lineOf(event: ClusterEvent): string {
  return printable(
    `${event.time}  ${event.type.padEnd(8)}  ${detailOf(event)}`,
  ).trimEnd();
}

function detailOf(event: ClusterEvent): string {
  switch (event.type) {
    case "joined":
    case "changed": {
      const { name, podCidrs, addresses } = event.member;
      return `${name}  ${podCidrs.join(", ")}  at ${addresses.join(", ")}`;
    }
    case "departed":
      return event.name;
    case "refused":
      return `${event.name}  ${event.reason}`;
    case "state":
      return `${event.state}  ${event.reason ?? ""}`;
    case "paths":
      return event.changes.join("; ");
    case "failed":
      return event.reason;
    case "overflow":
      return "";
  }
}
