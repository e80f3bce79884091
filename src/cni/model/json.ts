/**
 * JSON documents as values, and the reading of their members. Members that nobody reads are left as they are.
 * @module
 */

import { CniError, CniErrorCode } from "./error.ts";

/** Whatever a JSON document holds. */
export type JsonValue =
  | null
  | boolean
  | number
  | string
  | readonly JsonValue[]
  | JsonObject;

/** A JSON object. */
export interface JsonObject {
  /** A member. */
  readonly [key: string]: JsonValue;
}

/** Levels of a document: what is nested deeper could not be written again. */
const MAX_DEPTH = 200;

/** What a reader makes of one value; `path` is where it stands. */
export type Reader<T> = (value: JsonValue, path: string) => T;

/** Whether the value is an object that is no array. */
export function isJsonObject(value: unknown): value is JsonObject {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}

/**
 * Reads one document, an object.
 *
 * @param what how the error names it, such as "the network configuration"
 * @throws {CniError} 6 when the text is no JSON, has something behind its document, or is no object
 */
export function parseJsonObject(text: string, what: string): JsonObject {
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch (error) {
    throw new CniError(
      CniErrorCode.DECODING_FAILURE,
      `${what} is not one JSON document`,
      { details: (error as Error).message, cause: error },
    );
  }
  if (depthOf(text) > MAX_DEPTH) {
    throw new CniError(
      CniErrorCode.DECODING_FAILURE,
      `${what} is nested too deeply`,
    );
  }
  if (!isJsonObject(value)) {
    throw new CniError(
      CniErrorCode.DECODING_FAILURE,
      `${what} is not a JSON object`,
    );
  }
  return value;
}

/** How deep the brackets of a valid document go. */
function depthOf(text: string): number {
  let depth = 0;
  let deepest = 0;
  let isInString = false;
  // Not by a regular expression that takes whole strings: it runs out of stack in one of megabytes.
  for (const [token] of text.matchAll(/\\.|["[{\]}]/g)) {
    if (token === '"') isInString = !isInString;
    else if (isInString) continue;
    else if (token === "[" || token === "{") {
      deepest = Math.max(deepest, ++depth);
    } else depth--;
  }
  return deepest;
}

/**
 * Runs a reader for something that is no configuration.
 * @throws {CniError} 6 where the reader says that a configuration is invalid
 */
export function decoding<T>(what: string, read: () => T): T {
  try {
    return read();
  } catch (error) {
    if (
      !(error instanceof CniError) ||
      error.code !== CniErrorCode.INVALID_NETWORK_CONFIG
    ) throw error;
    throw new CniError(
      CniErrorCode.DECODING_FAILURE,
      `${what}: ${error.message}`,
      { cause: error },
    );
  }
}

/** A value as another one than its reader takes. */
export function wrongValue(path: string, wanted: string): CniError {
  return new CniError(
    CniErrorCode.INVALID_NETWORK_CONFIG,
    `${path} must be ${wanted}`,
  );
}

/** The member, or undefined when it is missing or null; never one of JavaScript's own. */
export function member(object: JsonObject, key: string): JsonValue | undefined {
  return Object.hasOwn(object, key) ? object[key] ?? undefined : undefined;
}

/** Reads a member that may be missing; null counts as missing, as it does in Go. */
export function optional<T>(
  object: JsonObject,
  key: string,
  read: Reader<T>,
  path = "",
): T | undefined {
  const value = member(object, key);
  if (value === undefined) return undefined;
  return read(value, path === "" ? key : `${path}.${key}`);
}

/** Objects without the members that are undefined. */
export function defined<T extends Record<string, unknown>>(
  members: T,
): { [K in keyof T]?: Exclude<T[K], undefined> } {
  return Object.fromEntries(
    Object.entries(members).filter(([, value]) => value !== undefined),
  ) as { [K in keyof T]?: Exclude<T[K], undefined> };
}

/** A string. */
export function readString(value: JsonValue, path: string): string {
  if (typeof value !== "string") throw wrongValue(path, "a string");
  return value;
}

/** An integer that is not negative. */
export function readCount(value: JsonValue, path: string): number {
  if (
    typeof value !== "number" || !Number.isSafeInteger(value) || value < 0
  ) {
    throw wrongValue(path, "an integer from 0");
  }
  // -0 is what JSON.parse() makes of "-0".
  return value + 0;
}

/** True or false. */
export function readBoolean(value: JsonValue, path: string): boolean {
  if (typeof value !== "boolean") throw wrongValue(path, "true or false");
  return value;
}

/** True or false, or one of the words, as the list's own flags may be written. */
export function readFlag(value: JsonValue, path: string): boolean {
  if (typeof value === "boolean") return value;
  const word = typeof value === "string" ? value.toLowerCase() : "";
  if (word !== "true" && word !== "false") {
    throw wrongValue(path, 'true, false, "true" or "false"');
  }
  return word === "true";
}

/** An object. */
export function readObject(value: JsonValue, path: string): JsonObject {
  if (!isJsonObject(value)) throw wrongValue(path, "an object");
  return value;
}

/** A list whose entries `read` takes. */
export function readList<T>(read: Reader<T>): Reader<T[]> {
  return (value, path) => {
    if (!Array.isArray(value)) throw wrongValue(path, "a list");
    return (value as readonly JsonValue[]).map((entry, i) =>
      read(entry, `${path}[${i}]`)
    );
  };
}
