/**
 * Runs an operation of this process with a failure in it.
 *
 * @module
 */
import { withoutKept } from "../../scripts/leaks.ts";
import { assertEquals, fail } from "@std/assert";
import { changesSomething, describe } from "./calls.ts";
import { type Fault, faultsOf } from "./faults.ts";
import { type Call, intercepting } from "./intercept.ts";
import { settled } from "../support/patience.ts";
import { EVERY } from "./scale.ts";

/** Which call of an operation fails. */
export interface Place {
  /** Position of the call, from 0. What other threads do may shift it: then the next one is meant that can fail in this way. */
  readonly call: number;
  /** The call's name, and how it fails. */
  readonly way: string;
}

/** Lists the places of an operation, by letting it run once. */
export async function placesOf(
  run: () => Promise<unknown>,
): Promise<Place[]> {
  const places: Place[] = [];
  const seen = new Set<string>();
  let count = 0;
  await intercepting((call, carryOut) => {
    const at = count++;
    const ways = waysOf(call);
    const name = describe(call);
    if (EVERY) {
      places.push(...ways.map((way) => ({ call: at, way })));
    } else if (
      ways.length > 0 && (changesSomething(call) || !seen.has(name))
    ) {
      // One that this function has not failed in yet, or else each time another.
      const fresh = ways.find((way) => !seen.has(way));
      const way = fresh ?? ways[at % ways.length] ?? "";
      places.push({ call: at, way });
      seen.add(name).add(way);
    }
    return carryOut();
  }, run);
  return places;
}

function waysOf(call: Call): string[] {
  return faultsOf(call).map(({ label }) => `${call.name} ${label}`);
}

/** What came of an operation in which something failed. */
export interface Outcome {
  /** Call and failure, in words. */
  readonly where: string;
  readonly fault: Fault;
  /** What the operation threw; undefined when it succeeded. */
  readonly error: unknown;
}

/**
 * Runs the operation with the failure. The descriptors of this process and the namespace of its thread are then what they
 * were, and an error is that failure; of one that is a mere delay there is none.
 *
 * @returns undefined when the operation had no such call this time
 */
export async function runWith(
  place: Place,
  run: () => Promise<unknown>,
): Promise<Outcome | undefined> {
  const before = held();
  let count = 0;
  let fault: Fault | undefined;
  let where = "";
  let error: unknown;
  try {
    await intercepting((call, carryOut) => {
      if (fault !== undefined) {
        return fault.afterwards?.(call, carryOut) ?? carryOut();
      }
      if (count++ < place.call) return carryOut();
      fault = faultsOf(call)[waysOf(call).indexOf(place.way)];
      if (fault === undefined) return carryOut();
      where = `${describe(call)}: ${fault.label}`;
      return fault.inject(call, carryOut);
    }, run);
  } catch (thrown) {
    error = thrown ?? "nothing";
  }
  if (fault === undefined) {
    if (error !== undefined) throw error;
    return undefined;
  }
  // What a removal leaves for a moment later has its directory open until then.
  const open = await settled(() => added(before, held()), []);
  assertEquals(open, [], `${where}: still open`);
  if (error !== undefined) assertCause(error, fault, where);
  return { where, fault, error };
}

/** Asserts that an error tells the failure, and that nothing failed besides. */
function assertCause(error: unknown, fault: Fault, where: string): void {
  // Repairs that fail are told in words.
  if (typeof error === "string") return;
  const told = causesOf(error).some((cause) => fault.isCause?.(cause) ?? false);
  if (!told) fail(`${where}: another error came of it: ${Deno.inspect(error)}`);
  assertEquals(undoFailuresOf(error), [], where);
}

/** What could not be undone. */
export function undoFailuresOf(error: unknown): readonly unknown[] {
  return error instanceof Error && "undoFailures" in error &&
      Array.isArray(error.undoFailures)
    ? error.undoFailures
    : [];
}

/** An error, and those that it comes from. */
export function causesOf(error: unknown): unknown[] {
  return error instanceof Error ? [error, ...causesOf(error.cause)] : [error];
}

/** The namespace of the thread, and what the descriptors of the process lead to. */
function held(): string[] {
  const targets = [...Deno.readDirSync("/proc/self/fd")].flatMap(({ name }) => {
    try {
      return { target: Deno.readLinkSync(`/proc/self/fd/${name}`) };
    } catch (error) {
      // That of the directory itself is closed by now.
      if (error instanceof Deno.errors.NotFound) return [];
      throw error;
    }
  });
  return [
    Deno.readLinkSync("/proc/thread-self/ns/net"),
    ...withoutKept(targets).map(({ target }) => target),
  ];
}

/** What is in `after` and not in `before`; the same name may occur twice. */
function added(before: readonly string[], after: readonly string[]): string[] {
  const left = [...before];
  return after.filter((item) => {
    const at = left.indexOf(item);
    if (at !== -1) left.splice(at, 1);
    return at === -1;
  });
}

/** In which of the calls that change something an operation fails, and in which of those that follow. */
export interface TwoPlaces {
  readonly first: number;
  readonly second: number;
}

/** What came of an operation in which two calls failed. */
export interface DoubleOutcome {
  readonly where: string;
  readonly error: unknown;
  /** Whether there was a second call to fail. */
  readonly both: boolean;
}

/** Runs the operation with two failures, the second mostly while the first is being undone. */
export async function runWithTwo(
  { first, second }: TwoPlaces,
  run: () => Promise<unknown>,
): Promise<DoubleOutcome> {
  let count = 0;
  const injected: string[] = [];
  let original: Fault | undefined;
  const failureOf = (call: Call) =>
    faultsOf(call).find(({ isCause }) => isCause !== undefined);
  let error: unknown;
  try {
    await intercepting((call, carryOut) => {
      const fault = changesSomething(call) ? failureOf(call) : undefined;
      if (fault === undefined) return carryOut();
      const at = count++;
      if (at !== first && at !== first + 1 + second) return carryOut();
      injected.push(`${describe(call)}: ${fault.label}`);
      if (at === first) original = fault;
      return fault.inject(call, carryOut);
    }, run);
  } catch (thrown) {
    error = thrown;
  }
  const where = injected.join(", then ");
  if (
    error !== undefined && original !== undefined &&
    !causesOf(error).some((cause) => original?.isCause?.(cause))
  ) {
    fail(`${where}: the first error is lost in ${Deno.inspect(error)}`);
  }
  return { where, error, both: injected.length === 2 };
}
