/**
 * A machine to run `podnet` on: its own network and mount namespace, and its own state directory.
 *
 * @module
 */
import { assertEquals } from "@std/assert";
import { endCompanions } from "../support/processes.ts";

const root = new URL("../../", import.meta.url).pathname;

/** In the environment of what runs on a host: what has left its namespaces is found by it. */
const MARK = "PODNET_TEST_HOST";

/** What a command line came to. */
export interface Outcome {
  readonly code: number;
  readonly stdout: string;
  readonly stderr: string;
}

/** Where a host has Deno: not in somebody's home, whoever runs the tests. */
const HOST_DENO = "/mnt/deno";

/** What a host begins with. cat lives until its standard input is closed, at the latest when the test process ends. */
const FIRST_PROCESS = `mount -t tmpfs tmpfs /mnt
: > ${HOST_DENO}
mount --bind "$0" ${HOST_DENO}
ip link set lo up
echo
exec cat`;

/** `podnet` on a host, with the permissions that its help names. */
export function podnetCommand(
  args: readonly string[],
  permissions: readonly string[] = [],
  deno: string = HOST_DENO,
): string[] {
  return [
    deno,
    ...["run", "--quiet", "--no-check", "--no-prompt"],
    ...["--allow-ffi", "--allow-run", ...permissions],
    `--config=${root}deno.json`,
    `${root}src/cli/main.ts`,
    ...args,
  ];
}

/** Runs `podnet` where the test is; for command lines that never come to the node. */
export async function podnet(...args: readonly string[]): Promise<Outcome> {
  return await outcome(spawn(podnetCommand(args, [], Deno.execPath())));
}

/** A machine that ends with the test, and with it what runs on it. */
export class Host implements AsyncDisposable {
  readonly stateDir: string;
  readonly #holder: Deno.ChildProcess;
  readonly #permissions: readonly string[];

  private constructor(
    holder: Deno.ChildProcess,
    stateDir: string,
    permissions: readonly string[],
  ) {
    this.#holder = holder;
    this.stateDir = stateDir;
    this.#permissions = permissions;
  }

  /**
   * Starts one with the loopback interface up.
   *
   * @param permissions of `podnet` on it, besides those that its help names
   */
  static async start(permissions: readonly string[] = []): Promise<Host> {
    const stateDir = await Deno.makeTempDir({ prefix: "podnet-cli-" });
    const holder = new Deno.Command("unshare", {
      args: ["-n", "-m", "sh", "-ec", FIRST_PROCESS, Deno.execPath()],
      stdin: "piped",
      stdout: "piped",
    }).spawn();
    const reader = holder.stdout.getReader();
    await reader.read();
    reader.releaseLock();
    return new Host(holder, stateDir, permissions);
  }

  /** A process in its namespaces. */
  get pid(): number {
    return this.#holder.pid;
  }

