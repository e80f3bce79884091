/**
 * Printing what a watch of a node tells, until a signal ends it.
 *
 * @module
 */
import type { NodeEvent, NodeWatch } from "../../mod.ts";
import { printable } from "../text.ts";
import { printMeanwhile } from "./output.ts";
import { onSignals } from "./signals.ts";

/**
 * Prints each event on a line, as text or as JSON. Ends with SIGINT or SIGTERM, once what is being done is done. Nobody need
 * read the lines: what is mended meanwhile is mended all the same.
 */
export async function printEvents(
  watch: NodeWatch,
  json: boolean,
): Promise<void> {
  const abort = new AbortController();
  using _signals = untilSignal(() => {
    abort.abort();
    void watch[Symbol.asyncDispose]();
  });
  for await (const event of watch) {
    const line = json ? JSON.stringify(event) : lineOf(event);
    await printMeanwhile(line, abort.signal);
  }
}

/** Calls `stop` at SIGINT and SIGTERM, until the result is disposed. */
export function untilSignal(stop: () => void): Disposable {
  return onSignals(["SIGINT", "SIGTERM"], stop);
}

function lineOf(event: NodeEvent): string {
  return printable(
    `${event.time}  ${event.type.padEnd(10)}  ${detailOf(event)}`,
  ).trimEnd();
}

function detailOf(event: NodeEvent): string {
  switch (event.type) {
    case "overflow":
    case "ready":
      return "";
    case "repaired":
    case "unrepaired":
    case "contested": {
      const { sandbox = "node", object, problem, remedy, failure } =
        event.finding;
      const found = `${sandbox}  ${object} ${problem}`;
      if (event.type === "contested") {
        const seconds = Math.ceil(event.retryInMs / 1000);
        return `${found}  repaired ${event.repairs} times, again in ${seconds} s`;
      }
      return event.type === "repaired"
        ? found
        : `${found}  ${failure ?? remedy}`;
    }
    default:
      return `${event.id}  ${event.hostInterface}`;
  }
}
