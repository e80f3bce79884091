/**
 * What goes wrong with a plugin that is run.
 * @module
 */

import { printable } from "../../text.ts";
import { CniError, CniErrorCode } from "../model/error.ts";
import type { CniCommand } from "./command.ts";

/** How a plugin failed. */
export type PluginFailure =
  /** It said so itself: code, message and details are its own. */
  | "refused"
  /** It failed, or ended without the result that it owes, and said nothing that a runtime reads. */
  | "silent"
  /** It said something else than the one document that it owes, or far too much. */
  | "unreadable"
  /** It took longer than it may, and was killed. */
  | "timeout"
  /** No directory of plugins has it. */
  | "notFound"
  /** It is there, and cannot be started. */
  | "notStarted";

/** Which run of a plugin failed. */
export interface PluginFailureContext {
  /** See {@linkcode PluginFailure}. */
  readonly reason: PluginFailure;
  /** The plugin's `type`. */
  readonly plugin: string;
  /** What it was to do. */
  readonly command: CniCommand;
  /** The network's name; empty for VERSION. */
  readonly network: string;
}

/** What else is known of a failure. */
export interface PluginFailureOptions {
  /**
   * See {@linkcode CniErrorCode}.
   * @default 999 (`INTERNAL`)
   */
  readonly code?: number;
  /** More than the message. */
  readonly details?: string;
  /** What it wrote on its standard error. */
  readonly stderr?: string;
  /** The lower error. */
  readonly cause?: unknown;
}

/**
 * A plugin of a network failed. `code`, `reported` and `details` are the plugin's own when `reason` is `"refused"`.
 *
 * @example
 * ```ts ignore
 * try {
 *   await sandbox.attach({ conflist });
 * } catch (error) {
 *   if (!(error instanceof CniPluginError)) throw error;
 *   console.log(error.plugin, error.code, error.reported);
 * }
 * ```
 */
export class CniPluginError extends CniError {
  /** See {@linkcode PluginFailure}. */
  readonly reason: PluginFailure;
  /** The plugin's `type`. */
  readonly plugin: string;
  /** What it was to do. */
  readonly command: CniCommand;
  /** The network's name; empty for VERSION. */
  readonly network: string;
  /** The message without what this runtime adds to it: the plugin's `msg`. */
  readonly reported: string;
  /** What it wrote on its standard error, the beginning of it. */
  readonly stderr: string;
  /** Errors of plugins that were to take back what others had made; empty when all was taken back. */
  undoFailures: readonly unknown[] = [];

  /** Makes an error; its message begins with the plugin and what it was to do. */
  constructor(
    context: PluginFailureContext,
    reported: string,
    options: PluginFailureOptions = {},
  ) {
    const { details = "", stderr = "", code = CniErrorCode.INTERNAL } = options;
    const { plugin, command, network, reason } = context;
    const of = network === "" ? "" : ` of network ${network}`;
    const more = [details, reason === "refused" ? "" : stderr.trim()]
      .filter((text) => text !== "").join("; ");
    super(
      code,
      printable(
        `plugin ${plugin}${of}, ${command}: ${reported}${
          reason === "refused" ? ` (code ${code})` : ""
        }${more === "" ? "" : `: ${more}`}`,
      ),
      { details, cause: options.cause },
    );
    this.reason = reason;
    this.plugin = plugin;
    this.command = command;
    this.network = network;
    this.reported = reported;
    this.stderr = stderr;
  }
}
