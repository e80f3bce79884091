/**
 * How runtimes are told of the hook: a part of config.json, and the file that podman and CRI-O look for.
 *
 * @module
 */
import { completed, configurationText } from "../install/configuration.ts";
import type { ProgramKind } from "../install/program.ts";

/** The hook as a program that is installed. */
export const OCI_HOOK: ProgramKind = {
  title: "podnet's OCI hook",
  command: "podnet oci-hook",
  permissions: [],
  words: ["oci-hook"],
  isOwnConfiguration: (text) => ownHook(text) !== undefined,
  stateDirOf,
};

/** Arguments by their option, such as `--node`: it and its value, or several times both. */
export type HookArguments = Readonly<Record<string, readonly string[]>>;

/** What the hook is started with. */
export interface HookOptions {
  /** Path of its executable. */
  readonly path: string;
  /** Its arguments, `--timeout` among them. */
  readonly args: HookArguments;
}

/** When it is started. */
const STAGES = ["createRuntime", "poststop"] as const;

/** The part of config.json, whose text it is. */
export function hooksText(options: HookOptions): string {
  const hook = hookOf(options);
  const hooks = Object.fromEntries(STAGES.map((stage) => [stage, [hook]]));
  return configurationText({ hooks });
}

/**
 * The file for a hooks directory (oci-hooks(5), version 1.0.0): containers with an annotation of podnet's have the hook. What
 * stands in a file of podnet's that is there stays, but for what is said now; what it lacks is added. When nothing changes it
 * is the very text.
 *
 * @param options what is said, and what is usual
 * @param said the options that were said
 * @param prefix of the annotations
 * @param before the text of the file that is there
 */
export function hooksFileText(
  { path, args }: HookOptions,
  said: ReadonlySet<string>,
  prefix: string,
  before?: string,
): string {
  const there = before === undefined ? {} : JSON.parse(before);
  const hook = before === undefined ? {} : ownHook(before) ?? {};
  const own = hookOf({
    path,
    args: {
      ...completed(argumentsOf(hook), args),
      ...Object.fromEntries(
        Object.entries(args).filter(([option]) => said.has(option)),
      ),
    },
  });
  const timeout = said.has("--timeout") ? undefined : hook.timeout;
  const file = {
    ...completed(there, {
      version: "1.0.0",
      hook,
      when: { annotations: { [`^${prefix.replaceAll(".", "\\.")}`]: ".*" } },
      stages: STAGES,
    }),
    hook: { ...hook, ...own, ...timeout !== undefined && { timeout } },
  };
  return configurationText(file, before);
}

function hookOf({ path, args }: HookOptions) {
  const name = path.slice(path.lastIndexOf("/") + 1);
  return {
    path,
    args: [name, ...Object.values(args).flat()],
    // The runtime kills it then, in seconds: the hook is the first to know that its time is over.
    timeout: Number(valueOf(args, "--timeout")) + 1,
  };
}

/** A hook of a file, if it has the name of podnet's executable. */
interface OwnHook {
  readonly args?: readonly string[];
  readonly timeout?: unknown;
}

/** What a file of this text starts; undefined when that is not podnet's, or started with what are no words. */
function ownHook(text: string): OwnHook | undefined {
  try {
    const hook = JSON.parse(text)?.hook;
    const { path, args = [] } = hook;
    return typeof path === "string" && path.endsWith("/podnet-oci-hook") &&
        Array.isArray(args) && args.every((word) => typeof word === "string")
      ? hook
      : undefined;
  } catch {
    return undefined;
  }
}

/** The arguments that a hook is started with. */
function argumentsOf({ args = [] }: OwnHook): HookArguments {
  const found: Record<string, string[]> = {};
  let option = "";
  for (const word of args.slice(1)) {
    if (word.startsWith("-")) option = word.replace(/=.*/s, "");
    (found[option] ??= []).push(word);
  }
  return found;
}

/** The value of an option, of several the last. */
function valueOf(args: HookArguments, option: string): string | undefined {
  return args[option]?.at(-1)?.replace(`${option}=`, "");
}

/** The state directory among the arguments that the hook of this file is started with. */
function stateDirOf(text: string): string | undefined {
  return valueOf(argumentsOf(ownHook(text) ?? {}), "--state-dir");
}
