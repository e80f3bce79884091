/**
 * A lab whose nodes are joined to a cluster, with two pods on each; nodes drop what came by another way than answers take.
 *
 * @module
 */
import {
  createLab,
  type Lab,
  type LabNode,
  type LabOptions,
} from "../../src/testing/mod.ts";
import {
  type Answer,
  ask,
  type AskOptions,
  type Server,
  type Transport,
} from "../support/ask.ts";
import { command } from "../support/command.ts";
import { Pod } from "../support/pods.ts";
import { type Family, familyOf } from "../support/sockets.ts";

/** A node, its pods, and one of them on its own network. */
export interface Place {
  readonly node: LabNode;
  readonly pods: readonly Pod[];
}

/** Nodes and pods. */
export class Town implements AsyncDisposable {
  readonly lab: Lab<readonly LabNode[]>;
  readonly places: readonly Place[];
  readonly #owned: AsyncDisposableStack;

  private constructor(
    lab: Lab<readonly LabNode[]>,
    places: readonly Place[],
    owned: AsyncDisposableStack,
  ) {
    this.lab = lab;
    this.places = places;
    this.#owned = owned;
  }

  /** Makes one; the first pod of each node has host port 8080. */
  static async create(options: LabOptions): Promise<Town> {
    await using owned = new AsyncDisposableStack();
    const lab: Lab<readonly LabNode[]> = owned.use(await createLab(options));
    const places: Place[] = [];
    for (const node of lab.nodes) {
      // The strictest that a machine can be.
      command(
        node.namespace,
        "for name in all eth0; do echo 1 > /proc/sys/net/ipv4/conf/$name/rp_filter; done",
      );
      const ports = [{ hostPort: 8080, containerPort: 80 }, {
        hostPort: 8080,
        containerPort: 80,
        protocol: "udp" as const,
      }];
      places.push({
        node,
        pods: [
          owned.use(await Pod.create(node, { name: "a", ports })),
          owned.use(await Pod.create(node, { name: "b" })),
        ],
      });
    }
    return new Town(lab, places, owned.move());
  }

  /** All pods with their nodes. */
  get pods(): readonly { readonly node: LabNode; readonly pod: Pod }[] {
    return this.places.flatMap(({ node, pods }) =>
      pods.map((pod) => ({ node, pod }))
    );
  }

  /** Takes it all away. */
  async [Symbol.asyncDispose](): Promise<void> {
    await this.#owned.disposeAsync();
  }
}

/** Every address that a node answers for: its own ones, and its pods' gateways. */
export function addressesOf({ addresses, node }: LabNode): readonly string[] {
  return [...addresses, ...node.gateways];
}

/** Those of an IP version. */
export function ofFamily(
  addresses: readonly string[],
  family: Family,
): string[] {
  return addresses.filter((address) => familyOf(address) === family);
}

/** As whom a server sees a client that is in this namespace. */
export function seenAs(
  transport: Transport,
  { namespace }: Pick<Pod, "namespace">,
  to: { readonly address: string; readonly port: number },
  server: Server,
  options: AskOptions = {},
): string {
  const answer = ask(transport, namespace, to, [server], options);
  if (typeof answer === "string") return answer;
  const { client }: Answer = answer;
  return client;
}