  /** Runs a program on it. */
  async run(...command: readonly string[]): Promise<Outcome> {
    return await outcome(spawn(this.#enter(command)));
  }

  /** Runs a program on it and writes to its standard input. */
  async runWith(stdin: string, command: readonly string[]): Promise<Outcome> {
    const child = spawn(this.#enter(command), "piped");
    const result = outcome(child);
    try {
      await new Response(stdin).body?.pipeTo(child.stdin);
    } catch (error) {
      // It has ended without reading all of it.
      if (!(error instanceof Deno.errors.BrokenPipe)) throw error;
    }
    return await result;
  }

  /** The command that runs `podnet` on its node "test". */
  podnetCommand(...args: readonly string[]): string[] {
    const selection = ["--state-dir", this.stateDir, "--node", "test"];
    const words = [...selection, ...args];
    return podnetCommand(words, this.#permissions);
  }

  /** Runs `podnet` on it. */
  async podnet(...args: readonly string[]): Promise<Outcome> {
    return await this.run(...this.podnetCommand(...args));
  }

  /** Runs `podnet`, which has to succeed without a word on stderr; the result is what it printed. */
  async ok(...args: readonly string[]): Promise<string> {
    const { code, stdout, stderr } = await this.podnet(...args);
    assertEquals({ code, stderr }, { code: 0, stderr: "" }, args.join(" "));
    return stdout;
  }

  /** What `podnet … -o json` prints. */
  async json(...args: readonly string[]): Promise<unknown> {
    return JSON.parse(await this.ok(...args, "-o", "json"));
  }

  /** Starts `podnet` on it. */
  start(...args: readonly string[]): Running {
    return new Running(spawn(this.#enter(this.podnetCommand(...args))));
  }

  /** Starts `podnet` on it with signals ignored, as nohup does and a shell that runs something in the background. */
  startIgnoring(signals: string, ...args: readonly string[]): Running {
    const command = ["env", `--ignore-signal=${signals}`];
    const podnet = this.podnetCommand(...args);
    return new Running(spawn(this.#enter([...command, ...podnet])));
  }

  /** Starts `podnet` on it with a pipe as its standard output that is full already, and that nobody reads. */
  startUnread(...args: readonly string[]): Unread {
    // As much as a pipe holds (pipe(7)).
    const script = 'head -c 65536 /dev/zero; exec "$@"';
    const command = ["sh", "-c", script, "sh", ...this.podnetCommand(...args)];
    return new Unread(spawn(this.#enter(command)));
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await endCompanions(this.pid, `${MARK}=${this.stateDir}`);
    await this.#holder.stdin.close();
    await this.#holder.stdout.cancel();
    await this.#holder.status;
    await Deno.remove(this.stateDir, { recursive: true });
  }

  #enter(command: readonly string[]): string[] {
    const target = `--target=${this.pid}`;
    const mark = `${MARK}=${this.stateDir}`;
    // Whoever runs the tests in the background has them ignore signals.
    const env = ["env", "--default-signal", mark];
    return ["nsenter", target, "--net", "--mount", ...env, ...command];
  }
}

/** A process whose output is read line by line. */
export class Running {
  readonly #child: Deno.ChildProcess;
  readonly #output: ReadableStreamDefaultReader<string>;
  readonly #stderr: Promise<string>;
  #text = "";

  constructor(child: Deno.ChildProcess) {
    this.#child = child;
    this.#output = child.stdout.pipeThrough(new TextDecoderStream())
      .getReader();
    this.#stderr = new Response(child.stderr).text();
  }

  /** Signals that it ignores, signal n as bit n - 1 (proc_pid_status(5)). */
  get ignored(): bigint {
    const status = Deno.readTextFileSync(`/proc/${this.#child.pid}/status`);
    return BigInt(`0x${/^SigIgn:\s*(.*)$/m.exec(status)?.[1]}`);
  }

  /** The next line of its standard output; empty when there is none. */
  async line(): Promise<string> {
    for (;;) {
      const end = this.#text.indexOf("\n");
      if (end >= 0) {
        const line = this.#text.slice(0, end);
        this.#text = this.#text.slice(end + 1);
        return line;
      }
      const { done, value } = await this.#output.read();
      if (done) return "";
      this.#text += value;
    }
  }

  /** Sends it a signal and waits for its end. */
  async end(signal: Deno.Signal): Promise<{ code: number; stderr: string }> {
    this.#child.kill(signal);
    while (!(await this.#output.read()).done);
    const { code } = await this.#child.status;
    return { code, stderr: await this.#stderr };
  }
}

/** A process whose output nobody reads. */
export class Unread {
  readonly #child: Deno.ChildProcess;

  constructor(child: Deno.ChildProcess) {
    this.#child = child;
  }

  /** Sends it a signal and waits for its end. */
  async end(signal: Deno.Signal): Promise<{ code: number; stderr: string }> {
    this.#child.kill(signal);
    const { code } = await this.#child.status;
    await this.#child.stdout.cancel();
    return { code, stderr: await new Response(this.#child.stderr).text() };
  }
}

function spawn(
  [command = "", ...args]: readonly string[],
  stdin: "null" | "piped" = "null",
): Deno.ChildProcess {
  return new Deno.Command(command, {
    args,
    env: { NO_COLOR: "1", RUST_BACKTRACE: "0" },
    stdin,
    stdout: "piped",
    stderr: "piped",
  }).spawn();
}

async function outcome(child: Deno.ChildProcess): Promise<Outcome> {
  const [{ code }, stdout, stderr] = await Promise.all([
    child.status,
    new Response(child.stdout).text(),
    new Response(child.stderr).text(),
  ]);
  return { code, stdout, stderr };
}
