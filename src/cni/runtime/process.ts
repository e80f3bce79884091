/**
 * One run of a program that reads a document and answers with one: with a time limit, and whatever it does.
 * @module
 */

import { Errno } from "../../../ffi/errno.ts";
import { processGroup } from "../../../ffi/process.ts";
import type { NetworkNamespace } from "../../namespace/network_namespace.ts";
import { spawn } from "../../namespace/pod_io.ts";
import type { ContainerInterface } from "./command.ts";
import { endWorkers } from "./workers.ts";

/** A program and what it is given. */
export interface Program {
  /** Its file. */
  readonly path: string;
  /** Added to this process's own environment. */
  readonly env: Readonly<Record<string, string>>;
  /** What it works for, if its environment tells. */
  readonly container: Pick<ContainerInterface, "containerId" | "ifName">;
  /** What it can read. */
  readonly stdin: string;
  /** When it is killed, in milliseconds. */
  readonly timeoutMs: number;
  /** Where it is born. */
  readonly namespace: NetworkNamespace;
}

/** How a program ended. */
export interface Ended {
  /** Its exit code; 128 and the signal's number when a signal ended it. */
  readonly code: number;
  /** Why this process killed it. */
  readonly killed?: "timeout" | "overlong";
  /** What it wrote on its standard output. */
  readonly stdout: string;
  /** What it wrote on its standard error, the beginning of it. */
  readonly stderr: string;
}

/** No document of a plugin is that long. */
const MAX_STDOUT_BYTES = 1 << 20;
const MAX_STDERR_BYTES = 1 << 14;

/** A program that ended has written all it will; what keeps its output open is a child of its. */
const GRACE_MS = 500;

/** Who installs a plugin has it open for writing for a moment. The reference implementation waits for 5 s. */
const BUSY_ATTEMPTS = 25;
const BUSY_WAIT_MS = 200;

/**
 * Runs a program to its end. Needs `--allow-run`.
 *
 * When it is killed, whoever does it, what it had started is killed, too, but for daemons.
 *
 * @throws {Deno.errors.NotFound} without the file, or the interpreter that its first line names
 * @throws {Deno.errors.PermissionDenied} when it may not be executed
 * @throws {Deno.errors.NotCapable} without `--allow-run`
 */
export async function execute(program: Program): Promise<Ended> {
  const child = await start(program);
  let killed: Ended["killed"];
  const kill = (why: NonNullable<Ended["killed"]>) => {
    killed ??= why;
    try {
      child.kill("SIGKILL");
    } catch (error) {
      // It has ended by itself.
      if (!(error instanceof TypeError)) throw error;
    }
  };
  const stdout = new Collector(
    child.stdout,
    MAX_STDOUT_BYTES,
    () => kill("overlong"),
  );
  const stderr = new Collector(child.stderr, MAX_STDERR_BYTES);
  const input = child.stdin.getWriter();
  const fed = feed(input, program.stdin);
  const timer = setTimeout(() => kill("timeout"), program.timeoutMs);
  const { code, signal } = await child.status;
  clearTimeout(timer);
  if (signal !== null && program.container.containerId !== "") {
    await endWorkers({ ...program.container, group: processGroup() });
  }
  await Promise.all([stdout.finish(), stderr.finish()]);
  await input.abort().catch(() => {});
  await fed;
  return {
    code,
    ...killed === undefined ? {} : { killed },
    stdout: stdout.text,
    stderr: stderr.text,
  };
}

async function start(
  { path, env, namespace }: Program,
): Promise<Deno.ChildProcess> {
  for (let attempt = 1;; attempt++) {
    try {
      return spawn(namespace, path, {
        env: { ...env },
        stdin: "piped",
        stdout: "piped",
        stderr: "piped",
      });
    } catch (error) {
      if (!isBusy(error) || attempt === BUSY_ATTEMPTS) throw error;
    }
    await new Promise((wake) => setTimeout(wake, BUSY_WAIT_MS));
  }
}

/** Deno has no class or code for ETXTBSY; the number stands in the message only. */
function isBusy(error: unknown): boolean {
  return error instanceof Error &&
    error.message.endsWith(`(os error ${Errno.ETXTBSY})`);
}

/** It may end without reading all of it, which is its own business. */
async function feed(
  input: WritableStreamDefaultWriter<Uint8Array<ArrayBuffer>>,
  text: string,
): Promise<void> {
  try {
    await input.write(new TextEncoder().encode(text));
    await input.close();
  } catch {
    // Nobody reads it any more.
  }
}

/** What a program writes. */
class Collector {
  readonly #reader: ReadableStreamDefaultReader<Uint8Array<ArrayBuffer>>;
  readonly #chunks: Uint8Array<ArrayBuffer>[] = [];
  readonly #end: Promise<void>;

  /** @param onOverflow called once when it is too much; what is too much is read and dropped */
  constructor(
    stream: ReadableStream<Uint8Array<ArrayBuffer>>,
    maxBytes: number,
    onOverflow?: () => void,
  ) {
    this.#reader = stream.getReader();
    this.#end = this.#collect(maxBytes, onOverflow);
  }

  get text(): string {
    const bytes = new Uint8Array(
      this.#chunks.reduce((sum, { length }) => sum + length, 0),
    );
    let at = 0;
    for (const chunk of this.#chunks) {
      bytes.set(chunk, at);
      at += chunk.length;
    }
    return new TextDecoder().decode(bytes);
  }

  /** Reads to the end, or for a moment more: something that the program has started may keep its output open for ever. */
  async finish(): Promise<void> {
    const timer = setTimeout(() => void this.#reader.cancel(), GRACE_MS);
    await this.#end;
    clearTimeout(timer);
  }

  async #collect(maxBytes: number, onOverflow?: () => void): Promise<void> {
    let room = maxBytes;
    for (;;) {
      // A pipe that cannot be read has come to its end.
      const { value, done } = await this.#reader.read()
        .catch(() => ({ value: undefined, done: true as const }));
      if (done) return;
      if (room > 0) this.#chunks.push(value.slice(0, room));
      if (room >= 0 && value.length > room) onOverflow?.();
      room -= value.length;
    }
  }
}
