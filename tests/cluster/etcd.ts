/**
 * An etcd of one or more members on loopback addresses of the tests' own namespace.
 *
 * @module
 */
import { EtcdStore } from "../../src/cluster/etcd/etcd_store.ts";
import type { EtcdOptions } from "../../src/cluster/etcd/options.ts";
import { eventually } from "../support/patience.ts";

/** What an etcd is to be. */
export interface EtcdTestOptions {
  /** @default 1 */
  readonly members?: number;
  /**
   * Address of the first member.
   * @default one of its own
   */
  readonly host?: string;
  /** Id of a process in the network namespace to run in; then nobody waits until it answers. */
  readonly netns?: number;
  /** Files of the certificates; then clients need one too. */
  readonly tls?: {
    readonly ca: string;
    readonly cert: string;
    readonly key: string;
  };
}

/** A letter for each thread of a process, `T` when it is stopped. */
function threadStates(pid: number): string[] {
  return [...Deno.readDirSync(`/proc/${pid}/task`)].map(({ name }) => {
    const stat = Deno.readTextFileSync(`/proc/${pid}/task/${name}/stat`);
    // The name before it may have parentheses and blanks.
    return stat.charAt(stat.lastIndexOf(")") + 2);
  });
}

/** Members get addresses of their own, so that a test can tell them apart. */
let used = 0;

/** A running etcd. Disposing it ends its processes and removes its data. */
export class Etcd implements AsyncDisposable {
  readonly endpoints: readonly string[];
  readonly #directory: string;
  readonly #options: EtcdTestOptions;
  readonly #hosts: readonly string[];
  readonly #running = new Map<number, Deno.ChildProcess>();

