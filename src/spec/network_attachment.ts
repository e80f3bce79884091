/**
 * Networks of the Container Network Interface that a pod is attached to: what callers write, checked.
 * @module
 */

import * as v from "valibot";
import { formatArguments, parseArguments } from "../cni/model/arguments.ts";
import { CniError } from "../cni/model/error.ts";
import type { JsonObject } from "../cni/model/json.ts";
import {
  type NetworkList,
  parseNetworkList,
  requirePlugins,
} from "../cni/model/network.ts";
import * as field from "./fields.ts";
import { plainCopy } from "./plain.ts";
import { exactObject, instead, isObject, Problems } from "./problems.ts";

/** `NetworkSpec` with everything said. */
export interface NormalisedNetwork {
  /** The configuration, read. */
  readonly list: NetworkList;
  /** The configuration as the text of a list. */
  readonly config: string;
  /** `CNI_PATH`. */
  readonly pluginDirs: readonly string[];
  /** Where attachments are noted for others. */
  readonly cacheDir: string;
  /** Milliseconds. */
  readonly timeoutMs: number;
}

/** `NetworkAttachmentSpec` with everything said but a name that is to be found. */
export interface NormalisedNetworkAttachment extends NormalisedNetwork {
  /** Undefined for one that is free. */
  readonly name?: string;
  /** In order. */
  readonly args: readonly (readonly [string, string])[];
  /** By capability. */
  readonly runtimeConfig: JsonObject;
}

/** What runtimes use, and where Debian has its plugins. */
const DEFAULT_PLUGIN_DIRS = ["/opt/cni/bin", "/usr/lib/cni"];
const DEFAULT_CACHE_DIR = "/var/lib/cni";
const DEFAULT_TIMEOUT_MS = 60_000;

/** JSON of plugins may have more levels than a spec; it is measured when it is read. */
const MAX_DEPTH = 250;

const directory = v.pipe(
  field.absolutePath,
  v.check(
    (path) => !path.includes(":"),
    instead('a path without ":", which separates directories in CNI_PATH'),
  ),
);

const network = {
  conflist: v.custom<string | JsonObject>(
    (given) => typeof given === "string" || isObject(given),
    instead("a network configuration, as JSON text or an object"),
  ),
  pluginDirs: v.exactOptional(
    v.pipe(
      field.list("a list of absolute paths", directory, 100),
      v.minLength(1, "write one directory at least"),
    ),
    DEFAULT_PLUGIN_DIRS,
  ),
  cacheDir: v.exactOptional(field.absolutePath, DEFAULT_CACHE_DIR),
  timeoutMs: v.exactOptional(field.milliseconds, DEFAULT_TIMEOUT_MS),
};

const networkSchema = exactObject("an object with conflist", network);

const attachmentSchema = exactObject("an object with conflist", {
  ...network,
  name: v.exactOptional(field.interfaceName),
  args: v.exactOptional(
    field.strings(
      "an object of strings",
      v.pipe(
        v.string(instead("a string")),
        v.check((text) => text.isWellFormed(), instead("whole characters")),
      ),
    ),
    {},
  ),
  runtimeConfig: v.exactOptional(
    v.custom<JsonObject>(isObject, instead("an object by capability")),
    {},
  ),
});

/**
 * Checks a network.
 * @throws {SandboxError} InvalidSpec with every problem
 */
export function parseNetwork(given: unknown): NormalisedNetwork {
  const problems = new Problems();
  const input = plainCopy(given, problems, "", MAX_DEPTH);
  const spec = problems.parse(networkSchema, input);
  const list = readList(problems, input);
  const { conflist: _, ...rest } = problems.finish(spec);
  return { ...rest, ...problems.finish(list) };
}

/**
 * Checks an attachment.
 * @throws {SandboxError} InvalidSpec with every problem
 */
export function parseNetworkAttachment(
  given: unknown,
): NormalisedNetworkAttachment {
  const problems = new Problems();
  const input = plainCopy(given, problems, "", MAX_DEPTH);
  const spec = problems.parse(attachmentSchema, input);
  const list = readList(problems, input);
  const args = Object.entries(spec?.args ?? {});
  // As plugins will read them.
  attempt(problems, "args", () => parseArguments(formatArguments(args)));
  const runtimeConfig = attempt(
    problems,
    "runtimeConfig",
    () => asJson(spec?.runtimeConfig ?? {}),
  );
  const { conflist: _, ...rest } = problems.finish(spec);
  return {
    ...rest,
    args,
    runtimeConfig: problems.finish(runtimeConfig),
    ...problems.finish(list),
  };
}

function readList(
  problems: Problems,
  input: unknown,
): Pick<NormalisedNetwork, "list" | "config"> | undefined {
  const given = isObject(input) ? input["conflist"] : undefined;
  if (typeof given !== "string" && !isObject(given)) return undefined;
  return attempt(problems, "conflist", () => {
    const list = requirePlugins(
      parseNetworkList(
        typeof given === "string" ? given : JSON.stringify(given),
      ),
    );
    const { name, cniVersion, raw } = list;
    // A single plugin is noted as the list that it stands for.
    const whole = Object.hasOwn(raw, "plugins")
      ? raw
      : { cniVersion, name, plugins: [raw] };
    return { list, config: JSON.stringify(whole) };
  });
}

/** What JSON has no word for would get lost on the way to a plugin. */
function asJson(value: JsonObject): JsonObject {
  return JSON.parse(JSON.stringify(value));
}

function attempt<T>(
  problems: Problems,
  path: string,
  read: () => T,
): T | undefined {
  try {
    return read();
  } catch (error) {
    // JSON.stringify() refuses integers of any size.
    if (!(error instanceof CniError || error instanceof TypeError)) throw error;
    const details = error instanceof CniError && error.details !== ""
      ? ` (${error.details})`
      : "";
    problems.add(path, `${error.message}${details}`);
    return undefined;
  }
}
