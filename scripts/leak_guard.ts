/**
 * Preloaded into every test module: a test that leaves a descriptor, a process,
 * a link, a mount or a temporary file behind, or its thread in another network
 * namespace, fails by name. Deno's own sanitizers see none of these.
 *
 * @module
 */
import { libc, openFunctions } from "../ffi/libc.ts";
import { leftBehind, networkNamespace, processState } from "./leaks.ts";

// The library opens libc's functions once per thread and keeps them: not a leak
// of the test that happens to be the first.
libc();
openFunctions();

let before: readonly string[] = [];
let namespace = "";

Deno.test.beforeEach(() => {
  before = processState();
  namespace = networkNamespace();
});

Deno.test.afterEach(async () => {
  const now = networkNamespace();
  if (now !== namespace) throw new Error(`the test left its thread in ${now}`);
  const leaked = await leftBehind(before, processState);
  if (leaked.length > 0) {
    throw new Error(`the test left behind:\n  ${leaked.join("\n  ")}`);
  }
});
