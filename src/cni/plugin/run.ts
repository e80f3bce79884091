/**
 * The plugin as a function of its environment and standard input.
 *
 * @module
 */
import { CniError, CniErrorCode } from "../model/error.ts";
import { type JsonObject, parseJsonObject } from "../model/json.ts";
import { parsePluginRequest, type PluginRequest } from "../model/network.ts";
import {
  CNI_VERSIONS,
  hasCommand,
  isCniVersion,
  NEWEST_VERSION,
} from "../model/version.ts";
import { add } from "./add.ts";
import { check } from "./check.ts";
import { del } from "./delete.ts";
import { failureOf } from "./failure.ts";
import { gc } from "./garbage.ts";
import {
  type Command,
  type Environment,
  type Invocation,
  readInvocation,
} from "./invocation.ts";
import { status } from "./status.ts";
import { version } from "./version.ts";

/** What a run of the plugin came to. */
export interface Outcome {
  /** One JSON document and a line feed, or nothing. */
  readonly stdout: string;
  /** For people. */
  readonly stderr: string;
  /** Exit code. */
  readonly code: number;
  /** Takes away what was made, when nobody can be told of it. */
  readonly undo?: () => Promise<void>;
}

const USAGE =
  `podnet is a CNI plugin for versions ${CNI_VERSIONS.join(", ")}. ` +
  "Container runtimes start it with CNI_COMMAND and a network configuration; see docs/cni-plugin.md.\n";

/** Runs the plugin. Never throws: what goes wrong is the one document on standard output. */
export async function runPlugin(
  env: Environment,
  readStdin: () => Uint8Array<ArrayBuffer>,
): Promise<Outcome> {
  let cniVersion: string = NEWEST_VERSION;
  try {
    const invocation = readInvocation(env);
    if (invocation === undefined) {
      // So an installation starts it, that the runtime's cache has all of the code.
      await import("../../sandbox/upkeep.ts");
      return { stdout: "", stderr: USAGE, code: 0 };
    }
    const { command } = invocation;
    if (command === "VERSION") {
      return succeeded(version(new TextDecoder().decode(readStdin())));
    }
    const raw = readInput(readStdin);
    const asked = raw["cniVersion"];
    if (isCniVersion(asked)) cniVersion = asked;
    const request = parsePluginRequest(raw);
    cniVersion = request.cniVersion;
    refuseOlder(request, command);
    return {
      ...succeeded(await perform(command, invocation, request)),
      ...command === "ADD" && {
        undo: async () => {
          await perform("DEL", invocation, request);
        },
      },
    };
  } catch (error) {
    return failed(
      error instanceof CniError ? error : failureOf(error),
      cniVersion,
    );
  }
}

function readInput(readStdin: () => Uint8Array<ArrayBuffer>): JsonObject {
  let bytes: Uint8Array<ArrayBuffer>;
  try {
    bytes = readStdin();
  } catch (error) {
    throw new CniError(
      CniErrorCode.IO_FAILURE,
      `the network configuration cannot be read: ${error}`,
      { cause: error },
    );
  }
  const text = decoded(bytes);
  if (text.trim() === "") {
    throw new CniError(
      CniErrorCode.DECODING_FAILURE,
      "standard input is empty: write the network configuration on it",
    );
  }
  return parseJsonObject(text, "the network configuration");
}

function decoded(bytes: Uint8Array<ArrayBuffer>): string {
  try {
    return new TextDecoder("utf-8", { fatal: true }).decode(bytes);
  } catch (error) {
    throw new CniError(
      CniErrorCode.DECODING_FAILURE,
      "the network configuration is not UTF-8",
      { cause: error },
    );
  }
}

/** GC, STATUS and CHECK are younger than some versions. */
function refuseOlder({ cniVersion }: PluginRequest, command: Command): void {
  if (!isCniVersion(cniVersion) || hasCommand(cniVersion, command)) return;
  const newer = CNI_VERSIONS.filter((version) => hasCommand(version, command));
  throw new CniError(
    CniErrorCode.INCOMPATIBLE_VERSION,
    `cniVersion ${cniVersion} has no ${command}`,
    { details: `versions that have it: ${newer.join(", ")}` },
  );
}

/** The result is undefined for commands that answer with nothing. */
async function perform(
  command: Exclude<Command, "VERSION">,
  invocation: Invocation,
  request: PluginRequest,
): Promise<JsonObject | undefined> {
  switch (command) {
    case "ADD":
      return await add(invocation, request);
    case "CHECK":
      await check(invocation, request);
      return undefined;
    case "DEL":
      await del(invocation, request);
      return undefined;
    case "GC":
      await gc(request);
      return undefined;
    case "STATUS":
      await status(request);
      return undefined;
  }
}

function succeeded(document: JsonObject | undefined): Outcome {
  return {
    stdout: document === undefined ? "" : `${JSON.stringify(document)}\n`,
    stderr: "",
    code: 0,
  };
}

function failed(error: CniError, cniVersion: string): Outcome {
  const document = error.toDocument(cniVersion);
  return { stdout: `${JSON.stringify(document)}\n`, stderr: "", code: 1 };
}
