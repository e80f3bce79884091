/**
 * Machines on a segment that are to be nodes of a cluster, with paths that are only noted.
 *
 * @module
 */
import type { Cluster } from "../../src/cluster/cluster.ts";
import { joinWith } from "../../src/cluster/join.ts";
import type { JoinOptions } from "../../src/cluster/join_options.ts";
import type { ClusterMember } from "../../src/cluster/member.ts";
import type { Paths } from "../../src/cluster/path_keeper.ts";
import { NetworkNamespace } from "../../src/namespace/network_namespace.ts";
import { Cidr } from "../../src/net/cidr.ts";
import { Underlay } from "../../src/testing/underlay.ts";

/** Of a cluster in the tests. */
export const POD_CIDRS = ["10.244.0.0/16", "fd00:10:244::/48"];

const SEGMENT = [Cidr.parse("192.168.50.0/24"), Cidr.parse("fd50::/64")];

/** What would be programmed, pass by pass. */
export class NotedPaths implements Paths {
  /** Names of the others, in the order of passes. */
  readonly passes: {
    readonly names: readonly string[];
    readonly at: number;
  }[] = [];
  /** Thrown by the next pass. */
  failure: Error | undefined;
  /** Milliseconds that a pass takes. */
  costMs = 0;
  #waiting: (() => void)[] = [];

  apply(self: ClusterMember, members: readonly ClusterMember[]) {
    const names = members.map(({ name }) => name)
      .filter((name) => name !== self.name);
    const end = performance.now() + this.costMs;
    while (performance.now() < end);
    const { failure } = this;
    this.failure = undefined;
    if (failure !== undefined) return Promise.reject(failure);
    this.passes.push({ names, at: performance.now() });
    for (const wake of this.#waiting.splice(0)) wake();
    return Promise.resolve({ changes: [], refused: [] });
  }

  /** Who has a path. */
  get names(): readonly string[] {
    return this.passes.at(-1)?.names ?? [];
  }

  /** Waits until a pass leaves these. */
  async until(...names: readonly string[]): Promise<void> {
    while (String(this.names) !== String(names)) {
      await new Promise<void>((wake) => this.#waiting.push(wake));
    }
  }

  repair() {
    return Promise.resolve({ mended: [] });
  }
}

/** A cluster that was joined, and the paths that it has. */
export type Joined = Cluster & { readonly noted: NotedPaths };

/** Machines, made when they are first named. Disposing takes them away; whoever joined must be disposed before. */
export class Machines implements Disposable {
  readonly #underlay = new Underlay();
  readonly #namespaces = new Map<number, NetworkNamespace>();
  readonly #stateDirs: string[] = [];

  /** Of a machine. */
  namespace(number: number): NetworkNamespace {
    const known = this.#namespaces.get(number);
    if (known !== undefined) return known;
    const namespace = NetworkNamespace.create();
    this.#namespaces.set(number, namespace);
    const addresses = SEGMENT.map((cidr) => cidr.at(BigInt(number)));
    this.#underlay.attach(namespace, number, addresses, SEGMENT);
    return namespace;
  }

  /** A state directory that no boot has seen. */
  stateDir(): string {
    const directory = Deno.makeTempDirSync({ prefix: "podnet-" });
    this.#stateDirs.push(directory);
    return directory;
  }

  /** Joins with a machine, as node `n<number>` unless it is told another name. */
  async join(
    number: number,
    { node = {}, ...options }: JoinOptions,
  ): Promise<Joined> {
    const noted = new NotedPaths();
    const cluster = await joinWith(() => noted, {
      // On a busy machine a process may not have its turn for a second or two.
      leaseSeconds: 5,
      timeoutMs: 5000,
      cluster: { podCidrs: POD_CIDRS },
      ...options,
      node: {
        name: `n${number}`,
        netns: this.namespace(number),
        stateDir: this.stateDir(),
        ...node,
      },
    });
    return Object.assign(cluster, { noted });
  }

  [Symbol.dispose](): void {
    for (const namespace of this.#namespaces.values()) {
      namespace[Symbol.dispose]();
    }
    this.#underlay[Symbol.dispose]();
    for (const directory of this.#stateDirs) {
      Deno.removeSync(directory, { recursive: true });
    }
  }
}

/** Waits until it holds. */
export async function eventually(
  holds: () => boolean | Promise<boolean>,
): Promise<void> {
  while (!await holds()) {
    await new Promise((wake) => setTimeout(wake, 10));
  }
}
