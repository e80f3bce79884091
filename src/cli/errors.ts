/**
 * From an error to what the user reads and what a script decides by.
 *
 * @module
 */
import type { Problem, SandboxErrorCode } from "../../mod.ts";
import { printable } from "../text.ts";
import type { OptionTable, OptionValues } from "./options.ts";
import { OutputClosed } from "./output.ts";
import { UsageError } from "./usage.ts";

/** Exit codes and their meaning, as the help prints them. */
export const exitCodes = [
  [0, "done"],
  [1, "failed, or `podnet check` found something"],
  [2, "the command line or the spec is wrong; nothing was done"],
  [3, "no such sandbox, node or network"],
  [4, "conflict: a name, address or port is taken, or something is in use"],
  [5, "not permitted"],
  [6, "this platform or kernel lacks something podnet needs"],
  [126, "run, exec: the command cannot be executed"],
  [127, "run, exec: the command was not found"],
] as const satisfies readonly (readonly [number, string])[];

/** An exit code of podnet itself. Those of `run` and `exec` are their command's, 128 + n after signal n. */
export type ExitCode = typeof exitCodes[number][0];

const sandboxErrorExitCodes: Readonly<Record<SandboxErrorCode, ExitCode>> = {
  InvalidSpec: 2,
  HostAddressUnknown: 2,
  DeviceLost: 4,
  InvalidNamespace: 2,
  SandboxNotFound: 3,
  NodeNotFound: 3,
  NetworkNotFound: 3,
  SandboxConflict: 4,
  SandboxInUse: 4,
  AddressInUse: 4,
  AddressPoolExhausted: 4,
  HostPortInUse: 4,
  ContainerPortInUse: 4,
  ContainerConflict: 4,
  NodeConflict: 4,
  NotPermitted: 5,
  UnsupportedKernel: 6,
  StateUnusable: 1,
  RecordInvalid: 1,
  Timeout: 1,
  LimitReached: 1,
  AsyncInNamespace: 1,
  NodeClosed: 1,
  LeaseEnded: 1,
  NotInCluster: 3,
  ClusterConflict: 4,
  NodeNameInUse: 4,
  PodCidrsExhausted: 4,
  PodCidrInUse: 4,
  MembershipInUse: 4,
  StoreUnreachable: 1,
  StoreRefused: 1,
};

/** A failed command: the lines for stderr, each without the `podnet: ` in front, and the exit code. */
export interface Failure {
  readonly lines: readonly string[];
  readonly exitCode: number;
}

/** The command line as far as it was read: a problem of the spec is told by the option that caused it. */
export interface GivenOptions {
  readonly table: OptionTable;
  readonly values: OptionValues<OptionTable>;
  /**
   * What stands before an option's name where it was given.
   * @default "--"
   */
  readonly prefix?: string;
}

/** What to tell about `error`, and about what could not be undone after it. */
export async function describe(
  error: unknown,
  given: GivenOptions = { table: {}, values: {} },
): Promise<Failure> {
  const { lines, exitCode } = await describeAlone(error, given);
  const left = error instanceof Error && "undoFailures" in error &&
      Array.isArray(error.undoFailures)
    ? error.undoFailures
    : [];
  const undone = left.map((failure) =>
    printable(`could not be undone: ${messageOf(failure)}`)
  );
  return { lines: [...lines, ...undone], exitCode };
}

function messageOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}

async function describeAlone(
  error: unknown,
  given: GivenOptions,
): Promise<Failure> {
  if (error instanceof UsageError) {
    return { lines: [printable(error.message)], exitCode: 2 };
  }
  // What a process killed by SIGPIPE leaves: whoever closed the pipe does not want to hear of it.
  if (error instanceof OutputClosed) return { lines: [], exitCode: 128 + 13 };
  if (error instanceof Deno.errors.NotCapable) {
    return {
      lines: [
        `Deno does not allow this: run podnet with --allow-ffi, with --allow-run for run, exec and CNI plugins, and with --allow-net for clusters in etcd (${
          printable(error.message)
        })`,
      ],
      exitCode: 5,
    };
  }
  const isRefusal = (error: unknown) =>
    library !== undefined &&
    (error instanceof library.SyscallError ||
      error instanceof library.NetlinkError) &&
    (error.code === "EPERM" || error.code === "EACCES");
  // Loaded already when the error is one of its own; when loading it is what failed, none is.
  const library = await import("./library.ts").catch(() => undefined);
  const message = printable(messageOf(error));
  if (library?.isSandboxError(error)) {
    return {
      lines: error.code === "InvalidSpec"
        ? error.context.problems.map((p) => describeProblem(p, given))
        : [message],
      exitCode: isRefusal(error.cause) ? 5 : sandboxErrorExitCodes[error.code],
    };
  }
  if (library && error instanceof library.UnsupportedPlatformError) {
    return { lines: [message], exitCode: 6 };
  }
  return isRefusal(error)
    ? {
      lines: [
        `${message}: run as root, or in a user namespace (unshare -Urnm)`,
      ],
      exitCode: 5,
    }
    : { lines: [message], exitCode: 1 };
}

/** The causes of an error with their stacks, for `--debug`. */
export function causeChain(error: unknown): string[] {
  const lines: string[] = [];
  for (
    let at: unknown = error;
    at !== undefined;
    at = at instanceof Error ? at.cause : undefined
  ) {
    const stack = at instanceof Error ? at.stack ?? at.message : String(at);
    lines.push(`${at === error ? "" : "caused by "}${stack}`);
  }
  return lines;
}

/** `ports[0].hostPort` becomes `--publish 0:80`; a path without an option stays as it is. */
function describeProblem(
  { path, message }: Problem,
  { table, values, prefix = "--" }: GivenOptions,
): string {
  for (const [name, { field }] of Object.entries(table)) {
    if (field === undefined || !path.startsWith(field)) continue;
    const rest = path.slice(field.length);
    if (rest !== "" && !/^[.[]/.test(rest)) continue;
    const text = culprit(values[name], rest);
    return printable(`${prefix}${name}${text ? ` ${text}` : ""}: ${message}`);
  }
  return printable(path === "" ? message : `${path}: ${message}`);
}

/** What was written after the option: `rest` is empty, or begins with `[0]`, `.key` or `["key"]`. */
function culprit(value: unknown, rest: string): string | undefined {
  if (!Array.isArray(value)) return typeof value === "string" ? value : "";
  const [, index, word, quoted] =
    /^(?:\[(\d+)\]|\.([\w$]+)|\["(.*)"\])/s.exec(rest) ?? [];
  const key = word ?? quoted;
  return value.filter((text) => typeof text === "string").find((text, i) =>
    index === `${i}` || (key !== undefined && text.startsWith(`${key}=`))
  );
}
