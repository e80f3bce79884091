/**
 * What every operation on a node works with.
 *
 * @module
 */
import { Errno, isSyscallError } from "../../../ffi/errno.ts";
import { readTextFile } from "../../../ffi/file.ts";
import { hasInterface } from "../../../ffi/interface.ts";
import { AddressRelease } from "../../attachment/address_release.ts";
import { Ipv6Guard } from "../../attachment/ipv6_guard.ts";
import { ConntrackWalks } from "../../conntrack/walks.ts";
import { SandboxError } from "../../errors.ts";
import type { HostPortSockets } from "../../hostport/host_ports.ts";
import { TableMemory } from "../../hostport/table_memory.ts";
import type { AddressPool } from "../../ipam/pool.ts";
import type { NetworkNamespace } from "../../namespace/network_namespace.ts";
import type { Turn } from "../../state/turn.ts";
import { IpAddress } from "../../net/ip.ts";
import { Connection } from "../../netlink/connection.ts";
import {
  NETLINK_NETFILTER,
  NETLINK_ROUTE,
  NETLINK_SOCK_DIAG,
} from "../../netlink/message.ts";
import { SocketTransport } from "../../netlink/transport.ts";
import { NftablesConnection } from "../../nftables/connection.ts";
import { dumpAddresses } from "../../rtnetlink/address.ts";
import { getLink, type Link, LOOPBACK_INDEX } from "../../rtnetlink/link.ts";
import { RT_SCOPE_UNIVERSE } from "../../rtnetlink/constants.ts";
import type { NodeOptions } from "../../spec/node_options.ts";
import { isId } from "../records/identity.ts";
import type { LeaseGate } from "../records/node_lease.ts";
import type { NodeState } from "../records/node_state.ts";
import type { NodeRecord } from "../records/records.ts";
import type { LateRemoval } from "./late_removal.ts";
import type { WarmPool } from "./warm_pool.ts";

/** The node's sockets, each bound for life to the node's namespace. */
export class NodeSockets implements HostPortSockets, Disposable {
  readonly route: Connection;
  readonly nft: NftablesConnection;
  readonly diag: Connection;
  /** Gives pods' addresses back; without it that is done at once. */
  readonly addresses?: AddressRelease;
  /** Forgets connections through host ports. */
  readonly walks: ConntrackWalks;
  /** Undefined if the kernel has no IPv6. */
  readonly ipv6Guard: Ipv6Guard | undefined;
  readonly memory?: TableMemory = new TableMemory();
  turn?: Turn;

  /** Contents of `/proc/net/sctp/eps` of the namespace; empty while the kernel has not loaded SCTP. */
  readonly sctpEndpoints?: () => string;

  readonly mayShadow: NonNullable<HostPortSockets["mayShadow"]>;

  /** Whether there is a link of this index; unlike a question by `route` it never waits for rtnl. */
  readonly hasLink: (index: number) => boolean;

  /** Opens all of them inside `namespace`, in one visit. */
  constructor(
    namespace: NetworkNamespace,
    { mayShadow = () => false }: Pick<NodeOptions, "mayShadow"> = {},
  ) {
    this.mayShadow = ({ address, port, inode, uid }) =>
      mayShadow({ address: String(address), port, inode, uid });
    this.sctpEndpoints = () => namespace.run(readSctpEndpoints);
    using opened = new DisposableStack();
    const [socket, nft, diag, walking, ipv6Guard] = namespace.run(() =>
      [
        opened.use(SocketTransport.open(NETLINK_ROUTE)),
        opened.use(NftablesConnection.open()),
        opened.use(Connection.open(NETLINK_SOCK_DIAG)),
        opened.use(Connection.open(NETLINK_NETFILTER)),
        opened.use(Ipv6Guard.open()),
      ] as const
    );
    opened.move();
    this.route = new Connection(socket);
    this.hasLink = (index) =>
      !socket.fd.closed && hasInterface(socket.fd, index);
    this.nft = nft;
    this.diag = diag;
    this.ipv6Guard = ipv6Guard;
    this.walks = new ConntrackWalks(this.nft.netlink, walking);
    this.addresses = new AddressRelease(
      this.route,
      () => namespace.run(() => Connection.open(NETLINK_ROUTE)),
    );
  }

