/**
 * Starts processes that die as they are told; see `victim.ts`.
 *
 * @module
 */
import { assert, assertEquals } from "@std/assert";
import type { Order } from "./victim.ts";

/** What became of the process. */
export interface Death {
  /** `done` when the operation was at its end, else the call that it died in front of. */
  readonly lastWords: string;
  /** Whether the operation had come to its end. */
  readonly isLast: boolean;
}

/** Processes that die, one after the other. The next is started while the last one's death is looked at. */
export class Victims implements AsyncDisposable {
  #next: Deno.ChildProcess = start();

  /** Lets one die, and waits until it has. */
  async die(order: Order): Promise<Death> {
    const victim = this.#next;
    this.#next = start();
    const input = victim.stdin.getWriter();
    await input.write(new TextEncoder().encode(JSON.stringify(order)));
    await input.close();
    const { stdout, stderr, signal } = await victim.output();
    const decoder = new TextDecoder();
    const lastWords = decoder.decode(stdout);
    assertEquals(signal, "SIGKILL", `${lastWords}\n${decoder.decode(stderr)}`);
    assert(lastWords !== "", "the process died before it was to");
    return { lastWords, isLast: lastWords === "done" };
  }

  /** Ends the one that was started ahead of time. */
  async [Symbol.asyncDispose](): Promise<void> {
    const victim = this.#next;
    // Nothing to do, so it ends by an error.
    await victim.stdin.close();
    await victim.output();
  }
}

function start(): Deno.ChildProcess {
  return new Deno.Command(Deno.execPath(), {
    args: [
      "run",
      "--quiet",
      "--cached-only",
      "--frozen",
      "--no-check",
      "--allow-ffi",
      "--allow-run",
      new URL("victim.ts", import.meta.url).pathname,
    ],
    env: { NO_COLOR: "1" },
    stdin: "piped",
    stdout: "piped",
    stderr: "piped",
  }).spawn();
}
