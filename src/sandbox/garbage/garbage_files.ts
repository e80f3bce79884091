/**
 * Files that a killed process left in the state directory.
 *
 * @module
 */
import { entriesOf } from "../../state/directory.ts";
import { removeFile, UNFINISHED } from "../../state/store.ts";
import type { NodeState } from "../records/node_state.ts";

/**
 * What was to become the node's record; with an id, files of that sandbox, whose lock the caller holds.
 */
export function temporaryFiles(state: NodeState, id?: string): string[] {
  return id === undefined
    ? [
      ...filesIn(state.directory, (name) => name.endsWith(UNFINISHED)),
      // Nothing but directories is ever made here.
      ...filesIn(state.sandboxesDirectory, () => true),
    ]
    : filesIn(state.sandboxDirectory(id), (name) => name.endsWith(UNFINISHED));
}

/** Removes what {@linkcode temporaryFiles} finds. */
export function removeTemporaryFiles(state: NodeState, id?: string): void {
  for (const path of temporaryFiles(state, id)) removeFile(path);
}

function filesIn(
  directory: string,
  which: (name: string) => boolean,
): string[] {
  return entriesOf(directory)
    .filter(({ name, kind }) => kind !== "directory" && which(name))
    .map(({ name }) => `${directory}/${name}`).sort();
}
