/**
 * The sandboxes of all nodes of a state directory, by their records alone: a node may be of another network namespace.
 *
 * @module
 */
import type { NodeOptions } from "../spec/node_options.ts";
import { directoriesIn } from "../state/directory.ts";
import { parseNode } from "./node/node_settings.ts";
import { NodeState } from "./records/node_state.ts";

/** What is told of each. */
export interface RecordedSandbox {
  /** The name of its node. */
  readonly node: string;
  readonly labels: Readonly<Record<string, string>>;
}

/**
 * Reads the records, and changes nothing; of a damaged one nothing is known.
 *
 * @throws {SandboxError} `InvalidSpec` for options that are wrong, `StateUnusable`
 */
export function recordedSandboxes(
  options: Pick<NodeOptions, "name" | "stateDir"> = {},
): RecordedSandbox[] {
  const { stateDir } = parseNode(options).state;
  // No node's name begins with a dot: that is what clusters are noted in.
  const names = directoriesIn(stateDir).filter((name) => !name.startsWith("."));
  return names.sort().flatMap((node) => {
    const state = new NodeState(stateDir, node);
    return state.sandboxIds().flatMap((id) => {
      const record = state.readableSandbox(id);
      return record === undefined ? [] : [{ node, labels: record.spec.labels }];
    });
  });
}