  [Symbol.dispose](): void {
    this.walks[Symbol.dispose]();
    this.route[Symbol.dispose]();
    this.nft[Symbol.dispose]();
    this.diag[Symbol.dispose]();
    this.ipv6Guard?.[Symbol.dispose]();
  }
}

function readSctpEndpoints(): string {
  try {
    return readTextFile("/proc/thread-self/net/sctp/eps");
  } catch (error) {
    if (isSyscallError(error, Errno.ENOENT)) return "";
    throw error;
  }
}

/** Signs for a node, whatever the rules of its table are. */
export interface TableOwner {
  readonly owner: string;
  /** How earlier versions signed, when the path of the state directory can be written in several ways. */
  readonly asWritten?: string;
}

/** The nf_tables table that a node is to have. */
export interface NodeTable extends TableOwner {
  /** Signs for the node and for its rules: equal comments mean equal rules. */
  readonly comment: string;
}

/** An open node. */
export interface NodeContext {
  readonly settings: NodeRecord;
  readonly state: NodeState;
  readonly namespace: NetworkNamespace;
  readonly sockets: NodeSockets;
  /** One a family, in the order of the node's pod CIDRs. */
  readonly pools: readonly AddressPool[];
  /** The nf_tables table that the node is to have. */
  readonly table: NodeTable;
  /** Whether the kernel has IPv6. */
  readonly ipv6: boolean;
  /** Lets pods have addresses, or not. */
  readonly gate: LeaseGate;
  /** Does the last part of removals, where sandboxes are removed. */
  readonly late?: LateRemoval;
  /** Namespaces made ahead, if the node was opened with some. */
  readonly warm?: WarmPool;
}

/** The link lo of the namespace that the socket is of. */
export function loopback(route: Connection): Link | undefined {
  return route.request(getLink({ index: LOOPBACK_INDEX }))[0];
}

/** Whether the kernel has IPv6: then lo tells of its settings. */
export function hasIpv6(lo: Link | undefined): boolean {
  return lo?.addrGenMode !== undefined;
}

/** 127.0.0.1 and ::1. */
const LOOPBACK: readonly IpAddress[] = [
  IpAddress.fromBigInt(0x7f00_0001n, 4),
  IpAddress.fromBigInt(1n, 6),
];

/** Every address of the node, loopback included. Links of pods have none, so this does not grow with them. */
export function nodeAddresses({ sockets }: NodeContext): IpAddress[] {
  const found = sockets.route.dump(dumpAddresses({}))
    .map(({ address }) => address);
  return [
    ...found,
    ...LOOPBACK.filter((address) => !found.some((a) => a.equals(address))),
  ];
}

/** The address that a pod on the node's own network has in each family: the node's first global one, else its gateway. */
export function hostNetworkAddresses(
  { sockets, pools }: NodeContext,
): IpAddress[] {
  const found = sockets.route.dump(dumpAddresses({}));
  return pools.map(({ gateway }) =>
    found.find(({ address, scope }) =>
      address.family === gateway.family && scope === RT_SCOPE_UNIVERSE &&
      !address.equals(gateway)
    )?.address ?? gateway
  );
}

/** A sandbox of the node by its id, for people: `namespace/name (id)`. */
export function describeOwner({ state }: NodeContext, id: string): string {
  if (!isId(id)) return "somebody else";
  try {
    const record = state.readSandbox(id);
    if (record === undefined) return `sandbox ${id}`;
    return `sandbox ${record.spec.namespace}/${record.spec.name} (${id})`;
  } catch (error) {
    if (error instanceof SandboxError) return `sandbox ${id}`;
    throw error;
  }
}
