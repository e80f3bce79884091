/**
 * What each of the programs begins and ends with.
 *
 * @module
 */

/** Runs the program, and ends with its exit code. What needs cbor-x is to be loaded by `run`. */
export async function runProgram(run: () => Promise<number>): Promise<never> {
  // Where there is a Buffer, cbor-x uses it, and then the runtime loads its Node modules: 4 ms.
  Reflect.deleteProperty(globalThis, "Buffer");
  Deno.exit(await run());
}
