/**
 * What an OCI runtime tells its hooks of a container, on their standard input.
 *
 * Source: runtime.md and config.md of the OCI runtime specification 1.2.0, and what crun 1.8 and runc 1.1 write.
 *
 * @module
 */
import * as v from "valibot";
import * as field from "../spec/fields.ts";
import { instead, isObject, openObject, Problems } from "../spec/problems.ts";

/** What a runtime says that a container is doing. */
export type ContainerStatus = typeof STATUSES[number];

/** A container, as its runtime describes it. */
export interface ContainerState {
  /** Unique on the machine. */
  readonly id: string;
  /** `creating` while `createRuntime` hooks run, which is `created` to crun; `stopped` while `poststop` hooks run. */
  readonly status: ContainerStatus;
  /** The container's process; none when it is stopped. */
  readonly pid?: number;
  /** Directory of config.json. */
  readonly bundle: string;
  /** Those of config.json. */
  readonly annotations: Readonly<Record<string, string>>;
}

/** Bytes of a description: more than any runtime writes. */
export const MAX_STATE_BYTES = 1 << 20;

/** Others are those of hooks of other kinds, too late to be of use. */
const STATUSES = ["creating", "created", "stopped"] as const;

const LARGEST_PID = 2 ** 22;

const state = openObject("an object", {
  ociVersion: v.pipe(
    v.string(instead("the version of the specification")),
    v.regex(/^1\./, "is of another specification: podnet knows versions 1"),
  ),
  id: v.pipe(
    field.line("the container's id", 1),
    v.maxLength(1024, "is longer than 1024 characters"),
  ),
  status: v.picklist(
    STATUSES,
    instead(
      `${STATUSES.join(", ")}, as while hooks createRuntime and poststop run`,
    ),
  ),
  pid: v.exactOptional(
    v.pipe(
      v.number(instead("a process number")),
      v.integer(instead("a process number")),
      v.minValue(0, instead("a process number")),
      v.maxValue(LARGEST_PID, instead("a process number")),
    ),
    0,
  ),
  bundle: field.absolutePath,
  annotations: v.exactOptional(
    field.strings("an object of strings", v.string(instead("a string"))),
    {},
  ),
});

/**
 * Reads a description from a stream of bytes, all of it, but not more than {@linkcode MAX_STATE_BYTES}.
 *
 * @throws {SandboxError} as {@linkcode parseContainerState}
 */
export async function readContainerState(
  chunks: AsyncIterable<Uint8Array>,
): Promise<ContainerState> {
  const decoder = new TextDecoder("utf-8", { fatal: true });
  let text = "";
  let length = 0;
  try {
    for await (const chunk of chunks) {
      length += chunk.length;
      if (length > MAX_STATE_BYTES) {
        throw new RangeError(`is longer than ${MAX_STATE_BYTES} bytes`);
      }
      text += decoder.decode(chunk, { stream: true });
    }
    text += decoder.decode();
  } catch (error) {
    if (!(error instanceof RangeError || error instanceof TypeError)) {
      throw error;
    }
    const problems = new Problems();
    problems.add(
      "state",
      error instanceof RangeError ? error.message : "is not UTF-8",
    );
    return problems.finish<ContainerState>(undefined);
  }
  return parseContainerState(text);
}

/**
 * Reads a description.
 *
 * @throws {SandboxError} `InvalidSpec` with every problem, each with its place in the description
 */
export function parseContainerState(text: string): ContainerState {
  const problems = new Problems();
  if (text.trim() === "") {
    problems.add(
      "state",
      "is empty: OCI runtimes write it on standard input, so let one start the hook",
    );
    return problems.finish<ContainerState>(undefined);
  }
  const input = parseJson(text, problems);
  const parsed = problems.parse(state, input, "state");
  // Whether it has to be there depends on another member, whatever is wrong with the rest.
  if (isObject(input) && input["status"] !== "stopped" && !input["pid"]) {
    problems.add(
      "state.pid",
      "is missing: a container that is not stopped has one",
    );
  }
  const { id, status, pid, bundle, annotations } = problems.finish(parsed);
  return { id, status, bundle, annotations, ...pid > 0 && { pid } };
}

function parseJson(text: string, problems: Problems): unknown {
  try {
    return JSON.parse(text);
  } catch (error) {
    problems.add(
      "state",
      `is not one JSON document: ${(error as Error).message}`,
    );
    return problems.finish(undefined);
  }
}
