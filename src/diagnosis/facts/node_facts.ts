/**
 * What is known of a node.
 *
 * @module
 */
import type { IpAddress } from "../../net/ip.ts";
import type { Garbage } from "../../sandbox/garbage/garbage.ts";

/** A host port of a sandbox. */
export interface HostPortFacts {
  /** Transport protocol. */
  readonly protocol: "tcp" | "udp" | "sctp";
  /** Port on the node. */
  readonly port: number;
  /** Undefined for all addresses of the node. */
  readonly address?: string;
  /** `namespace/name` of the sandbox. */
  readonly sandbox: string;
  /** The container that a CNI runtime made the sandbox for. */
  readonly containerID?: string;
}

/** A process of the node that waits on a port. */
export interface ListenerFacts {
  readonly protocol: "tcp" | "udp";
  readonly address: IpAddress;
  readonly port: number;
  /** User id of its owner. */
  readonly uid: number;
  /** The container of a CNI runtime for which it keeps the port from others. */
  readonly keptFor?: string;
}

/** Something of the node, or of a sandbox, that is not in the kernel as it should be. */
export interface DifferenceFacts {
  /** The sandbox as `namespace/name`; missing when it is the node itself. */
  readonly sandbox?: string;
  /** Such as `link pn-0123456789ab`. */
  readonly object: string;
  /** Such as `is down`. */
  readonly problem: string;
  /** What mends it. */
  readonly remedy: string;
}

/** A node. */
export interface NodeFacts {
  /** Unique in the state directory. */
  readonly name: string;
  /** The directory of records and pins. */
  readonly stateDir: string;
  /** Of the namespace that it was set up in, as `net:[inode]`. */
  readonly netnsId: string;
  /** Where pods' addresses come from. */
  readonly podCidrs: readonly string[];
  /** Bytes. */
  readonly mtu: number;
  /** Whether pods reach the outside world by the node's address. */
  readonly masquerade: boolean;
  /** Whether it was set up in the namespace that is looked at. */
  readonly here: boolean;
  /** Sandboxes that have a directory. */
  readonly sandboxes: number;
  /** Pins of pods' namespaces. */
  readonly pins: number;
  /** Whether other mount namespaces see the pins. */
  readonly pinsShared: boolean;
  /** The node's nf_tables table: there, missing, or somebody else's. Undefined when it may not be seen. */
  readonly table?: "present" | "missing" | "foreign";
  /** Rules in that table. */
  readonly rules: number;
  /** Elements that sandboxes have in it. */
  readonly elements: number;
  /** Host ends of pods' links. */
  readonly links: number;
  /** Routes to pods. */
  readonly routes: number;
  /** The node's own address in each pod CIDR. */
  readonly gateways: readonly string[];
  /** Host ports of its sandboxes. */
  readonly hostPorts: readonly HostPortFacts[];
  /** What {@linkcode Node.check} finds; undefined when it could not be asked. */
  readonly differences?: readonly DifferenceFacts[];
  /** What {@linkcode Node.collectGarbage} would find; undefined when it could not be asked. */
  readonly garbage?: readonly Garbage[];
}
