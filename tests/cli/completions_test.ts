import { assertEquals, assertStringIncludes } from "@std/assert";
import { commands } from "../../src/cli/commands.ts";
import { completionScript, shells } from "../../src/cli/completions.ts";
import { temporaryDirectory } from "../support/temporary_directory.ts";

const FAKE_PODNET = `#!/bin/sh
[ "$1" = ls ] && printf 'NAME NAMESPACE\\nweb default\\ndb default\\n'
`;

async function bash(script: string): Promise<string> {
  const child = new Deno.Command("bash", {
    args: ["--norc", "-c", script],
    stdout: "piped",
    stderr: "piped",
  });
  const { stdout, stderr } = await child.output();
  assertEquals(new TextDecoder().decode(stderr), "");
  return new TextDecoder().decode(stdout).trim();
}

/** What bash offers for the last of these words. */
async function complete(...words: string[]): Promise<string> {
  const quoted = words.map((word) => `'${word}'`).join(" ");
  using directory = temporaryDirectory();
  const { path } = directory;
  await Deno.writeTextFile(`${path}/podnet`, FAKE_PODNET, { mode: 0o755 });
  const offered = await bash(`PATH=${path}:$PATH
    ${await completionScript("bash")}
    COMP_WORDS=(podnet ${quoted}); COMP_CWORD=${words.length}
    _podnet; echo "\${COMPREPLY[*]}"`);
  // A program found in two directories of PATH is there twice; bash shows it once.
  return [...new Set(offered.split(" "))].join(" ");
}

for (const shell of ["bash", "zsh"]) {
  Deno.test(`completionScript() is a script that bash can read when it is for ${shell}`, async () => {
    const child = new Deno.Command("bash", {
      args: ["-n"],
      stdin: "piped",
      stderr: "piped",
    }).spawn();
    const script = new Response(await completionScript(shell)).body;
    await script?.pipeTo(child.stdin);
    const { code, stderr } = await child.output();
    assertEquals(new TextDecoder().decode(stderr), "");
    assertEquals(code, 0);
  });
}

for (const shell of shells) {
  Deno.test(`completionScript() knows every option when it is for ${shell}`, async () => {
    const script = await completionScript(shell);
    for (const [name, entry] of commands) {
      assertStringIncludes(script, name);
      for (const option of Object.keys((await entry.load()).options)) {
        assertStringIncludes(
          script,
          shell === "fish" ? `-l ${option}` : `--${option}`,
        );
      }
    }
  });
}

Deno.test("the completion script for fish has balanced quotes and blocks", async () => {
  const lines = (await completionScript("fish")).split("\n");
  let depth = 0;
  for (const line of lines) {
    const unquoted = line.replaceAll(/'(?:\\.|[^'\\])*'|"[^"]*"/g, "");
    assertEquals(/['"]/.test(unquoted), false, line);
    if (/^\s*(function|while|switch|if) /.test(line)) depth++;
    if (/^\s*end$/.test(line)) depth--;
  }
  assertEquals(depth, 0);
});

for (
  const [words, offered] of [
    [["cr"], "create"],
    [["create", "--pub"], "--publish"],
    [["create", "web", "-o", ""], "table json"],
    [["create", "web", "--output", "=", "j"], "json"],
    [["create", "web", "--output", "="], "table json"],
    [["create", ""], ""],
    [["rm", ""], "web db"],
    [["rm", "-f", "w"], "web"],
    [
      ["--state-dir", "/x", "node", ""],
      "up show watch leave status ls routes picture down",
    ],
    [["node", "up", "--masq"], "--masquerade"],
    [["node", "up", "--masquerade", ""], "on off"],
    [["ports", ""], "add rm web db"],
    [["ports", "add", ""], "web db"],
    [["completions", ""], "bash zsh fish"],
    [["ls", "--deb"], "--debug"],
    [["exec", "web", "--", "unshar"], "unshare"],
  ] as const
) {
  Deno.test(`the completion script for bash offers "${offered}" for "${words.join(" ")}"`, async () => {
    assertEquals(await complete(...words), offered);
  });
}
