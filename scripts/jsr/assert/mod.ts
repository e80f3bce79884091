/**
 * The part of `jsr:@std/assert` that the tests use, on `node:assert`.
 *
 * @module
 */
import { deepStrictEqual } from "node:assert/strict";
import { inspect } from "node:util";

// deno-lint-ignore no-explicit-any
type AbstractConstructor<T> = abstract new (...args: any[]) => T;

/** Thrown by every failed assertion. */
export class AssertionError extends Error {
  override name = "AssertionError";
}

function failure(message: string, note?: string): AssertionError {
  return new AssertionError(
    note === undefined ? message : `${message}: ${note}`,
  );
}

function shown(value: unknown): string {
  return inspect(value, { depth: 6, breakLength: 100 });
}

/** Says how two values differ, or undefined when they are deeply equal. */
function difference(actual: unknown, expected: unknown): string | undefined {
  try {
    deepStrictEqual(actual, expected);
    return undefined;
  } catch (error) {
    return error instanceof Error ? error.message : String(error);
  }
}

/** Whether two values are deeply equal, constructors included. */
export function equal(a: unknown, b: unknown): boolean {
  return difference(a, b) === undefined;
}

/** Asserts that the value is truthy. */
export function assert(expr: unknown, msg = ""): asserts expr {
  if (!expr) throw new AssertionError(msg);
}

/** Asserts that the value is falsy. */
export function assertFalse(
  expr: unknown,
  msg = "",
): asserts expr is false | 0 | "" | null | undefined {
  if (expr) throw new AssertionError(msg);
}

/** Asserts deep equality. */
export function assertEquals<T>(actual: T, expected: T, msg?: string): void {
  const found = difference(actual, expected);
  if (found !== undefined) throw failure(found, msg);
}

/** Asserts that two values are not deeply equal. */
export function assertNotEquals<T>(actual: T, expected: T, msg?: string): void {
  if (equal(actual, expected)) {
    throw failure(`Expected a value other than ${shown(expected)}`, msg);
  }
}

/** Asserts identity (`Object.is`). */
export function assertStrictEquals<T>(
  actual: unknown,
  expected: T,
  msg?: string,
): asserts actual is T {
  if (!Object.is(actual, expected)) {
    throw failure(
      `Expected the identical value ${shown(expected)}, received ${
        shown(actual)
      }`,
      msg,
    );
  }
}

/** Asserts that two values are not identical (`Object.is`). */
export function assertNotStrictEquals<T>(
  actual: T,
  expected: T,
  msg?: string,
): void {
  if (Object.is(actual, expected)) {
    throw failure(`Expected something not identical to ${shown(actual)}`, msg);
  }
}

/** Asserts that the value is neither null nor undefined. */
export function assertExists<T>(
  actual: T,
  msg?: string,
): asserts actual is NonNullable<T> {
  if (actual === undefined || actual === null) {
    throw failure(`Expected a value, received ${actual}`, msg);
  }
}

/** Asserts that two numbers differ by no more than the tolerance. */
export function assertAlmostEquals(
  actual: number,
  expected: number,
  tolerance?: number,
  msg?: string,
): void {
  if (Object.is(actual, expected)) return;
  const allowed = tolerance ??
    (isFinite(expected) ? Math.abs(expected * 1e-7) : 1e-7);
  if (!(Math.abs(expected - actual) <= allowed)) {
    throw failure(`Expected ${expected} ± ${allowed}, received ${actual}`, msg);
  }
}

function assertOrder<T>(
  holds: boolean,
  actual: T,
  relation: string,
  expected: T,
  msg: string | undefined,
): void {
  if (!holds) {
    throw failure(
      `Expected ${shown(actual)} ${relation} ${shown(expected)}`,
      msg,
    );
  }
}

/** Asserts `actual > expected`. */
export function assertGreater<T>(actual: T, expected: T, msg?: string): void {
  assertOrder(actual > expected, actual, ">", expected, msg);
}

/** Asserts `actual >= expected`. */
export function assertGreaterOrEqual<T>(
  actual: T,
  expected: T,
  msg?: string,
): void {
  assertOrder(actual >= expected, actual, ">=", expected, msg);
}

/** Asserts `actual < expected`. */
export function assertLess<T>(actual: T, expected: T, msg?: string): void {
  assertOrder(actual < expected, actual, "<", expected, msg);
}

/** Asserts `actual <= expected`. */
export function assertLessOrEqual<T>(
  actual: T,
  expected: T,
  msg?: string,
): void {
  assertOrder(actual <= expected, actual, "<=", expected, msg);
}

/** Asserts that the string matches. */
export function assertMatch(
  actual: string,
  expected: RegExp,
  msg?: string,
): void {
  if (!expected.test(actual)) {
    throw failure(`Expected ${shown(actual)} to match ${expected}`, msg);
  }
}

/** Asserts that the string does not match. */
export function assertNotMatch(
  actual: string,
  expected: RegExp,
  msg?: string,
): void {
  if (expected.test(actual)) {
    throw failure(`Expected ${shown(actual)} not to match ${expected}`, msg);
  }
}

/** Asserts that the string contains another. */
export function assertStringIncludes(
  actual: string,
  expected: string,
  msg?: string,
): void {
  if (!actual.includes(expected)) {
    throw failure(
      `Expected ${shown(actual)} to contain ${shown(expected)}`,
      msg,
    );
  }
}

