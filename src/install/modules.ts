/**
 * A program's modules, as a bundler has left them in one directory.
 *
 * @module
 */
import { readTextFile } from "../../ffi/file.ts";

/**
 * A module and all that it imports, by name.
 *
 * @throws {SyscallError} when one of them is missing
 */
export function readModules(
  directory: string,
  entry: string,
): ReadonlyMap<string, string> {
  const modules = new Map<string, string>();
  const names = [entry];
  for (let name = names.pop(); name !== undefined; name = names.pop()) {
    if (modules.has(name)) continue;
    const text = inAscii(readTextFile(`${directory}/${name}`));
    modules.set(name, text);
    // The bundler writes `from "./chunk-XYZ.js"`, `import "./…"` and `import("./…")`.
    const imports = text.matchAll(
      /\b(?:from|import)\s*\(?\s*"\.\/([\w.-]+\.js)"/g,
    );
    names.push(...[...imports].map(([, imported = ""]) => imported));
  }
  return modules;
}

/**
 * The bundler leaves other characters in comments alone. One of them, and V8 keeps two bytes for each character of the file: 1 ms
 * of a start.
 */
function inAscii(text: string): string {
  return text.replace(
    /[^\0-\x7f]/g,
    (unit) => `\\u${unit.charCodeAt(0).toString(16).padStart(4, "0")}`,
  );
}
