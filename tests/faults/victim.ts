/**
 * A process that dies in the middle of an operation, by its own hand: SIGKILL, in front of the call of the C library that
 * it was told.
 *
 * Started ahead of time, it waits for one line of input with its {@linkcode Order}. It says what it died in front of; when
 * it comes to the operation's end before, it says `done` and dies there.
 *
 * @module
 */
import { changesSomething, describe } from "./calls.ts";
import { intercepting } from "./intercept.ts";
import { type OperationName, ready, type Scene } from "./operations.ts";

/** When to die in what. */
export interface Order {
  readonly operation: OperationName;
  readonly scene: Scene;
  /** In front of which of the calls that count, from 0. */
  readonly point: number;
  /** Which calls count: those that change something, or all. */
  readonly counting: "changes" | "calls";
}

function die(lastWords: string): void {
  // Synchronous: nothing else of this process runs between the words and the end.
  Deno.stdout.writeSync(new TextEncoder().encode(lastWords));
  Deno.kill(Deno.pid, "SIGKILL");
}

const buffer = new Uint8Array(1 << 16);
const length = Deno.stdin.readSync(buffer) ?? 0;
const { operation, scene, point, counting }: Order = JSON.parse(
  new TextDecoder().decode(buffer.subarray(0, length)),
);
await using opened = new AsyncDisposableStack();
const run = await ready(operation, scene, opened);
let count = 0;
await intercepting((call, carryOut) => {
  if (counting === "calls" || changesSomething(call)) {
    if (count++ === point) die(`before ${describe(call)}`);
  }
  return carryOut();
}, run);
die("done");
