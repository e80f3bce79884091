/**
 * The node of a lab with other settings than the lab's.
 *
 * @module
 */
import { type NodeOptions, openNode } from "../../mod.ts";
import { createLab, type Lab, LabNode } from "../../src/testing/mod.ts";
import { nodeAt } from "../support/pods.ts";

/** A lab whose only node was set up anew. */
export class OtherNode extends LabNode implements AsyncDisposable {
  readonly lab: Lab;

  private constructor(lab: Lab, host: LabNode, node: LabNode["node"]) {
    super(host, node);
    this.lab = lab;
  }

  /** Makes it; what is not said of the settings is as for any node, not as in a lab. */
  static async create(
    options: Pick<
      NodeOptions,
      "podCidrs" | "masquerade" | "nonMasqueradeCidrs"
    >,
  ): Promise<OtherNode> {
    await using stack = new AsyncDisposableStack();
    const lab = stack.use(await createLab());
    const host = nodeAt(lab.nodes, 0);
    const { name, stateDir, podCidrs } = host.node;
    await host.node.remove();
    const node = await openNode({
      name,
      netns: host.namespace,
      stateDir,
      podCidrs,
      ...options,
    });
    stack.move();
    return new OtherNode(lab, host, node);
  }

  /** Takes all of it away. */
  async [Symbol.asyncDispose](): Promise<void> {
    await this.node.remove({ force: true });
    await this.node[Symbol.asyncDispose]();
    await this.lab[Symbol.asyncDispose]();
  }
}
