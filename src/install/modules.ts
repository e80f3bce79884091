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
    const text = readTextFile(`${directory}/${name}`);
    modules.set(name, askedFor(inAscii(withoutMargins(text))));
    // The bundler writes `from "./chunk-XYZ.js"`, `import "./…"` and `import("./…")`; here it becomes `import(String("./…"))`.
    const imports = text.matchAll(
      /\b(?:from|import)\s*(?:\(\s*(?:String\(\s*)?)?"\.\/([\w.-]+\.js)"/g,
    );
    names.push(...[...imports].map(([, imported = ""]) => imported));
  }
  return modules;
}

/** What nearly every run of a program loads, by the names that the bundler gives a number. */
const USUAL = /^(?:library|pods|others|run)-/;

/**
 * The runtime reads whatever is imported by a constant text before it runs the first line: 1 ms for 100 KB. What is seldom
 * loaded is imported by an expression, for which the program needs `--allow-read`, and which takes half a millisecond more
 * when it is loaded.
 */
function askedFor(text: string): string {
  return text.replace(
    /\bimport\(\s*("\.\/([\w.-]+\.js)")/g,
    (found, path, name) => USUAL.test(name) ? found : `import(String(${path})`,
  );
}

/**
 * Leaves out what is there for people: comments that begin a line, and blanks that do. The bundler keeps both, a fifth of
 * the text, and to read, hash and copy it takes a command 4 % of its time. What is in templates, which may have such lines, stays.
 */
export function withoutMargins(text: string): string {
  return text.replace(
    /`(?:\\[^]|[^\\`])*`|^ *(?:\/\*\*(?:[^*]|\*(?!\/))*\*\/|\/\/.*)\n|^ +/gm,
    (found) => found.startsWith("`") ? found : "",
  );
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
