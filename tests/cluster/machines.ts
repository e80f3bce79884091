/**
 * Machines on a segment that are to be nodes of a cluster, with paths that are only noted.
 *
 * @module
 */
import { assert, assertRejects } from "@std/assert";
import type { Cluster } from "../../src/cluster/cluster.ts";
import { joinWith } from "../../src/cluster/join.ts";
import type { JoinOptions } from "../../src/cluster/join_options.ts";
import type { ClusterMember } from "../../src/cluster/member.ts";
import { leaveCluster } from "../../src/cluster/leave.ts";
import type { Paths } from "../../src/cluster/path_keeper.ts";
import { isSandboxError, SandboxError } from "../../src/errors.ts";
import { NetworkNamespace } from "../../src/namespace/network_namespace.ts";
import { Cidr } from "../../src/net/cidr.ts";
import type { NodeRemoveOptions } from "../../src/sandbox/node.ts";
import { Underlay } from "../../src/testing/underlay.ts";
import { PATIENCE_MS, until } from "../support/patience.ts";

/** Of a cluster in the tests. */
export const POD_CIDRS = ["10.244.0.0/16", "fd00:10:244::/48"];

const SEGMENT = [Cidr.parse("192.168.50.0/24"), Cidr.parse("fd50::/64")];

/** What would be programmed, pass by pass. */
export class NotedPaths implements Paths {
  /** Names of the others, in the order of passes. */
  readonly passes: (readonly string[])[] = [];
  /** Thrown by the next pass. */
  failure: Error | undefined;
  #held: Promise<void> | undefined;

  /** Passes take until the result is disposed. */
  hold(): Disposable {
    const { promise, resolve } = Promise.withResolvers<void>();
    this.#held = promise;
    return {
      [Symbol.dispose]: () => {
        this.#held = undefined;
        resolve();
      },
    };
  }

  async apply(self: ClusterMember, members: readonly ClusterMember[]) {
    const { failure } = this;
    this.failure = undefined;
    if (failure !== undefined) throw failure;
    this.passes.push(
      members.map(({ name }) => name).filter((name) => name !== self.name),
    );
    await this.#held;
    return { changes: [], refused: [] };
  }

  /** Who has a path. */
  get names(): readonly string[] {
    return this.passes.at(-1) ?? [];
  }

  /** Waits until a pass leaves these. */
  async until(...names: readonly string[]): Promise<void> {
    await until(
      () => String(this.names) === String(names),
      `the last of ${this.passes.length} passes had not ${names}`,
    );
  }

  repair() {
    return Promise.resolve({ mended: [] });
  }
}

/** A cluster that was joined, and the paths that it has. */
export type Joined = Cluster & { readonly noted: NotedPaths };

/** Why a node gives no addresses. */
export async function refusesPods(
  { node }: Joined,
  name: string,
): Promise<string> {
  const error = await assertRejects(
    () => node.createSandbox({ name }),
    SandboxError,
  );
  assert(isSandboxError(error, "LeaseEnded"), error.message);
  return error.context.reason;
}

/** Waits until all are in the state. */
export function isIn(state: string, ...clusters: readonly Joined[]) {
  return until(
    () => clusters.every(({ status }) => status.state === state),
    `not all of ${clusters.map(({ self }) => self.name)} came to be ${state}`,
  );
}

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
  async join(number: number, options: JoinOptions): Promise<Joined> {
    const noted = new NotedPaths();
    const all = this.#options(number, options);
    return Object.assign(await joinWith(() => noted, all), { noted });
  }

  /** Leaves with a machine; see {@linkcode Machines.join}. */
  async leave(
    number: number,
    { force = false, ...options }: JoinOptions & NodeRemoveOptions,
  ): Promise<readonly string[]> {
    const all = { ...this.#options(number, options), force };
    return await leaveCluster(all, () => new NotedPaths());
  }

  #options(number: number, options: JoinOptions): JoinOptions {
    return {
      // None ends while a test is not about that, however seldom it has its turn.
      leaseSeconds: 60,
      timeoutMs: PATIENCE_MS,
      cluster: { podCidrs: POD_CIDRS },
      ...options,
      node: {
        name: `n${number}`,
        netns: this.namespace(number),
        stateDir: this.stateDir(),
        ...options.node,
      },
    };
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
