/**
 * Who can run what a launcher leads to, and for how long.
 *
 * @module
 */
import { realPath, stat } from "../../ffi/file.ts";

/**
 * What is wrong with the Deno of an installed program, and what to do; undefined when it runs for all who can start the
 * launcher, and stays.
 *
 * @throws {SyscallError}
 */
export function denoTrouble(
  { deno, launcher }: { readonly deno: string; readonly launcher: string },
): string | undefined {
  const path = realPath(deno);
  const closed = closedPart(launcher) === undefined
    ? closedPart(deno) ?? closedPart(path)
    : undefined;
  const reasons = [
    ...closed === undefined ? [] : [`${closed} is closed to other users`],
    // Where npx puts packages, below npm's cache.
    ...path.includes("/_npx/") ? ["npm may delete it with its cache"] : [],
  ];
  return reasons.length === 0
    ? undefined
    : `${deno} is to run ${launcher}, but ${
      reasons.join(", and ")
    }: copy it to a place like /usr/local/bin/deno, and install with --deno /usr/local/bin/deno`;
}

/** The first part of a path that not everybody may enter, or execute. */
function closedPart(path: string): string | undefined {
  const names = path.split("/");
  return names.map((_, at) => names.slice(0, at + 1).join("/") || "/")
    .find((part) => (stat(part).mode & 0o001) === 0);
}
