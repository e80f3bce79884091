/**
 * One plugin, found and run.
 * @module
 */

import { Errno, isSyscallError, SyscallError } from "../../../ffi/errno.ts";
import { stat } from "../../../ffi/file.ts";
import type { NetworkNamespace } from "../../namespace/network_namespace.ts";
import { CniError } from "../model/error.ts";
import { type JsonObject, parseJsonObject } from "../model/json.ts";
import {
  type CniCommand,
  type ContainerInterface,
  variables,
} from "./command.ts";
import {
  CniPluginError,
  type PluginFailure,
  type PluginFailureOptions,
} from "./plugin_error.ts";
import { type Ended, execute } from "./process.ts";

/** Where plugins are found, and how they are run. */
export interface PluginHost {
  /** The namespace that they are born in: the node's. */
  readonly namespace: NetworkNamespace;
  /** Searched in this order; they become `CNI_PATH`. */
  readonly pluginDirs: readonly string[];
  /** When a plugin is killed, in milliseconds. */
  readonly timeoutMs: number;
}

/** One run of a plugin. */
export interface PluginRun {
  /** Its `type`. */
  readonly plugin: string;
  /** What it is to do. */
  readonly command: CniCommand;
  /** The network's name; empty for VERSION. */
  readonly network: string;
  /** To what. */
  readonly container: ContainerInterface;
  /** What it is given on its standard input. */
  readonly input: JsonObject;
}

/** What names a run in an error. */
type RunName = Pick<PluginRun, "plugin" | "command" | "network">;

/**
 * The file of a plugin: the first of its name in the directories that is a regular file.
 *
 * @throws {CniPluginError} `notFound`
 */
export function findPlugin(
  { pluginDirs }: PluginHost,
  run: RunName,
): string {
  let cause: unknown;
  for (const directory of pluginDirs) {
    const path = `${directory}/${run.plugin}`;
    try {
      if (stat(path).kind === "file") return path;
    } catch (error) {
      // What cannot be looked at may be it: the others are looked at all the same.
      if (!(error instanceof SyscallError)) throw error;
      if (!isSyscallError(error, Errno.ENOENT, Errno.ENOTDIR)) cause ??= error;
    }
  }
  throw failure(
    run,
    "notFound",
    `it is not in ${pluginDirs.join(", ")}: install it, or name its directory`,
    cause instanceof Error ? { cause, details: cause.message } : {},
  );
}

/**
 * Runs a plugin. Needs `--allow-run`.
 *
 * @returns its one document; undefined for a command that is answered with nothing, whatever it wrote
 * @throws {CniPluginError}
 * @throws {Deno.errors.NotCapable} without `--allow-run`; it has not been run then
 */
export async function runPlugin(
  host: PluginHost,
  run: PluginRun,
): Promise<JsonObject | undefined> {
  const path = findPlugin(host, run);
  let ended: Ended;
  try {
    ended = await execute({
      path,
      env: variables(run.command, run.container, host.pluginDirs),
      container: run.container,
      stdin: JSON.stringify(run.input),
      timeoutMs: host.timeoutMs,
      namespace: host.namespace,
    });
  } catch (error) {
    if (error instanceof Deno.errors.NotCapable) throw error;
    throw failure(run, "notStarted", `${path} cannot be started`, {
      details: error instanceof Error ? error.message : String(error),
      cause: error,
    });
  }
  return answerOf(run, ended, host.timeoutMs);
}

function answerOf(
  run: PluginRun,
  { code, killed, stdout, stderr }: Ended,
  timeoutMs: number,
): JsonObject | undefined {
  if (killed === "timeout") {
    const reported = `it took longer than ${timeoutMs} ms, and was killed`;
    throw failure(run, "timeout", reported, { stderr });
  }
  if (killed === "overlong") {
    throw failure(run, "unreadable", "it wrote too much, and was killed", {
      stderr,
    });
  }
  if (code !== 0) throw refusalOf(run, code, stdout, stderr);
  if (run.command !== "ADD" && run.command !== "VERSION") return undefined;
  if (stdout.trim() === "") {
    throw failure(run, "silent", "it ended well, without a result", { stderr });
  }
  return parse(run, stdout, stderr);
}

function parse(run: RunName, stdout: string, stderr: string): JsonObject {
  try {
    return parseJsonObject(stdout, "what it answered");
  } catch (error) {
    if (!(error instanceof CniError)) throw error;
    throw failure(run, "unreadable", error.message, {
      details: excerpt(stdout),
      stderr,
      cause: error,
    });
  }
}

/** Of a plugin that says that it failed. Some leave the code out, or write 0. */
function refusalOf(
  run: RunName,
  exitCode: number,
  stdout: string,
  stderr: string,
): CniPluginError {
  const said = `it failed with exit code ${exitCode}`;
  if (stdout.trim() === "") {
    return failure(run, "silent", `${said}, without saying why`, { stderr });
  }
  let document: JsonObject;
  try {
    document = parse(run, stdout, stderr);
  } catch (error) {
    if (!(error instanceof CniPluginError)) throw error;
    return failure(run, "unreadable", `${said}; ${error.reported}`, {
      details: error.details,
      stderr,
      cause: error.cause,
    });
  }
  const own = CniError.fromDocument(document) ??
    CniError.fromDocument({ ...document, code: 999 });
  const { msg } = document;
  if (own === undefined || typeof msg !== "string") {
    return failure(run, "unreadable", `${said}; its answer is no error`, {
      details: excerpt(stdout),
      stderr,
    });
  }
  const { code, details } = own;
  return failure(run, "refused", msg, { code, details, stderr });
}

function failure(
  { plugin, command, network }: RunName,
  reason: PluginFailure,
  reported: string,
  options: PluginFailureOptions = {},
): CniPluginError {
  const context = { reason, plugin, command, network };
  return new CniPluginError(context, reported, options);
}

function excerpt(text: string): string {
  return text.length > 200 ? `${text.slice(0, 199)}…` : text.trim();
}
