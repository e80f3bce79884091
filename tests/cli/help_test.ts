import { assert, assertEquals, assertStringIncludes } from "@std/assert";
import { commands } from "../../src/cli/commands.ts";
import { exitCodes } from "../../src/cli/errors.ts";
import { commandHelp, generalHelp, groupHelp } from "../../src/cli/help.ts";
import { globalOptions, type OptionTable } from "../../src/cli/options.ts";

Deno.test("generalHelp() lists every command, global option and exit code", () => {
  const text = generalHelp();
  for (const [name, { summary }] of commands) {
    assertStringIncludes(text, `  ${name} `);
    assertStringIncludes(text, summary);
  }
  for (const name of Object.keys(globalOptions)) {
    assertStringIncludes(text, `--${name}`);
  }
  for (const [code, meaning] of exitCodes) {
    assertStringIncludes(text, `  ${code}`);
    assertStringIncludes(text, meaning);
  }
});

Deno.test("groupHelp() lists the commands of the group only", () => {
  const text = groupHelp("node");
  for (const verb of ["up", "show", "down"]) {
    assertStringIncludes(text, `node ${verb}`);
  }
  assert(!text.includes("ports"));
});

for (const [name, entry] of commands) {
  Deno.test(`commandHelp() tells all about ${name}`, async () => {
    const command = await entry.load();
    const text = commandHelp(name, command);
    const table: OptionTable = { ...command.options, ...globalOptions };
    for (const [option, { short, value, choices }] of Object.entries(table)) {
      const argument = choices?.join("|") ?? value;
      assertStringIncludes(
        text,
        `  ${short ? `-${short}, ` : "    "}--${option}${
          argument === undefined ? "" : ` ${argument}`
        }\n`,
      );
    }
    assertStringIncludes(text, entry.summary);
    assertStringIncludes(text, `Usage: podnet ${name}`);
    for (const example of command.examples) {
      assertStringIncludes(text, example);
      assertStringIncludes(example, `podnet ${name.split(" ")[0]}`);
    }
    for (const line of text.split("\n")) {
      assert(line.length <= 110, `too long for a terminal: ${line}`);
      assertEquals(line, line.trimEnd());
    }
  });
}

Deno.test("an option means the same to every command", async () => {
  const seen = new Map<string, string>();
  const letters = new Map<string, string>();
  for (const entry of commands.values()) {
    const table: OptionTable = {
      ...globalOptions,
      ...(await entry.load()).options,
    };
    for (const [name, option] of Object.entries(table)) {
      const kind = JSON.stringify([option.short, option.value, option.choices]);
      assertEquals(seen.get(name) ?? kind, kind, `--${name}`);
      seen.set(name, kind);
      if (option.short === undefined) continue;
      assertEquals(letters.get(option.short) ?? name, name, option.short);
      letters.set(option.short, name);
    }
  }
});