/** Asserts that the array contains every expected element (deep equality). */
export function assertArrayIncludes<T>(
  actual: ArrayLike<T>,
  expected: ArrayLike<T>,
  msg?: string,
): void {
  const present = Array.from(actual);
  const missing = Array.from(expected).filter((wanted) =>
    !present.some((element) => equal(element, wanted))
  );
  if (missing.length > 0) {
    throw failure(
      `Expected ${shown(present)} to include ${shown(missing)}`,
      msg,
    );
  }
}

/** The part of `actual` that `expected` also has, recursively. */
function overlap(actual: unknown, expected: unknown): unknown {
  if (
    typeof actual !== "object" || actual === null ||
    typeof expected !== "object" || expected === null ||
    !(Array.isArray(expected) || isPlain(expected))
  ) {
    return actual;
  }
  const part: Record<PropertyKey, unknown> = Array.isArray(expected)
    ? Object.assign([], { length: (actual as unknown[]).length })
    : Object.create(Object.getPrototypeOf(expected));
  for (const key of Reflect.ownKeys(expected)) {
    if (key === "length" || !Reflect.has(actual, key)) continue;
    part[key] = overlap(
      Reflect.get(actual, key),
      Reflect.get(expected, key),
    );
  }
  return part;
}

function isPlain(value: object): boolean {
  const prototype = Object.getPrototypeOf(value);
  return prototype === Object.prototype || prototype === null;
}

/** Asserts that `actual` has everything `expected` has; it may have more. */
export function assertObjectMatch(
  // deno-lint-ignore no-explicit-any
  actual: Record<PropertyKey, any>,
  expected: Record<PropertyKey, unknown>,
  msg?: string,
): void {
  assertEquals<unknown>(overlap(actual, expected), expected, msg);
}

/** Asserts `instanceof`. */
export function assertInstanceOf<T>(
  actual: unknown,
  expectedType: AbstractConstructor<T>,
  msg?: string,
): asserts actual is T {
  if (!(actual instanceof expectedType)) {
    throw failure(
      `Expected an instance of ${expectedType.name}, received ${shown(actual)}`,
      msg,
    );
  }
}

/** Asserts that a value is an error of a class whose message includes a text. */
export function assertIsError<E extends Error = Error>(
  error: unknown,
  ErrorClass?: AbstractConstructor<E>,
  msgMatches?: string | RegExp,
  msg?: string,
): asserts error is E {
  assertInstanceOf(error, Error, msg);
  if (ErrorClass) assertInstanceOf(error, ErrorClass, msg);
  if (msgMatches === undefined) return;
  const matches = typeof msgMatches === "string"
    ? error.message.includes(msgMatches)
    : msgMatches.test(error.message);
  if (!matches) {
    throw failure(
      `Expected the error message ${shown(error.message)} to contain ${
        shown(msgMatches)
      }`,
      msg,
    );
  }
}

/** Asserts that the function throws; returns what it threw. */
export function assertThrows(fn: () => unknown, msg?: string): unknown;
/** Asserts that the function throws an error of this class; returns it. */
export function assertThrows<E extends Error = Error>(
  fn: () => unknown,
  ErrorClass: AbstractConstructor<E>,
  msgIncludes?: string,
  msg?: string,
): E;
export function assertThrows(
  fn: () => unknown,
  classOrMessage?: AbstractConstructor<Error> | string,
  msgIncludes?: string,
  msg?: string,
): unknown {
  let result: unknown;
  try {
    result = fn();
  } catch (error) {
    return checkThrown(error, classOrMessage, msgIncludes, msg);
  }
  throw failure(
    `Expected function to throw, it returned ${shown(result)}`,
    typeof classOrMessage === "string" ? classOrMessage : msg,
  );
}

/** Asserts that the promise rejects; resolves to the reason. */
export function assertRejects(
  fn: () => PromiseLike<unknown>,
  msg?: string,
): Promise<unknown>;
/** Asserts that the promise rejects with an error of this class; resolves to it. */
export function assertRejects<E extends Error = Error>(
  fn: () => PromiseLike<unknown>,
  ErrorClass: AbstractConstructor<E>,
  msgIncludes?: string,
  msg?: string,
): Promise<E>;
export async function assertRejects(
  fn: () => PromiseLike<unknown>,
  classOrMessage?: AbstractConstructor<Error> | string,
  msgIncludes?: string,
  msg?: string,
): Promise<unknown> {
  let promise: PromiseLike<unknown>;
  try {
    promise = fn();
  } catch (error) {
    throw failure(`Function throws when expected to reject: ${shown(error)}`);
  }
  let result: unknown;
  try {
    result = await promise;
  } catch (error) {
    return checkThrown(error, classOrMessage, msgIncludes, msg);
  }
  throw failure(
    `Expected promise to reject, it resolved to ${shown(result)}`,
    typeof classOrMessage === "string" ? classOrMessage : msg,
  );
}

function checkThrown(
  error: unknown,
  classOrMessage: AbstractConstructor<Error> | string | undefined,
  msgIncludes: string | undefined,
  msg: string | undefined,
): unknown {
  if (typeof classOrMessage === "function") {
    assertIsError(error, classOrMessage, msgIncludes, msg);
  }
  return error;
}

/** Fails always. */
export function fail(msg?: string): never {
  throw new AssertionError(
    msg === undefined ? "Failed assertion." : `Failed assertion: ${msg}`,
  );
}

/** Fails when reached. */
export function unreachable(reason?: string): never {
  throw new AssertionError(reason ?? "Unreachable.");
}
