/**
 * Collects everything that is wrong with an input, each problem with its place and what to write instead.
 * @module
 */

import * as v from "valibot";
import { keepShape } from "../shape.ts";
import { type Problem, SandboxError } from "../errors.ts";
import { editDistance } from "../text.ts";

/** A part of the input that is valid by itself, and where it stands. */
export interface Placed<T> {
  /** Such as `ports[0]`. */
  readonly path: string;
  /** What the schema made of it. */
  readonly value: T;
}

/** The problems of one input. */
export class Problems {
  readonly #problems: Problem[] = [];

  /** Notes a problem; `received` is left out when nothing was given. */
  add(path: string, message: string, received?: unknown): void {
    this.#problems.push({
      path,
      message,
      ...received !== undefined && { received },
    });
  }

  /** Notes what a schema finds; the output is undefined when it found anything. */
  parse<T>(
    schema: v.GenericSchema<unknown, T>,
    input: unknown,
    basePath = "",
  ): T | undefined {
    const result = v.safeParse(schema, input);
    if (result.success) return result.output;
    for (const issue of result.issues) {
      const path = issue.path ?? [];
      const last = path.at(-1);
      this.add(
        path.map(({ key }) => key).reduce(joinPath, basePath),
        issue.message,
        last === undefined ? issue.input : last.value,
      );
    }
    return undefined;
  }

  /**
   * Ends the validation with the output of {@linkcode Problems.parse}.
   * @throws {SandboxError} InvalidSpec with all problems, if there are any
   */
  finish<T>(output: T | undefined): T {
    if (output === undefined || this.#problems.length > 0) {
      throw new SandboxError("InvalidSpec", { problems: this.#problems });
    }
    return output;
  }
}

keepShape(new Problems());

/** The path of a member: `ports` and 0 give `ports[0]`. */
export function joinPath(path: string, key: unknown): string {
  if (typeof key === "number") return `${path}[${key}]`;
  const name = String(key);
  if (!/^[A-Za-z_$][\w$]*$/.test(name)) {
    return `${path}[${JSON.stringify(name)}]`;
  }
  return path === "" ? name : `${path}.${name}`;
}

/** The entries of an array that are valid by themselves. What is wrong with the others is not noted here. */
export function wellFormed<T>(
  schema: v.GenericSchema<unknown, T>,
  input: unknown,
  path: string,
): Placed<T>[] {
  if (!Array.isArray(input)) return [];
  return input.flatMap((entry: unknown, i) => {
    const result = v.safeParse(schema, entry);
    return result.success
      ? [{ path: joinPath(path, i), value: result.output }]
      : [];
  });
}

/** A message that says what to write instead of what was given. */
export function instead(
  what: string,
): (issue: { readonly input: unknown }) => string {
  return ({ input }) =>
    input === undefined
      ? `is missing: write ${what}`
      : `write ${what}, not ${show(input)}`;
}

/** A value, short enough for a message. */
export function show(value: unknown): string {
  const text = typeof value === "string" || typeof value === "object"
    ? json(value)
    : typeof value === "function"
    ? "a function"
    : String(value);
  return text.length > 60 ? `${text.slice(0, 59)}…` : text;
}

function json(value: unknown): string {
  try {
    return JSON.stringify(
      value,
      (_, member: unknown) => typeof member === "bigint" ? `${member}` : member,
    );
  } catch {
    // It has a toJSON() of its own.
    return "this object";
  }
}

/** Whether the value is an object that is no array, so that its fields mean something. */
export function isObject(value: unknown): value is Record<string, unknown> {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}

/**
 * A schema for an object with these fields and no others; misspelt ones are recognised. A field that is undefined counts
 * as left out: declare optional ones with `exactOptional`.
 */
export function exactObject<const E extends v.ObjectEntries>(
  what: string,
  entries: E,
): v.GenericSchema<unknown, v.InferOutput<v.ObjectSchema<E, undefined>>> {
  return v.pipe(
    v.custom<Record<string, unknown>>(isObject, instead(what)),
    v.transform((input) =>
      Object.fromEntries(
        Object.entries(input).filter(([, value]) => value !== undefined),
      )
    ),
    v.looseObject(entries, (issue) => missing(entries, issue)),
    v.rawCheck(({ dataset, addIssue }) => {
      const input: unknown = dataset.value;
      if (!isObject(input)) return;
      for (const key of Object.keys(input)) {
        if (Object.hasOwn(entries, key)) continue;
        const value = input[key];
        addIssue({
          message: unknownField(key, Object.keys(entries)),
          path: [{ type: "object", origin: "key", input, key, value }],
        });
      }
    }),
  );
}

/** A schema for an object with these fields; what else it has is left out. */
export function openObject<const E extends v.ObjectEntries>(
  what: string,
  entries: E,
): v.GenericSchema<unknown, v.InferOutput<v.ObjectSchema<E, undefined>>> {
  return v.pipe(
    v.custom<Record<string, unknown>>(isObject, instead(what)),
    v.object(entries, (issue) => missing(entries, issue)),
  );
}

/** What the field's own schema says to nothing at all. */
function missing(
  entries: v.ObjectEntries,
  issue: v.LooseObjectIssue | v.ObjectIssue,
): string {
  const schema = entries[String(issue.path?.[0]?.key)];
  if (schema === undefined || schema.async) return issue.message;
  return v.safeParse(schema, undefined).issues?.[0].message ?? issue.message;
}

function unknownField(key: string, known: readonly string[]): string {
  const distances = known.map((name) => ({
    name,
    distance: editDistance(key.toLowerCase(), name.toLowerCase()),
  }));
  const closest = distances.reduce((a, b) => b.distance < a.distance ? b : a);
  return closest.distance <= Math.min(2, closest.name.length / 2)
    ? `is unknown: did you mean ${closest.name}?`
    : `is unknown: leave it out, or use one of ${known.join(", ")}`;
}

/** The error for one thing that cannot be, found when it was tried. */
export function refusal(
  path: string,
  received: unknown,
  message: string,
): SandboxError {
  return new SandboxError("InvalidSpec", {
    problems: [{ path, message, received }],
  });
}
