/**
 * `podnet events`
 *
 * @module
 */
import { defineCommand } from "../command.ts";
import { outputOption } from "../options.ts";
import { isJson, print } from "../output.ts";
import { openNode } from "../session.ts";

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
    const stop = () => void watch[Symbol.asyncDispose]();
    Deno.addSignalListener("SIGINT", stop);
    Deno.addSignalListener("SIGTERM", stop);
    for await (const event of watch) {
      if (isJson(options)) {
        print(JSON.stringify(event));
      } else if (event.type === "overflow") {
        print(`${event.time}  overflow`);
      } else {
        const { time, type, id, hostInterface } = event;
        print(`${time}  ${type.padEnd(8)}  ${id}  ${hostInterface}`);
      }
    }
    return 0;
  },
});
