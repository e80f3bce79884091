/**
 * `podnet help`
 *
 * @module
 */
import { defineCommand } from "../command.ts";
import { commands } from "../commands.ts";
import { commandHelp, generalHelp, groupHelp, groupMembers } from "../help.ts";
import { print } from "../output.ts";
import { didYouMean, UsageError } from "../usage.ts";

/** Prints help. */
export const help = defineCommand({
  operands: [{
    name: "COMMAND",
    completes: "commands",
    optional: true,
    repeatable: true,
  }],
  options: {},
  examples: ["podnet help create", "podnet help ports add"],
  async run({ operands }) {
    const name = operands.join(" ");
    const entry = commands.get(name);
    if (name === "") {
      print(generalHelp());
    } else if (entry !== undefined) {
      print(commandHelp(name, await entry.load()));
    } else if (groupMembers(name).length > 0) {
      print(groupHelp(name));
    } else {
      throw new UsageError(
        `unknown command ${JSON.stringify(name)}${
          didYouMean(name, commands.keys()) || "; see podnet --help"
        }`,
      );
    }
    return 0;
  },
});
