/**
 * `podnet events`
 *
 * @module
 */
import { defineCommand } from "../command.ts";
import { outputOption } from "../options.ts";
import { isJson } from "../output.ts";
import { openNode } from "../session.ts";
import { printEvents } from "../watching.ts";

/** Prints events until it is told to stop. */
export const events = defineCommand({
  operands: [],
  options: outputOption,
  notes: [
    "Runs until SIGINT or SIGTERM and exits with 0 then. With -o json every line is one object.",
    'A line "overflow" says that events were lost: look again with podnet ls.',
  ],
  examples: ["podnet events", "podnet events -o json | jq -r .type"],
  async run({ options, global }) {
    await using node = await openNode(global);
    await using watch = node.watch();
    await printEvents(watch, isJson(options));
    return 0;
  },
});
