/**
 * Steps that are taken back when a later one fails.
 *
 * @module
 */
import { SyscallError } from "../../../ffi/errno.ts";
import { keepShape } from "../../shape.ts";

/** What has been done so far, and how to undo it. */
export class UndoStack {
  readonly #steps: (() => void)[] = [];

  /** Call it right after a step succeeded. */
  push(undo: () => void): void {
    this.#steps.push(undo);
  }

  /**
   * Undoes all steps, last first. A step that fails does not keep the others from being undone.
   *
   * @returns `error`, which names the failures in `undoFailures` when it can
   */
  rollBack(error: unknown): unknown {
    const failures: unknown[] = [];
    for (const undo of this.#steps.splice(0).reverse()) {
      try {
        undo();
      } catch (failure) {
        failures.push(failure);
      }
    }
    if (failures.length > 0 && error instanceof Error) {
      Object.assign(error, { undoFailures: failures });
    }
    return error;
  }
}

keepShape(new UndoStack());

/** Takes a step back that leaves nothing worth a word when it fails: the error that led here is the one to know. */
export function orIgnore(step: () => void): void {
  try {
    step();
  } catch (error) {
    if (!(error instanceof SyscallError)) throw error;
  }
}
