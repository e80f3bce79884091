/**
 * Pods for one test, and the addresses of a lab's first node.
 *
 * @module
 */
import type { Node, Sandbox, SandboxSpec } from "../../mod.ts";
import { NetworkNamespace } from "../../src/namespace/network_namespace.ts";
import type { LabNode } from "../../src/testing/mod.ts";
import { serve, type Server, type Transport } from "./ask.ts";
import { type Family, familyOf } from "./sockets.ts";

/** A sandbox, and this process's hold of its network namespace. */
export class Pod implements AsyncDisposable {
  readonly sandbox: Sandbox;
  readonly namespace: NetworkNamespace;

  private constructor(sandbox: Sandbox, namespace: NetworkNamespace) {
    this.sandbox = sandbox;
    this.namespace = namespace;
  }

  /** Makes one, with a name of its own unless the spec has one. */
  static async create(
    node: Node | LabNode,
    spec: Partial<SandboxSpec> = {},
  ): Promise<Pod> {
    const name = spec.name ?? `pod-${crypto.randomUUID().slice(0, 8)}`;
    const sandbox = await ("node" in node ? node.node : node)
      .createSandbox({ ...spec, name });
    return new Pod(sandbox, NetworkNamespace.open(sandbox.netnsPath));
  }

  get name(): string {
    return this.sandbox.name;
  }

  /** How errors name it. */
  get title(): string {
    return `sandbox ${this.sandbox.namespace}/${this.name} (${this.sandbox.id})`;
  }

  address(family: Family): string {
    const address = this.sandbox.addresses.find((a) => familyOf(a) === family);
    if (address === undefined) throw new Error(`no IPv${family} address`);
    return address;
  }

  /** Waits for questions on the pod's own address and no other. */
  serve(transport: Transport, family: Family, port: number): Server {
    const address = this.address(family);
    return serve(this.name, this.namespace, { transport, address, port });
  }

  /** Removes the sandbox. */
  async [Symbol.asyncDispose](): Promise<void> {
    this.namespace[Symbol.dispose]();
    await this.sandbox.remove();
  }
}

/** A host of the lab. */
export function nodeAt(nodes: readonly LabNode[], index: number): LabNode {
  const node = nodes[index];
  if (node === undefined) throw new Error(`the lab has no node ${index}`);
  return node;
}

/** What is `ipv4` in one family and `ipv6` in the other. */
export function byFamily(ipv4: string, ipv6: string): (f: Family) => string {
  return (family) => family === 4 ? ipv4 : ipv6;
}

/** Address of the lab's first node on the segment. */
export const nodeAddress = byFamily("192.168.50.1", "fd50::1");
/** Address of the lab's second node on the segment. */
export const otherNodeAddress = byFamily("192.168.50.2", "fd50::2");
/** Address of the lab's outside host. */
export const outsideAddress = byFamily("192.168.50.254", "fd50::fe");
/** The first node's own address in its pod CIDR. */
export const gatewayAddress = byFamily("10.244.1.1", "fd00:10:244:1::1");
/** The address of every machine to itself. */
export const loopbackAddress = byFamily("127.0.0.1", "::1");
/** The address that stands for all. */
export const anyAddress = byFamily("0.0.0.0", "::");
