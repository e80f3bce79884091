/**
 * Command lines.
 *
 * @module
 */
import { assert, assertEquals } from "@std/assert";
import fc from "fast-check";
import { sortOperands } from "../../src/cli/command.ts";
import { commands } from "../../src/cli/commands.ts";
import { describe } from "../../src/cli/errors.ts";
import { parseOptions } from "../../src/cli/options.ts";
import { sandboxOptions, sandboxSpec } from "../../src/cli/sandbox_options.ts";
import { selectCommand } from "../../src/cli/select.ts";
import { UsageError } from "../../src/cli/usage.ts";
import { parseSandboxSpec } from "../../src/spec/parse.ts";
import { acceptedOrTold, node } from "./spec_targets.ts";
import { type Target, target } from "./target.ts";

const words = [
  ...[...commands.keys()].flatMap((name) => name.split(" ")),
  ...Object.keys(sandboxOptions).flatMap((n) => [`--${n}`, `--${n}=`]),
  "-p",
  "-o",
  "-f",
  "-h",
  "--",
  "-",
  "--help",
  "--version",
  "--debug",
  "--node",
  "--netns=7",
  "--no-force",
  "--__proto__",
  "--__proto__.x=1",
  "--constructor=1",
  "--mtu.x=1",
  "-p8080:80",
  "8080:80",
  "a=b",
  "app:80,53/udp",
  "web",
  "1400",
  "true",
];

/** The targets. */
export const commandTargets: readonly Target[] = [
  target(
    "command lines",
    fc.array(
      fc.oneof(
        fc.constantFrom(...words),
        fc.string({ unit: "binary", maxLength: 12 }),
        fc.stringMatching(/^--?[a-z_.=-]{0,12}$/),
      ),
      { maxLength: 8 },
    ),
    async (args) => {
      try {
        const selected = selectCommand(args);
        if (selected.kind !== "command") return;
        const { name, entry } = selected;
        const command = await entry.load();
        const { operands, afterDashes, options } = parseOptions(
          command.options,
          selected.args,
          `podnet ${name}`,
        );
        sortOperands(name, command, operands, afterDashes);
        if (name !== "create" && name !== "run") return;
        const spec = await sandboxSpec(
          operands[0] ?? "",
          options as unknown as Parameters<typeof sandboxSpec>[1],
        );
        acceptedOrTold((x) => parseSandboxSpec(x, node), spec);
      } catch (error) {
        assert(error instanceof UsageError, `${error}`);
        const { lines, exitCode } = await describe(error);
        assertEquals(exitCode, 2);
        // deno-lint-ignore no-control-regex
        for (const line of lines) assert(!/[\x00-\x1f\x7f-\x9f]/.test(line));
      }
    },
    { runs: 2000, async: true },
  ),
];
