/**
 * Shapes that outlive their objects, so that compiled code does.
 *
 * @module
 */

/**
 * Holds the object of a class that was made last.
 *
 * V8 compiles a function for the shapes of the objects that it has met, and refers to these weakly: a collection that finds no
 * object of one shape takes the code of every function away that was compiled for it, until each was called thousands of times
 * again (`embedded weak objects cleared` in `--trace-deopt`). Whoever makes a pod now and then has a collection between two,
 * at the latest when V8 has been idle for some seconds. Measured: 86 functions of a pod's life; a creation took 9 % longer
 * after one, a change of ports and a removal 15 %.
 *
 * So each class whose objects live for one operation has a shape, and its constructor ends with `SHAPE.last = this`.
 */
export class Shape {
  /** Written, and never read. */
  last: object | undefined;
}
