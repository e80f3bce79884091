/**
 * `podnet completions`
 *
 * @module
 */
import { defineCommand } from "../command.ts";
import { completionScript, shells } from "../completions.ts";
import { print } from "../output.ts";

/** Prints a completion script. */
export const completions = defineCommand({
  operands: [{ name: "SHELL", choices: shells }],
  options: {},
  examples: [
    "source <(podnet completions bash)",
    "podnet completions zsh > ~/.zfunc/_podnet",
    "podnet completions fish > ~/.config/fish/completions/podnet.fish",
  ],
  async run({ operands: [shell = ""] }) {
    print(await completionScript(shell));
    return 0;
  },
});
