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
  isOwnConfiguration: isOwnHooksFile,
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

/** Whether a file of this text is of a hook whose executable has podnet's name. */
function isOwnHooksFile(text: string): boolean {
  try {
    const path: unknown = JSON.parse(text)?.hook?.path;
    return typeof path === "string" && path.endsWith("/podnet-oci-hook");
  } catch {
    return false;
  }
}
