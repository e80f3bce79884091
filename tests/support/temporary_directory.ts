/**
 * A directory for one test.
 *
 * @module
 */

/** Makes a directory, which is gone with all that is in it when this is disposed. */
export function temporaryDirectory(): Disposable & { readonly path: string } {
  const path = Deno.makeTempDirSync({ prefix: "podnet-test-" });
  return {
    path,
    [Symbol.dispose]: () => Deno.removeSync(path, { recursive: true }),
  };
}
