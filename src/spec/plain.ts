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

  function copy(value: unknown, path: string, depth: number): unknown {
    if (typeof value !== "object" || value === null) return value;
    if (values > MAX_VALUES) return undefined;
    if (depth > maxDepth) {
      problems.add(path, "is nested too deeply: write plain data");
      return undefined;
    }
    try {
      if (value instanceof NetworkNamespace) return value;
      return Array.isArray(value)
        ? copyList(value, path, depth)
        : Object.fromEntries(
          Object.keys(value).map((key) => {
            const member = Reflect.get(value, key);
            return [key, next(member, joinPath(path, key), depth)];
          }),
        );
    } catch (error) {
      // A getter or a proxy of the caller's.
      problems.add(path, `cannot be read: write plain data (${text(error)})`);
      return undefined;
    }
  }

  function copyList(
    list: readonly unknown[],
    path: string,
    depth: number,
  ): unknown[] {
    const { length } = list;
    if (values + length > MAX_VALUES) return tooMany(path) ?? [];
    return Array.from(
      { length },
      (_, i) => next(list[i], joinPath(path, i), depth),
    );
  }

  function next(value: unknown, path: string, depth: number): unknown {
    values++;
    if (values > MAX_VALUES) return tooMany(path);
    return copy(value, path, depth + 1);
  }

  /** Said once. */
  function tooMany(path: string): undefined {
    if (values <= MAX_VALUES + 1) {
      problems.add(path, `write at most ${MAX_VALUES} values altogether`);
    }
    values = MAX_VALUES + 2;
    return undefined;
  }

  return copy(input, basePath, 0);
}

/** Whatever was thrown. */
function text(error: unknown): string {
  try {
    return error instanceof Error ? error.message : String(error);
  } catch {
    return "it throws";
  }
}
