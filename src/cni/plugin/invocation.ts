/**
 * One run of the plugin: what the environment says, checked before anything else is read.
 *
 * @module
 */
import { CniError, CniErrorCode } from "../model/error.ts";
import { isContainerId, isInterfaceName } from "../model/names.ts";

/** What a runtime can ask of a plugin. */
export const COMMANDS = [
  "ADD",
  "CHECK",
  "DEL",
  "GC",
  "STATUS",
  "VERSION",
] as const;

/** See {@linkcode COMMANDS}. */
export type Command = typeof COMMANDS[number];

/** What the environment says. */
export interface Invocation {
  /** `CNI_COMMAND`. */
  readonly command: Command;
  /** `CNI_CONTAINERID`; empty where the command has none. */
  readonly containerID: string;
  /** `CNI_NETNS`; on DEL it may be empty, or lead nowhere. */
  readonly netns: string;
  /** `CNI_IFNAME`; empty where the command has none. */
  readonly ifname: string;
  /** `CNI_ARGS`. */
  readonly args: string;
  /** `CNI_NETNS_OVERRIDE`: the namespace may be the plugin's own. */
  readonly mayBeOwnNamespace: boolean;
}

/** Reads variables by name. */
export type Environment = (name: string) => string | undefined;

/** What each command cannot do without. */
const REQUIRED: Readonly<Record<Command, readonly Variable[]>> = {
  ADD: ["CNI_CONTAINERID", "CNI_NETNS", "CNI_IFNAME"],
  CHECK: ["CNI_CONTAINERID", "CNI_NETNS", "CNI_IFNAME"],
  DEL: ["CNI_CONTAINERID", "CNI_IFNAME"],
  GC: [],
  STATUS: [],
  VERSION: [],
};

type Variable = "CNI_CONTAINERID" | "CNI_NETNS" | "CNI_IFNAME";

const RULES: Readonly<
  Record<Variable, (text: string) => string | undefined>
> = {
  CNI_CONTAINERID: (text) =>
    isContainerId(text)
      ? undefined
      : 'letters, digits, "_", "." and "-", the first of them a letter or digit',
  CNI_NETNS: (text) =>
    text.includes("\0") || !text.startsWith("/")
      ? "an absolute path"
      : undefined,
  CNI_IFNAME: (text) =>
    isInterfaceName(text)
      ? undefined
      : '1 to 15 bytes without "/", ":" and spaces, other than "." and ".."',
};

/**
 * Reads what the environment says; undefined without `CNI_COMMAND`, as when a person starts the plugin.
 *
 * @throws {CniError} 4 that names every variable that is missing or wrong
 */
export function readInvocation(env: Environment): Invocation | undefined {
  const given = env("CNI_COMMAND") ?? "";
  if (given === "") return undefined;
  const command = COMMANDS.find((name) => name === given);
  if (command === undefined) {
    throw invalidEnvironment([
      `CNI_COMMAND is ${JSON.stringify(given)}: write one of ${
        COMMANDS.join(", ")
      }`,
    ]);
  }
  const values: Record<Variable, string> = {
    CNI_CONTAINERID: env("CNI_CONTAINERID") ?? "",
    CNI_NETNS: env("CNI_NETNS") ?? "",
    CNI_IFNAME: env("CNI_IFNAME") ?? "",
  };
  const required = REQUIRED[command];
  const problems = required.flatMap((name) => {
    if (values[name] === "") return [`${name} is missing`];
    const wanted = RULES[name](values[name]);
    return wanted === undefined
      ? []
      : [`${name} is ${JSON.stringify(values[name])}: write ${wanted}`];
  });
  if (problems.length > 0) throw invalidEnvironment(problems);
  return {
    command,
    containerID: values.CNI_CONTAINERID,
    netns: values.CNI_NETNS,
    ifname: values.CNI_IFNAME,
    args: env("CNI_ARGS") ?? "",
    mayBeOwnNamespace: ["1", "true"].includes(
      (env("CNI_NETNS_OVERRIDE") ?? "").toLowerCase(),
    ),
  };
}

/** The error for variables that are missing or wrong. */
export function invalidEnvironment(problems: readonly string[]): CniError {
  return new CniError(
    CniErrorCode.INVALID_ENVIRONMENT,
    `invalid environment: ${problems.join("; ")}`,
  );
}
