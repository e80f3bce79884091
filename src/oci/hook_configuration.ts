/**
 * How runtimes are told of the hook: a part of config.json, and the file that podman and CRI-O look for.
 *
 * @module
 */
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

/** What the hook is started with. */
export interface HookOptions {
  /** Path of its executable. */
  readonly path: string;
  /** Its arguments, such as `--node`. */
  readonly args: readonly string[];
  /** When the runtime kills it, in seconds. */
  readonly timeout: number;
}

/** When it is started. */
const STAGES = ["createRuntime", "poststop"] as const;

/** The part of config.json, whose text it is. */
export function hooksText(options: HookOptions): string {
  const hook = hookOf(options);
  const hooks = Object.fromEntries(STAGES.map((stage) => [stage, [hook]]));
  return format({ hooks });
}

/**
 * The file for a hooks directory (oci-hooks(5), version 1.0.0): containers with an annotation of podnet's have the hook.
 *
 * @param prefix of the annotations
 */
export function hooksFileText(options: HookOptions, prefix: string): string {
  return format({
    version: "1.0.0",
    hook: hookOf(options),
    when: { annotations: { [`^${prefix.replaceAll(".", "\\.")}`]: ".*" } },
    stages: STAGES,
  });
}

function hookOf({ path, args, timeout }: HookOptions) {
  const name = path.slice(path.lastIndexOf("/") + 1);
  return { path, args: [name, ...args], timeout };
}

function format(value: unknown): string {
  return `${JSON.stringify(value, null, 2)}\n`;
}

/** What a file of this text starts, if that has the name of podnet's executable. */
function ownHook(text: string): { readonly args?: unknown } | undefined {
  try {
    const hook = JSON.parse(text)?.hook;
    const path: unknown = hook?.path;
    return typeof path === "string" && path.endsWith("/podnet-oci-hook")
      ? hook
      : undefined;
  } catch {
    return undefined;
  }
}

/** The state directory among the arguments that the hook of this file is started with. */
function stateDirOf(text: string): string | undefined {
  const args: unknown = ownHook(text)?.args;
  if (!Array.isArray(args)) return undefined;
  const at = args.indexOf("--state-dir");
  const stateDir: unknown = at < 0 ? undefined : args[at + 1];
  return typeof stateDir === "string" ? stateDir : undefined;
}
