/**
 * The CNI plugin as a program: its environment, standard input and output, and exit code.
 *
 * @module
 */
import { runProgram } from "./program.ts";

/** Runs the plugin; the result is the exit code. */
export async function cniPlugin(): Promise<number> {
  // Loaded as one, when there is no Buffer any more.
  const { runPlugin } = await import("../cni/plugin/run.ts");
  const { stdout, stderr, code, undo } = await runPlugin(
    (name) => Deno.env.get(name),
    readStdin,
  );
  try {
    write(Deno.stdout, stdout);
  } catch (error) {
    await undo?.();
    write(Deno.stderr, `the answer cannot be written: ${error}\n`);
    return 1;
  }
  write(Deno.stderr, stderr);
  return code;
}

/** All of standard input; nothing of a terminal, where nobody writes a configuration. */
function readStdin(): Uint8Array<ArrayBuffer> {
  if (Deno.stdin.isTerminal()) return new Uint8Array();
  const chunks: Uint8Array<ArrayBuffer>[] = [];
  for (;;) {
    const chunk = new Uint8Array(65536);
    const length = Deno.stdin.readSync(chunk);
    if (length === null) break;
    chunks.push(chunk.subarray(0, length));
  }
  const bytes = new Uint8Array(
    chunks.reduce((sum, { length }) => sum + length, 0),
  );
  let at = 0;
  for (const chunk of chunks) {
    bytes.set(chunk, at);
    at += chunk.length;
  }
  return bytes;
}

function write(
  stream: { writeSync(data: Uint8Array): number },
  text: string,
): void {
  let rest = new TextEncoder().encode(text);
  while (rest.length > 0) rest = rest.subarray(stream.writeSync(rest));
}

if (import.meta.main) await runProgram(() => cniPlugin());
