/**
 * A node with two pods that are in use: what the tests of repair disturb.
 *
 * @module
 */
import { assert } from "@std/assert";
import type { Finding, NodeEvent, NodeWatch } from "../../mod.ts";
import { createLab, type Lab, type LabNode } from "../../src/testing/mod.ts";
import { FAMILIES } from "../support/ask.ts";
import { command } from "../support/command.ts";
import { loopbackAddress, nodeAddress, nodeAt, Pod } from "../support/pods.ts";
import type { Disturbance } from "./disturbances.ts";
import { type Flow, tcpFlow, udpFlow } from "./flows.ts";
import { PATIENCE_MS } from "../support/patience.ts";

/** A lab, the pod that is disturbed, and one that must not be. */
export class Site implements AsyncDisposable {
  readonly lab: Lab;
  readonly node: LabNode;
  readonly other: Pod;
  pod: Pod;
  readonly #owned: AsyncDisposableStack;

  private constructor(
    lab: Lab,
    node: LabNode,
    pod: Pod,
    other: Pod,
    owned: AsyncDisposableStack,
  ) {
    this.lab = lab;
    this.node = node;
    this.pod = pod;
    this.other = other;
    this.#owned = owned;
  }

  static async create(): Promise<Site> {
    await using owned = new AsyncDisposableStack();
    const lab = owned.use(await createLab());
    const node = nodeAt(lab.nodes, 0);
    const pod = owned.use(
      await Pod.create(node, {
        name: "web",
        ports: [
          { hostPort: 8080, containerPort: 80 },
          { hostPort: 5300, containerPort: 53, protocol: "udp" },
          { hostIP: nodeAddress(4), hostPort: 8081, containerPort: 80 },
        ],
        sysctls: { "net.ipv4.ip_unprivileged_port_start": "0" },
      }),
    );
    const other = owned.use(await Pod.create(node, { name: "other" }));
    // Containers, who hold the pods' namespaces.
    for (const { sandbox } of [pod, other]) {
      const container = sandbox.spawn("sleep", { args: ["1000"] });
      owned.defer(async () => {
        container.kill("SIGKILL");
        await container.status;
      });
    }
    return new Site(lab, node, pod, other, owned.move());
  }

  /** Flows of every kind into the pod, by host port, from the node's loopback and from a pod. */
  flows(stack: DisposableStack): Flow[] {
    const { lab: { outside }, node, pod, other } = this;
    return FAMILIES.flatMap((family) => {
      const address = pod.address(family);
      const common = { family, server: pod.namespace };
      const http = { ...common, at: { address, port: 80 } };
      const dns = { ...common, at: { address, port: 53 } };
      return [
        tcpFlow({
          ...http,
          title: "through a host port",
          from: outside.namespace,
          to: { address: nodeAddress(family), port: 8080 },
        }),
        tcpFlow({
          ...http,
          title: "from the node's loopback",
          from: node.namespace,
          to: { address: loopbackAddress(family), port: 8080 },
        }),
        tcpFlow({
          ...http,
          title: "from pod to pod",
          from: other.namespace,
          to: http.at,
        }),
        udpFlow({
          ...dns,
          title: "through a host port",
          from: outside.namespace,
          to: { address: nodeAddress(family), port: 5300 },
        }),
      ];
    }).map((flow) => stack.use(flow));
  }

  /** Does the damage. */
  disturb({ node, pod }: Disturbance): void {
    if (node !== undefined) command(this.node.namespace, this.#fill(node));
    if (pod !== undefined) command(this.pod.namespace, this.#fill(pod));
  }

  /** Puts the pod's own names into a command line. */
  #fill(line: string): string {
    const { pod: { sandbox }, other } = this;
    const names: Record<string, string> = {
      LINK: sandbox.hostInterface ?? "",
      POD4: this.pod.address(4),
      POD6: this.pod.address(6),
      OTHER4: other.address(4),
      OTHER6: other.address(6),
      ID: sandbox.id,
      STATE: sandbox.netnsPath.replace(/\/netns$/, ""),
    };
    return line.replace(
      /\b(?:LINK|POD4|POD6|OTHER4|OTHER6|ID|STATE)\b/g,
      (name) => names[name] ?? name,
    );
  }

  /** Opens the pod anew: a handle shows its link as it was. */
  async reopen(): Promise<void> {
    const { sandbox, namespace } = this.pod;
    const again = await this.node.node.openSandbox(sandbox.id);
    this.pod = Object.assign(Object.create(Pod.prototype), {
      sandbox: again,
      namespace,
    });
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#owned[Symbol.asyncDispose]();
  }
}

/** The next event that is of interest. */
export async function nextOf(
  watch: NodeWatch,
  ...types: readonly NodeEvent["type"][]
): Promise<NodeEvent> {
  const giveUp = Promise.withResolvers<never>();
  const timer = setTimeout(
    () => giveUp.reject(new Error(`no event ${types} came`)),
    PATIENCE_MS,
  );
  try {
    for (;;) {
      const { value, done } = await Promise.race([
        watch.next(),
        giveUp.promise,
      ]);
      assert(!done, "the watch has ended");
      if (types.includes(value.type)) return value;
    }
  } finally {
    clearTimeout(timer);
  }
}

/** A watch that repairs and has looked at everything once. */
export async function readyWatch(
  { node }: LabNode,
  pollMs = 0,
): Promise<NodeWatch> {
  const watch = node.watch({ repair: true, pollMs });
  await nextOf(watch, "ready");
  return watch;
}

/** Waits until something was mended, and all is as it should be. */
export async function untilMended(
  { node }: LabNode,
  watch: NodeWatch,
  pattern: RegExp,
): Promise<void> {
  for (let isMended = false;;) {
    const event = await nextOf(watch, "repaired", "unrepaired", "contested");
    assert(event.type === "repaired", JSON.stringify(event));
    isMended ||= pattern.test(textOf(event.finding));
    if (isMended && (await node.check()).length === 0) return;
  }
}

/** `object problem` of a finding. */
export function textOf({ object, problem }: Finding): string {
  return `${object} ${problem}`;
}
