/**
 * Shapes that outlive their objects, so that compiled code does.
 *
 * V8 compiles a function for the shapes of the objects that it has met, and refers to these weakly: a collection that finds no
 * object of one shape takes the code of every function away that was compiled for it, until each was called thousands of times
 * again (`embedded weak objects cleared` in `--log-deopt`). Who makes a pod now and then has a collection between two, at the
 * latest when V8 has been idle for some seconds. Measured: 86 functions of a pod's life, 120 after such a pause; what that
 * costs is on docs/performance.md.
 *
 * So one object of each shape is kept whose objects live for one operation. A literal needs none, since V8 keeps its shape; a copy
 * of another object (`{...one}`) does.
 *
 * @module
 */

const kept: object[] = [];

/** Keeps an object of a class that is made for this alone, with fields of the same kinds as others have. */
export function keepShape(specimen: object): void {
  kept.push(specimen);
}

/**
 * Keeps the object that was met last, where none can be made for this alone: others make them, or their numbers decide how V8
 * stores them. It should lead to nothing large.
 */
export class LastShape {
  /** Written, and never read. */
  last: object | undefined;
}
