/**
 * Inputs as plain data, copied once: what is checked is then what is used, whatever getters and proxies would say the
 * second time.
 * @module
 */

import { NetworkNamespace } from "../namespace/network_namespace.ts";
import { joinPath, type Problems } from "./problems.ts";

/** A spec has six levels. */
const MAX_DEPTH = 12;
/** More than any pod has, and less than would keep the event loop waiting. */
const MAX_VALUES = 50_000;

/**
 * A copy of what callers gave. Objects of classes become plain ones of their own fields, but for network namespaces,
 * which options may have.
 *
 * @param problems gets what cannot be copied
 * @param basePath where the input stands
 * @param maxDepth how many levels it may have
 */
export function plainCopy(
  input: unknown,
  problems: Problems,
  basePath = "",
  maxDepth = MAX_DEPTH,
): unknown {
  let values = 0;
  const noteAt = (place: Place | undefined, message: string) =>
    problems.add(pathOf(place, basePath), message);

  function copy(
    value: unknown,
    place: Place | undefined,
    depth: number,
  ): unknown {
    if (typeof value !== "object" || value === null) return value;
    if (values > MAX_VALUES) return undefined;
    if (depth > maxDepth) {
      noteAt(place, "is nested too deeply: write plain data");
      return undefined;
    }
    try {
      if (value instanceof NetworkNamespace) return value;
      return Array.isArray(value)
        ? copyList(value, place, depth)
        : copyObject(value, place, depth);
    } catch (error) {
      // A getter or a proxy of the caller's.
      noteAt(place, `cannot be read: write plain data (${text(error)})`);
      return undefined;
    }
  }

  function copyObject(
    object: object,
    place: Place | undefined,
    depth: number,
  ): Record<string, unknown> {
    const members: Record<string, unknown> = {};
    for (const key of Object.keys(object)) {
      const value = next(Reflect.get(object, key), { place, key }, depth);
      if (key !== "__proto__") members[key] = value;
      else Object.defineProperty(members, key, { ...OWN, value });
    }
    return members;
  }

  function copyList(
    list: readonly unknown[],
    place: Place | undefined,
    depth: number,
  ): unknown[] {
    const { length } = list;
    if (values + length > MAX_VALUES) return tooMany(place) ?? [];
    const members: unknown[] = [];
    for (let key = 0; key < length; key++) {
      members.push(next(list[key], { place, key }, depth));
    }
    return members;
  }

  function next(value: unknown, place: Place, depth: number): unknown {
    values++;
    if (values > MAX_VALUES) return tooMany(place);
    return copy(value, place, depth + 1);
  }

  /** Said once. */
  function tooMany(place: Place | undefined): undefined {
    if (values <= MAX_VALUES + 1) {
      noteAt(place, `write at most ${MAX_VALUES} values altogether`);
    }
    values = MAX_VALUES + 2;
    return undefined;
  }

  return copy(input, undefined, 0);
}

/** Where a value stands: a text when there is something to say of it, which takes longer than to copy it. */
interface Place {
  readonly place: Place | undefined;
  readonly key: string | number;
}

function pathOf(place: Place | undefined, basePath: string): string {
  return place === undefined
    ? basePath
    : joinPath(pathOf(place.place, basePath), place.key);
}

/** A field like any other. */
const OWN = { writable: true, enumerable: true, configurable: true } as const;

/** Whatever was thrown. */
function text(error: unknown): string {
  try {
    return error instanceof Error ? error.message : String(error);
  } catch {
    return "it throws";
  }
}
