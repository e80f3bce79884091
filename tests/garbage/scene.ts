/**
 * A node with a living sandbox that nobody may touch, and what is compared before and after.
 *
 * @module
 */
import { assert, assertEquals } from "@std/assert";
import type { Garbage, Node, Sandbox } from "../../mod.ts";
import type { NetworkNamespace } from "../../src/namespace/network_namespace.ts";
import { BareNode } from "../node/bare.ts";
import { command, ipLinks } from "../support/command.ts";
import { until } from "../support/patience.ts";

/** A node and its living sandbox. */
export class Scene implements AsyncDisposable {
  readonly bare: BareNode;
  readonly node: Node;
  readonly living: Sandbox;

  private constructor(bare: BareNode, node: Node, living: Sandbox) {
    this.bare = bare;
    this.node = node;
    this.living = living;
  }

  static async create(): Promise<Scene> {
    await using stack = new AsyncDisposableStack();
    const bare = stack.use(new BareNode());
    const node = stack.use(await bare.open());
    const living = await node.createSandbox({
      name: "living",
      ports: [{ hostPort: 9000, containerPort: 80 }],
    });
    stack.move();
    return new Scene(bare, node, living);
  }

  get namespace(): NetworkNamespace {
    return this.bare.namespace;
  }

  /** `<stateDir>/<node>`. */
  get directory(): string {
    return `${this.bare.stateDir}/bare`;
  }

  run(line: string): string {
    return command(this.namespace, line);
  }

  /** All there is, as text, once links that were given up, and claim nothing any more, are gone. */
  async state(): Promise<string> {
    await until(() => {
      const claims = this.run(
        "ip -4 route show proto 112; ip -6 route show proto 112",
      );
      // One whose other end is here is a test's own.
      return ipLinks(this.namespace).every(({ ifname, link_netnsid }) =>
        !ifname.startsWith("pn-") || link_netnsid === undefined ||
        claims.includes(ifname)
      );
    }, "links that claim nothing stay");
    return this.bare.state();
  }

  /** A dry run tells what the real one removes and changes nothing; after that there is none. */
  async collect(): Promise<Garbage[]> {
    const before = await this.state();
    const planned = await this.node.collectGarbage({ dryRun: true });
    assertEquals(await this.state(), before);
    assert(planned.every(({ removed }) => !removed));
    const done = await this.node.collectGarbage();
    assertEquals(done, planned.map((one) => ({ ...one, removed: true })));
    assertEquals(await this.node.collectGarbage(), []);
    assertEquals(await this.node.check(), []);
    return done;
  }

  /** Asserts that damage is found as garbage, and that nothing but that goes. */
  async heals(
    damage: () => void,
    expected: readonly (readonly [Garbage["kind"], string, RegExp])[],
  ): Promise<void> {
    const before = await this.state();
    damage();
    const found = await this.collect();
    assertEquals(
      found.map(({ kind, id }) => [kind, id]),
      expected.map(([kind, id]) => [kind, id]),
    );
    for (const [i, [, , reason]] of expected.entries()) {
      assert(reason.test(found[i]?.reason ?? ""), found[i]?.reason);
    }
    assertEquals(await this.state(), before);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.node[Symbol.asyncDispose]();
    await this.bare[Symbol.asyncDispose]();
  }
}

/** The directory of a sandbox. */
export function directoryOf({ netnsPath }: Pick<Sandbox, "netnsPath">): string {
  return netnsPath.slice(0, netnsPath.lastIndexOf("/"));
}

/** Loses all that is noted of a sandbox; what holds its namespace keeps it alive in the kernel. */
export function loseNotes(scene: Scene, sandbox: Sandbox): void {
  scene.run(`umount -l ${sandbox.netnsPath}`);
  Deno.removeSync(directoryOf(sandbox), { recursive: true });
}

/** Waits until the kernel has destroyed the link of a namespace that nobody holds. */
export async function linkGone(
  { namespace }: { readonly namespace: NetworkNamespace },
  { hostInterface = "" }: Sandbox,
): Promise<void> {
  await until(
    () => ipLinks(namespace).every(({ ifname }) => ifname !== hostInterface),
    `${hostInterface} is still there`,
  );
}
