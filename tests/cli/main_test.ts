import { assert, assertEquals, assertStringIncludes } from "@std/assert";
import config from "../../deno.json" with { type: "json" };
import { podnet } from "./host.ts";

Deno.test("podnet --version prints the version and nothing else", async () => {
  assertEquals(await podnet("--version"), {
    code: 0,
    stdout: `podnet ${config.version}\n`,
    stderr: "",
  });
});

Deno.test("podnet COMMAND --help prints help when the rest of the line is wrong", async () => {
  const outcomes = await Promise.all([
    podnet("exec", "--help"),
    podnet("help", "ports", "add"),
    podnet("node", "-h"),
    podnet("help"),
  ]);
  for (const { code, stdout, stderr } of outcomes) {
    assertEquals({ code, stderr }, { code: 0, stderr: "" });
    assertStringIncludes(stdout, "podnet");
  }
});

Deno.test("podnet answers a wrong command line with one line and exit code 2", async () => {
  const lines = [
    [],
    ["creat", "web"],
    ["node"],
    ["create"],
    ["create", "web", "db"],
    ["create", "web", "--pubish", "80:80"],
    ["create", "web", "-p", "80"],
    ["create", "web", "-p", "-1:80"],
    ["create", "web", "-p", "80.5:80"],
    ["create", "web", "-p"],
    ["create", "web", "--mtu", "big"],
    ["create", "web", "--label", "a"],
    ["create", "web", "--container", "app:x"],
    ["ls", "-o", "yaml"],
    ["exec", "web"],
    ["exec", "web", "ls"],
    ["run", "web", "--"],
    ["rm"],
    ["ports", "add", "web"],
    ["node", "up", "--masquerade", "maybe"],
    ["completions", "ksh"],
    ["help", "creat"],
    ["--force", "rm", "web"],
  ];
  for (
    const batch of [lines.slice(0, 8), lines.slice(8, 16), lines.slice(16)]
  ) {
    const outcomes = await Promise.all(batch.map((line) => podnet(...line)));
    for (const [i, outcome] of outcomes.entries()) {
      const line = `podnet ${batch[i]?.join(" ")}`;
      assertEquals(outcome.code, 2, line);
      assertEquals(outcome.stdout, "", line);
      assertEquals(outcome.stderr.split("\n").length, 2, outcome.stderr);
      assert(outcome.stderr.startsWith("podnet: "), outcome.stderr);
    }
  }
});

Deno.test("podnet --debug also prints where an error comes from", async () => {
  const { code, stderr } = await podnet("create", "web", "-p", "80", "--debug");
  assertEquals(code, 2);
  assertStringIncludes(stderr, "caused by RangeError");
});

Deno.test("podnet says which permission of Deno it lacks", async () => {
  const child = new Deno.Command(Deno.execPath(), {
    args: ["run", "--no-check", "--no-prompt", "src/cli/main.ts", "ls"],
    cwd: new URL("../..", import.meta.url),
    env: { NO_COLOR: "1" },
    stdout: "piped",
    stderr: "piped",
  });
  const { code, stderr } = await child.output();
  const text = new TextDecoder().decode(stderr);
  assertEquals(code, 5, text);
  assertStringIncludes(text, "--allow-ffi");
});

Deno.test("podnet --help does not load the library", async () => {
  const child = new Deno.Command(Deno.execPath(), {
    args: ["info", "--json", "src/cli/main.ts"],
    cwd: new URL("../..", import.meta.url),
    stdout: "piped",
  });
  const { stdout } = await child.output();
  const { modules } = JSON.parse(new TextDecoder().decode(stdout)) as {
    modules: {
      specifier: string;
      dependencies?: {
        isDynamic?: boolean;
        code?: { specifier: string };
      }[];
    }[];
  };
  const bySpecifier = new Map(modules.map((m) => [m.specifier, m]));
  const entries = modules.map(({ specifier }) => specifier)
    .filter((s) => /\/src\/cli\/(main|commands\/\w+)\.ts$/.test(s));
  assert(entries.length > 10);
  const reached = new Set<string>();
  for (let at = entries.pop(); at !== undefined; at = entries.pop()) {
    if (reached.has(at)) continue;
    reached.add(at);
    for (const { isDynamic, code } of bySpecifier.get(at)?.dependencies ?? []) {
      if (!isDynamic && code !== undefined) entries.push(code.specifier);
    }
  }
  const outside = [...reached].filter((s) =>
    !s.includes("/src/cli/") && !s.endsWith("/src/text.ts") &&
    // Small, and opens nothing until it is used.
    !s.includes("/ffi/") &&
    !s.includes("parse_args.ts") && !s.startsWith("jsr:") &&
    !s.includes("jsr.io")
  );
  assertEquals(outside, []);
});
