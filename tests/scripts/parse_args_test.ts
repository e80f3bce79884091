/** The stand-in of `@std/cli/parse-args` does what the real one does. */
import { parseArgs } from "@std/cli/parse-args";
import { assertEquals } from "@std/assert";

const cases: readonly [
  name: string,
  args: string[],
  options: Parameters<typeof parseArgs>[1],
  expected: Record<string, unknown>,
][] = [
  [
    "takes undeclared flags, their values and numbers",
    ["--foo", "--bar=baz", "--n", "5", "./quux.txt"],
    {},
    { foo: true, bar: "baz", n: 5, _: ["./quux.txt"] },
  ],
  [
    "keeps strings as they are and booleans from taking a value",
    ["--port", "080", "--force", "web"],
    { string: ["port"], boolean: ["force", "quiet"] },
    { port: "080", force: true, quiet: false, _: ["web"] },
  ],
  [
    "sets a string flag without a value to the empty string",
    ["--name"],
    { string: ["name"] },
    { name: "", _: [] },
  ],
  [
    "reads true and false after a boolean flag",
    ["--force=false", "--quiet", "false"],
    { boolean: ["force", "quiet"] },
    { force: false, quiet: false, _: [] },
  ],
  [
    "collects repeated flags, and takes the last of others",
    ["--ip", "a", "--ip", "b", "--mtu", "1", "--mtu", "2"],
    { string: ["ip"], collect: ["ip", "label"] },
    { ip: ["a", "b"], mtu: 2, _: [] },
  ],
  [
    "sets all names of a flag",
    ["-p", "80:80", "-p", "81:81"],
    { string: ["publish"], collect: ["publish"], alias: { p: "publish" } },
    { p: ["80:80", "81:81"], publish: ["80:80", "81:81"], _: [] },
  ],
  [
    "splits groups of short flags",
    ["-abc", "-n5", "-p8080:80", "-o=json"],
    {},
    { a: true, b: true, c: true, n: 5, p: "8080:80", o: "json", _: [] },
  ],
  [
    "negates what may be negated",
    ["--no-color", "--no-cache"],
    { negatable: ["color"], default: { color: true } },
    { color: false, "no-cache": true, _: [] },
  ],
  [
    "fills in defaults",
    ["--node", "a"],
    { string: ["node"], default: { node: "b", output: "table" } },
    { node: "a", output: "table", _: [] },
  ],
  [
    "leaves what follows -- alone",
    ["exec", "--", "ls", "-l", "1"],
    { "--": true },
    { _: ["exec"], "--": ["ls", "-l", "1"] },
  ],
  [
    "appends what follows -- to the positionals otherwise",
    ["exec", "--", "ls", "-l", "1"],
    {},
    { _: ["exec", "ls", "-l", "1"] },
  ],
  [
    "stops at the first positional when told to",
    ["-v", "true", "run", "-v", "--x"],
    { boolean: ["v"], stopEarly: true },
    { v: true, _: ["run", "-v", "--x"] },
  ],
];

for (const [name, args, options, expected] of cases) {
  Deno.test(`parseArgs() ${name}`, () => {
    assertEquals<unknown>(parseArgs(args, options), expected);
  });
}

Deno.test("parseArgs() asks about undeclared arguments and leaves out the refused", () => {
  const asked: unknown[] = [];
  const args = parseArgs(["--typo=1", "--ok", "web", "x"], {
    boolean: ["ok"],
    unknown(arg, key, value) {
      asked.push([arg, key, value]);
      return key === undefined && arg !== "x";
    },
  });
  assertEquals<unknown>(asked, [
    ["--typo=1", "typo", "1"],
    ["web", undefined, undefined],
    ["x", undefined, undefined],
  ]);
  assertEquals<unknown>(args, { ok: true, _: ["web"] });
});
