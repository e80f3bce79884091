import { assertEquals, assertThrows } from "@std/assert";
import { parseOptions } from "../../src/cli/options.ts";
import { UsageError } from "../../src/cli/usage.ts";

const table = {
  "publish": { short: "p", value: "PORT", repeatable: true, help: "" },
  "mtu": { value: "BYTES", help: "" },
  "output": { short: "o", value: "F", choices: ["table", "json"], help: "" },
  "force": { short: "f", help: "" },
} as const;

function parse(...args: string[]) {
  return parseOptions(table, args, "podnet test");
}

Deno.test("parseOptions() gives every option a value when none is written", () => {
  const { options, global, operands, afterDashes } = parse();
  assertEquals(options, {
    publish: [],
    mtu: undefined,
    output: undefined,
    force: false,
  });
  assertEquals(global.node, undefined);
  assertEquals(global.help, false);
  assertEquals(operands, []);
  assertEquals(afterDashes, undefined);
});

for (
  const { args, publish } of [
    { args: ["-p", "80:80/udp"], publish: ["80:80/udp"] },
    { args: ["-p80:80/udp"], publish: ["80:80/udp"] },
    { args: ["-p=80:80/udp"], publish: ["80:80/udp"] },
    { args: ["-p127.0.0.1:80:80/tcp"], publish: ["127.0.0.1:80:80/tcp"] },
    { args: ["-p[::1]:80:80"], publish: ["[::1]:80:80"] },
    { args: ["--publish", "80:80"], publish: ["80:80"] },
    { args: ["--publish=80:80"], publish: ["80:80"] },
    { args: ["-p", "80", "--publish=81", "-p82"], publish: ["80", "81", "82"] },
    { args: ["-p", "-1:80"], publish: ["-1:80"] },
    { args: ["-fp", "80:80"], publish: ["80:80"] },
    { args: ["-p", "a=b=c"], publish: ["a=b=c"] },
  ]
) {
  Deno.test(`parseOptions() reads ${args.join(" ")} as -p ${publish.join(" and ")}`, () => {
    assertEquals(parse(...args, "web").options.publish, publish);
    assertEquals(parse("web", ...args).operands, ["web"]);
  });
}

for (
  const { args, force, operands } of [
    { args: ["-f", "true"], force: true, operands: ["true"] },
    { args: ["--force", "false"], force: true, operands: ["false"] },
    { args: ["--force=false", "web"], force: false, operands: ["web"] },
    { args: ["web", "-f"], force: true, operands: ["web"] },
    { args: ["007"], force: false, operands: ["007"] },
    { args: ["-"], force: false, operands: ["-"] },
  ]
) {
  Deno.test(`parseOptions() keeps the operands of ${args.join(" ")}`, () => {
    const parsed = parse(...args);
    assertEquals(parsed.options.force, force);
    assertEquals(parsed.operands, operands);
  });
}

Deno.test("parseOptions() takes the last value of an option that is no list", () => {
  assertEquals(parse("--mtu", "1", "--mtu=-2").options.mtu, "-2");
});

Deno.test("parseOptions() leaves everything after -- alone", () => {
  const { operands, afterDashes, options } = parse(
    ...["web", "--", "ls", "-f", "--nope", "--", "-p"],
  );
  assertEquals(operands, ["web"]);
  assertEquals(afterDashes, ["ls", "-f", "--nope", "--", "-p"]);
  assertEquals(options.force, false);
});

Deno.test("parseOptions() reads the options that every command has", () => {
  const { global } = parse("--state-dir", "/x", "--node=n", "--debug", "-h");
  assertEquals(global["state-dir"], "/x");
  assertEquals(global.node, "n");
  assertEquals(global.debug, true);
  assertEquals(global.help, true);
});

for (
  const { args, message } of [
    {
      args: ["--pubish", "80"],
      message: 'unknown option "--pubish"; did you mean "--publish"?',
    },
    {
      args: ["--nonsense=1"],
      message: 'unknown option "--nonsense"; see podnet test --help',
    },
    { args: ["-x"], message: 'unknown option "-x"; see podnet test --help' },
    { args: ["-fx"], message: 'unknown option "-x"; see podnet test --help' },
    {
      args: ["--__proto__=1"],
      message: 'unknown option "--__proto__"; see podnet test --help',
    },
    {
      args: ["--constructor"],
      message: 'unknown option "--constructor"; see podnet test --help',
    },
    {
      args: ["--mtu"],
      message: "--mtu needs a value: write --mtu BYTES",
    },
    {
      args: ["--mtu="],
      message: "--mtu needs a value: write --mtu BYTES",
    },
    {
      args: ["--mtu", "--force"],
      message: "--mtu needs a value: write --mtu BYTES",
    },
    {
      args: ["-p", "80", "-p"],
      message: "--publish needs a value: write --publish PORT",
    },
    {
      args: ["--force=yes"],
      message: "--force is a switch: write --force without a value",
    },
    {
      args: ["-o", "yaml"],
      message: '--output "yaml" is unknown: write --output table or json',
    },
  ]
) {
  Deno.test(`parseOptions() says what to write when it is given ${args.join(" ")}`, () => {
    const error = assertThrows(() => parse(...args), UsageError);
    assertEquals(error.message, message);
  });
}
