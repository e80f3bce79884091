/**
 * Other processes that have a node open and do what they are told, all at the same moment.
 *
 * @module
 */
import { assert, assertEquals } from "@std/assert";
import type {
  NodeOptions,
  SandboxErrorCode,
  SandboxErrorContexts,
  SandboxSpec,
} from "../../mod.ts";
import type { NetworkNamespace } from "../../src/namespace/network_namespace.ts";

/** What a process is to do. */
export type Order =
  | { readonly action: "open"; readonly node: NodeOptions }
  | { readonly action: "create"; readonly spec: SandboxSpec }
  | {
    readonly action: "remove";
    readonly name: string;
    readonly force: boolean;
  }
  | { readonly action: "check" | "repair" | "collectGarbage" }
  | { readonly action: "removeNode"; readonly force: boolean };

/** An order, and when to begin: milliseconds of the epoch. */
export interface TimedOrder {
  readonly at: number;
  readonly order: Order;
}

/** What became of an order. */
export interface Outcome {
  readonly value?: unknown;
  readonly error?: {
    readonly code: SandboxErrorCode;
    readonly context: unknown;
  };
  /** An error of any other kind, or one that left something behind. */
  readonly unexpected?: string;
}

/** Time for all processes to read their orders. */
const HEAD_START_MS = 15;

/** Several such processes. */
export class Agents implements AsyncDisposable {
  readonly #agents: readonly Agent[];

  private constructor(agents: readonly Agent[]) {
    this.#agents = agents;
  }

  static start(count: number): Agents {
    return new Agents(Array.from({ length: count }, () => new Agent()));
  }

  get count(): number {
    return this.#agents.length;
  }

  /** Each obeys its order, all from the same moment on. */
  async race(orderOf: (number: number) => Order): Promise<Outcome[]> {
    const at = Date.now() + HEAD_START_MS;
    const outcomes = await Promise.all(
      this.#agents.map((agent, i) => agent.obey({ at, order: orderOf(i) })),
    );
    for (const { unexpected } of outcomes) assertEquals(unexpected, undefined);
    return outcomes;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    for (const agent of this.#agents) await agent[Symbol.asyncDispose]();
  }
}

class Agent implements AsyncDisposable {
  readonly #child: Deno.ChildProcess;
  readonly #output: ReadableStreamDefaultReader<Uint8Array>;
  readonly #input: WritableStreamDefaultWriter<Uint8Array>;
  readonly #decoder = new TextDecoder();
  #rest = "";

  constructor() {
    this.#child = new Deno.Command(Deno.execPath(), {
      args: [
        "run",
        "--quiet",
        "--no-check",
        "--cached-only",
        "--allow-ffi",
        new URL("./fixtures/agent.ts", import.meta.url).href,
      ],
      stdin: "piped",
      stdout: "piped",
    }).spawn();
    // Not through a decoder, which would read ahead into the next test.
    this.#output = this.#child.stdout.getReader();
    this.#input = this.#child.stdin.getWriter();
  }

  async obey(order: TimedOrder): Promise<Outcome> {
    const line = new TextEncoder().encode(`${JSON.stringify(order)}\n`);
    await this.#input.write(line);
    return JSON.parse(await this.#readLine());
  }

  async #readLine(): Promise<string> {
    while (!this.#rest.includes("\n")) {
      const { value, done } = await this.#output.read();
      if (done) throw new Error(`a process ended after "${this.#rest}"`);
      this.#rest += this.#decoder.decode(value, { stream: true });
    }
    const end = this.#rest.indexOf("\n");
    const line = this.#rest.slice(0, end);
    this.#rest = this.#rest.slice(end + 1);
    return line;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#input.close();
    const { code } = await this.#child.status;
    await this.#output.cancel();
    assertEquals(code, 0);
  }
}

/** What those brought home who succeeded. */
export function valuesOf<T>(outcomes: readonly Outcome[]): T[] {
  return outcomes.flatMap(({ value, error }) =>
    error === undefined ? [value as T] : []
  );
}

/** Asserts that all the others were refused with one of these codes, and returns the contexts. */
export function refusalsOf<C extends SandboxErrorCode>(
  outcomes: readonly Outcome[],
  ...codes: readonly C[]
): SandboxErrorContexts[C][] {
  return outcomes.flatMap(({ error }) => {
    if (error === undefined) return [];
    assert(
      (codes as readonly string[]).includes(error.code),
      JSON.stringify(error),
    );
    return [error.context as SandboxErrorContexts[C]];
  });
}

/** Path of a namespace for other processes. */
export function namespacePath(namespace: NetworkNamespace): string {
  return `/proc/${Deno.pid}/fd/${namespace.fd}`;
}
