import { assertEquals, assertThrows } from "@std/assert";
import { type Command, sortOperands } from "../../src/cli/command.ts";
import { selectCommand } from "../../src/cli/select.ts";
import { didYouMean, UsageError } from "../../src/cli/usage.ts";

for (
  const { line, name, args } of [
    { line: "ls", name: "ls", args: "" },
    { line: "create web -p 80:80", name: "create", args: "web -p 80:80" },
    {
      line: "--state-dir /x --node=n rm web",
      name: "rm",
      args: "--state-dir /x --node=n web",
    },
    { line: "node up --mtu 1400", name: "node up", args: "--mtu 1400" },
    {
      line: "node --state-dir /x down -f",
      name: "node down",
      args: "--state-dir /x -f",
    },
    { line: "ports", name: "ports", args: "" },
    { line: "ports web", name: "ports", args: "web" },
    { line: "ports -o json", name: "ports", args: "-o json" },
    { line: "ports add web -p 1:1", name: "ports add", args: "web -p 1:1" },
    { line: "exec web -- node up", name: "exec", args: "web -- node up" },
    { line: "--debug help create", name: "help", args: "--debug create" },
  ]
) {
  Deno.test(`selectCommand() finds "${name}" in "podnet ${line}"`, () => {
    const selected = selectCommand(line.split(" "));
    assertEquals(selected.kind === "command" && selected.name, name);
    assertEquals(
      selected.kind === "command" && selected.args,
      args === "" ? [] : args.split(" "),
    );
  });
}

for (
  const { line, selection } of [
    { line: ["--help"], selection: { kind: "help" } },
    { line: ["--node", "x", "-h"], selection: { kind: "help" } },
    { line: ["node", "--help"], selection: { kind: "help", group: "node" } },
    { line: ["--version"], selection: { kind: "version" } },
  ]
) {
  Deno.test(`selectCommand() understands "podnet ${line.join(" ")}"`, () => {
    assertEquals<unknown>(selectCommand(line), selection);
  });
}

for (
  const { line, message } of [
    {
      line: "",
      message: "no command: write podnet COMMAND, see podnet --help",
    },
    {
      line: "creat web",
      message: 'unknown command "creat"; did you mean "create"?',
    },
    {
      line: "frobnicate",
      message: 'unknown command "frobnicate"; see podnet --help',
    },
    {
      line: "node",
      message:
        "node what? write podnet node up|show|watch|leave|status|ls|routes|picture|down",
    },
    {
      line: "node upp",
      message: 'unknown command "node upp"; did you mean "up"?',
    },
    {
      line: "node frobnicate",
      message:
        'unknown command "node frobnicate"; write podnet node up|show|watch|leave|status|ls|routes|picture|down',
    },
    {
      line: "--force rm web",
      message:
        'unknown option "--force" before the command; write podnet COMMAND, then its options',
    },
    {
      line: "--state-dri /x ls",
      message:
        'unknown option "--state-dri" before the command; did you mean "--state-dir"?',
    },
  ]
) {
  Deno.test(`selectCommand() says what to write instead of "podnet ${line}"`, () => {
    const error = assertThrows(
      () => selectCommand(line.split(" ").filter((word) => word !== "")),
      UsageError,
    );
    assertEquals(error.message, message);
  });
}

const common = { options: {}, examples: [], run: () => Promise.resolve(0) };
const one: Command = { ...common, operands: [{ name: "NAME" }] };
const many: Command = {
  ...common,
  operands: [{ name: "NAME", repeatable: true }],
};
const program: Command = { ...one, runsProgram: true };
const choice: Command = {
  ...common,
  operands: [{ name: "SHELL", choices: ["bash", "fish"] }],
};

for (
  const { command, given, after, result } of [
    { command: one, given: ["a"], after: undefined, result: [["a"], []] },
    { command: one, given: [], after: ["-a"], result: [["-a"], []] },
    { command: many, given: ["a"], after: ["-b"], result: [["a", "-b"], []] },
    { command: program, given: ["a"], after: ["ls"], result: [["a"], ["ls"]] },
    {
      command: choice,
      given: ["fish"],
      after: undefined,
      result: [["fish"], []],
    },
  ]
) {
  Deno.test(`sortOperands() sorts ${JSON.stringify([given, after])}`, () => {
    const { operands, program } = sortOperands("x", command, given, after);
    assertEquals([operands, program], result);
  });
}

for (
  const { command, given, after, message } of [
    {
      command: one,
      given: [],
      after: undefined,
      message: "NAME is missing: write podnet x NAME",
    },
    {
      command: one,
      given: ["a", "b"],
      after: undefined,
      message: 'unexpected argument "b": write podnet x NAME',
    },
    {
      command: many,
      given: [],
      after: undefined,
      message: "NAME is missing: write podnet x NAME…",
    },
    {
      command: program,
      given: ["web", "ls"],
      after: undefined,
      message:
        'unexpected argument "ls": write podnet x NAME -- COMMAND [ARG…]',
    },
    {
      command: program,
      given: ["web"],
      after: [],
      message: "no command to run: write podnet x NAME -- COMMAND [ARG…]",
    },
    {
      command: choice,
      given: ["ksh"],
      after: undefined,
      message: '"ksh" is no SHELL: write podnet x bash|fish',
    },
  ]
) {
  Deno.test(`sortOperands() refuses ${JSON.stringify([given, after])} with "${message}"`, () => {
    const error = assertThrows(
      () => sortOperands("x", command, given, after),
      UsageError,
    );
    assertEquals(error.message, message);
  });
}

for (
  const [typed, candidates, hint] of [
    ["--pubish", ["--publish", "--ip"], '; did you mean "--publish"?'],
    ["--name", ["--namespace", "--mtu"], '; did you mean "--namespace"?'],
    ["insepct", ["inspect", "ls"], '; did you mean "inspect"?'],
    ["xyzzy", ["create", "ls"], ""],
    ["xx", ["ls", "rm"], ""],
  ] as const
) {
  Deno.test(`didYouMean() answers "${hint}" to ${typed}`, () => {
    assertEquals(didYouMean(typed, candidates), hint);
  });
}
