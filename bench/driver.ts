/**
 * A program under measurement, in a network and mount namespace of its own,
 * driven by commands: see `reference/common.h` for the protocol.
 *
 * @module
 */

/** What a command took, each of its operations, in nanoseconds. */
export interface Laps {
  readonly wall: readonly number[];
  /** User and system time of the program and of the children it waited for. */
  readonly cpu: readonly number[];
}

/** How a program is started. */
export interface DriverOptions {
  /** For messages and tables. */
  readonly name: string;
  readonly command: readonly string[];
  /** Where it keeps its files. */
  readonly directory: string;
  readonly env?: Readonly<Record<string, string>>;
  /**
   * The command that enters its namespaces.
   * @default new ones
   */
  readonly enter?: readonly string[];
}

/**
 * Enters new namespaces, with an uplink that has addresses, as every node has: on a node without any the kernel looks for
 * one at all links whenever a route is added (inet_select_addr). What `ip netns` leaves is in nobody's way.
 */
const FRESH = [
  "unshare",
  "--net",
  "--mount",
  "--propagation=private",
  "sh",
  "-ec",
  `ip link add uplink type veth peer name outside
  ip address add 198.51.100.2/24 dev uplink
  ip address add 2001:db8:100::2/64 dev uplink nodad
  mkdir -p /run/netns
  mount -t tmpfs tmpfs /run/netns
  exec "$@"`,
  "sh",
];

/** Enters those of a process, or of a process and a pod. */
export function inside(pid: number, netns?: string): string[] {
  const enter = ["nsenter", `--target=${pid}`, "--mount"];
  // nsenter opens all paths before it enters, so the pod's is one that leads through the process.
  return netns === undefined
    ? [...enter, "--net"]
    : [...enter, `--net=/proc/${pid}/root${netns}`];
}

/** One running program. Disposing kills it; the kernel destroys its namespaces. */
export class Driver implements AsyncDisposable {
  readonly name: string;
  readonly directory: string;
  readonly #child: Deno.ChildProcess;
  readonly #input: WritableStreamDefaultWriter<Uint8Array>;
  readonly #lines: ReadableStreamDefaultReader<string>;
  #rest = "";

  constructor(options: DriverOptions) {
    const { name, command, directory, env = {}, enter = FRESH } = options;
    this.name = name;
    this.directory = directory;
    const [program = "", ...args] = [...enter, ...command];
    this.#child = new Deno.Command(program, {
      args,
      env: { ...env },
      stdin: "piped",
      stdout: "piped",
    }).spawn();
    this.#input = this.#child.stdin.getWriter();
    this.#lines = this.#child.stdout.pipeThrough(new TextDecoderStream())
      .getReader();
  }

  /** The program's: unshare(1), nsenter(1) and sh(1) become it. */
  get pid(): number {
    return this.#child.pid;
  }

  /** Sends a command and returns the line that answers it. */
  async ask(...words: readonly (string | number)[]): Promise<string> {
    await this.#input.write(new TextEncoder().encode(`${words.join(" ")}\n`));
    return await this.line();
  }

  /** The next line that it prints. */
  async line(): Promise<string> {
    for (;;) {
      const end = this.#rest.indexOf("\n");
      if (end >= 0) {
        const line = this.#rest.slice(0, end);
        this.#rest = this.#rest.slice(end + 1);
        return line;
      }
      const { value, done } = await this.#lines.read();
      if (done) {
        const { code } = await this.#child.status;
        throw new Error(`${this.name} ended with code ${code}`);
      }
      this.#rest += value;
    }
  }

  /** Waits until it has the namespaces that it was to have: the programs before it have become it. */
  async ready(): Promise<void> {
    const program = () => Deno.readTextFile(`/proc/${this.pid}/comm`);
    while (/^(unshare|nsenter|deno|sh)$/.test((await program()).trim())) {
      await new Promise((resolve) => setTimeout(resolve, 5));
    }
  }

  /** Sends a command that times its operations. */
  async laps(...words: readonly (string | number)[]): Promise<Laps> {
    return JSON.parse(await this.ask(...words));
  }

  /** How many links the node has: those of removed pods go when the kernel has come to it. */
  async links(): Promise<number> {
    const table = await Deno.readTextFile(`/proc/${this.pid}/net/dev`);
    return table.trimEnd().split("\n").length;
  }

  /** Waits until the node has at most so many links. */
  async settle(links: number): Promise<void> {
    for (let tries = 0; await this.links() > links; tries++) {
      if (tries > 6000) throw new Error(`${this.name}: links stay`);
      await new Promise((resolve) => setTimeout(resolve, 10));
    }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#input.close().catch(() => {});
    // Its end of input ends it; pods' namespaces take their time to go.
    const timer = setTimeout(() => this.#child.kill("SIGKILL"), 60_000);
    await this.#lines.cancel().catch(() => {});
    await this.#child.status;
    clearTimeout(timer);
  }
}
