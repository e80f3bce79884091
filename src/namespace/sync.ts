/**
 * Refusing asynchronous functions where only synchronous ones can work.
 * @module
 */
import { SandboxError } from "../errors.ts";

/**
 * `T`, or `never` if it is a promise or a generator: a callback of type `() => Sync<T>` cannot be an async function or
 * a generator, whose body would run when the thread is no longer in the namespace.
 */
export type Sync<T> = T extends
  | PromiseLike<unknown>
  | Generator<unknown, unknown, unknown>
  | AsyncGenerator<unknown, unknown, unknown> ? never
  : T;

const DEFERRED_FUNCTIONS: readonly unknown[] = [
  Object.getPrototypeOf(async function () {}),
  Object.getPrototypeOf(function* () {}),
  Object.getPrototypeOf(async function* () {}),
];

/**
 * Refuses a function that can be seen to be asynchronous or a generator without calling it.
 *
 * @throws {SandboxError} AsyncInNamespace
 */
export function refuseAsyncFunction(
  operation: string,
  fn: (() => unknown) | undefined,
): void {
  if (
    fn !== undefined && DEFERRED_FUNCTIONS.includes(Object.getPrototypeOf(fn))
  ) {
    throw new SandboxError("AsyncInNamespace", { operation });
  }
}

/**
 * Refuses a result that stands for work still to be done.
 *
 * A promise that is refused and then rejects does not end the process as an unhandled rejection.
 *
 * @throws {SandboxError} AsyncInNamespace
 */
export function refuseAsyncResult<T>(operation: string, result: T): T {
  if (!isDeferred(result)) return result;
  if (result instanceof Promise) result.catch(() => {});
  throw new SandboxError("AsyncInNamespace", { operation });
}

function isDeferred(value: unknown): boolean {
  if (
    value === null || (typeof value !== "object" && typeof value !== "function")
  ) {
    return false;
  }
  if ("then" in value && typeof value.then === "function") return true;
  const tag = Object.prototype.toString.call(value);
  return tag === "[object Generator]" || tag === "[object AsyncGenerator]";
}