  private constructor(options: EtcdTestOptions) {
    this.#options = options;
    this.#directory = Deno.makeTempDirSync({ prefix: "etcd-" });
    const { members = 1, tls, host } = options;
    this.#hosts = Array.from(
      { length: members },
      () => host ?? `127.0.7.${++used}`,
    );
    const scheme = tls === undefined ? "http" : "https";
    this.endpoints = this.#hosts.map((host) => `${scheme}://${host}:2379`);
  }

  /** Starts one and waits until it answers. */
  static async start(options: EtcdTestOptions = {}): Promise<Etcd> {
    const etcd = new Etcd(options);
    try {
      for (const member of etcd.#hosts.keys()) etcd.spawn(member);
      const isReached = options.tls === undefined &&
        options.netns === undefined;
      if (isReached) await etcd.answers();
      return etcd;
    } catch (error) {
      await etcd[Symbol.asyncDispose]();
      throw error;
    }
  }

  /** Starts a member, with the data that it has. */
  spawn(member = 0): void {
    const host = this.#hosts[member];
    const { tls, netns } = this.#options;
    const peers = this.#hosts.map((host, i) => `m${i}=http://${host}:2380`);
    const [program = "", ...before] = [
      ...netns === undefined ? [] : ["nsenter", `--net=/proc/${netns}/ns/net`],
      "/usr/bin/etcd",
    ];
    this.#running.set(
      member,
      new Deno.Command(program, {
        args: [
          ...before,
          `--name=m${member}`,
          `--data-dir=${this.#directory}/m${member}`,
          `--listen-client-urls=${this.endpoints[member]}`,
          `--advertise-client-urls=${this.endpoints[member]}`,
          `--listen-peer-urls=http://${host}:2380`,
          `--initial-advertise-peer-urls=http://${host}:2380`,
          `--initial-cluster=${peers.join(",")}`,
          "--heartbeat-interval=50",
          "--election-timeout=300",
          "--unsafe-no-fsync",
          "--logger=zap",
          `--log-outputs=${this.#directory}/log${member}`,
          ...tls === undefined ? [] : [
            "--client-cert-auth",
            `--trusted-ca-file=${tls.ca}`,
            `--cert-file=${tls.cert}`,
            `--key-file=${tls.key}`,
          ],
        ],
        stdin: "null",
        stdout: "null",
        stderr: "null",
      }).spawn(),
    );
  }

  /** Kills a member; its data stay. */
  async kill(member = 0): Promise<void> {
    const child = this.#running.get(member);
    this.#running.delete(member);
    this.#signal(child, "SIGKILL");
    await child?.status;
  }

  /** Kills the only member, forgets its data, and starts it again. */
  async lose(): Promise<void> {
    await this.kill();
    await Deno.remove(`${this.#directory}/m0`, { recursive: true });
    this.spawn();
  }

  /** Keeps a copy of the only member's data, and starts it again; so does the result, with that copy. */
  async backUp(): Promise<() => Promise<void>> {
    const data = `${this.#directory}/m0`;
    const copy = (from: string, to: string) =>
      new Deno.Command("cp", { args: ["-a", from, to] }).output();
    await this.kill();
    await copy(data, `${data}.old`);
    this.spawn();
    return async () => {
      await this.kill();
      await Deno.remove(data, { recursive: true });
      await copy(`${data}.old`, data);
      this.spawn();
    };
  }

  /** Stops a member where it is, so that it answers nothing and closes nothing. */
  async freeze(member = 0): Promise<void> {
    const child = this.#running.get(member);
    this.#signal(child, "SIGSTOP");
    // One of its threads has to take the signal before the others stop.
    await eventually(() => {
      const isStopped = threadStates(child?.pid ?? 0)
        .every((state) => state === "T");
      if (!isStopped) throw new Error(`etcd ${member} does not stop`);
    });
  }

  /** Lets a frozen member go on. */
  thaw(member = 0): void {
    this.#signal(this.#running.get(member), "SIGCONT");
  }

  /** What has ended by itself is missed by who asks it, and its end is not to hide that. */
  #signal(child: Deno.ChildProcess | undefined, signal: Deno.Signal): void {
    try {
      child?.kill(signal);
    } catch (error) {
      if (!(error instanceof TypeError)) throw error;
    }
  }

  /** Waits until all the members that run answer. */
  async answers(): Promise<void> {
    for (const member of this.#running.keys()) {
      await this.call(member, "kv/range", { key: "AA==" });
    }
  }

  /** Asks a member something that the store does not, again until it is able to answer. */
  async call(member: number, path: string, body: unknown): Promise<unknown> {
    return await eventually(async () => {
      const response = await fetch(`${this.endpoints[member]}/v3/${path}`, {
        method: "POST",
        body: JSON.stringify(body),
        headers: { connection: "close" },
      });
      const text = await response.text();
      if (!response.ok) throw new Error(text);
      return JSON.parse(text);
    });
  }

  /** The number of the member that leads. */
  async leader(): Promise<number> {
    return await eventually(async () => {
      for (const member of this.#running.keys()) {
        const { header, leader } = await this.call(
          member,
          "maintenance/status",
          {},
        ) as { header: { member_id: string }; leader?: string };
        if (header.member_id === leader) return member;
      }
      throw new Error("no member leads");
    });
  }

  /** Forgets the history until now. */
  async compact(): Promise<void> {
    const { header } = await this.call(0, "kv/range", { key: "AA==" }) as {
      header: { revision: string };
    };
    await this.call(0, "kv/compaction", { revision: header.revision });
  }

  /** A store in it. */
  store(
    options: Partial<EtcdOptions> & {
      readonly cluster?: string;
      readonly leaseSeconds?: number;
    } = {},
  ): EtcdStore {
    return new EtcdStore({
      endpoints: this.endpoints,
      cluster: "test",
      leaseSeconds: 60,
      timeoutMs: 20_000,
      ...options,
    });
  }

  async [Symbol.asyncDispose](): Promise<void> {
    for (const member of [...this.#running.keys()]) {
      this.thaw(member);
      await this.kill(member);
    }
    await Deno.remove(this.#directory, { recursive: true });
  }
}
