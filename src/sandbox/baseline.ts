/**
 * What a node needs before its first pod: forwarding, its own address in each pod CIDR, the table.
 * Each part is looked at first and changed only when it is not as it must be.
 *
 * @module
 */
import { readFile } from "../../ffi/file.ts";
import { Errno, isSyscallError } from "../../ffi/errno.ts";
import { SandboxError } from "../errors.ts";
import type { Placed } from "../hostport/elements.ts";
import {
  addAll,
  elementsOf,
  findElementsOf,
  retryOnNewGeneration,
} from "../hostport/host_ports.ts";
import { nodeTable, type RulesetOptions, TABLE } from "../hostport/ruleset.ts";
import { sysctlPath, writeSysctl } from "../namespace/sysctl.ts";
import { Cidr } from "../net/cidr.ts";
import { addressBits, IpAddress } from "../net/ip.ts";
import type { Connection } from "../netlink/connection.ts";
import { isNetlinkError } from "../netlink/netlink_error.ts";
import { Transaction } from "../nftables/transaction.ts";
import { renderTable } from "../nftables/render.ts";
import type { Table } from "../nftables/ruleset.ts";
import {
  deleteAddress,
  dumpAddresses,
  newAddress,
} from "../rtnetlink/address.ts";
import { RT_SCOPE_LINK } from "../rtnetlink/constants.ts";
import { getLink, setLink } from "../rtnetlink/link.ts";
import { dumpRoutes, ROUTE_PROTOCOL } from "../rtnetlink/route.ts";
import { isAlive } from "./alive.ts";
import type { NodeContext, NodeSockets } from "./context.ts";
import { HOST_INTERFACE_PREFIX } from "./identity.ts";
import type { NodeState } from "./node_state.ts";
import { addressesOf, hostPortsOf } from "./records.ts";

const LOOPBACK_INDEX = 1;

/** Marks the IPv4 gateway address for people, and for kernels that do not keep who added an address (before 5.18). */
const GATEWAY_LABEL = "lo:podnet";

/** Routes learned from router advertisements (linux/rtnetlink.h). */
const RTPROT_RA = 9;

/** Without forwarding no packet gets from one pod to another. With `accept_ra`, the only switches of the host that podnet touches. */
function forwardingSysctls({ pools }: NodeContext): string[] {
  return pools.map(({ cidr: { family } }) =>
    family === 4 ? "net/ipv4/ip_forward" : "net/ipv6/conf/all/forwarding"
  );
}

/** A part of the baseline that is not as it must be. */
export interface BaselineDifference {
  readonly object: string;
  readonly problem: string;
  /** What mending it does, in plain words. */
  readonly change: string;
  readonly mend: () => void;
}

/**
 * Makes the node ready. Several processes may do so at once.
 *
 * @returns what was changed, in plain words; nothing when all was in place
 * @throws {SandboxError} `NodeConflict` when the namespace has another node's table, or IPv6 is switched off there
 */
export function ensureBaseline(context: NodeContext): string[] {
  refuseDisabledIpv6(context);
  const differences = baselineDifferences(context);
  // The table first: it is what makes the namespace this node's, and nobody else's.
  const changes = ensureTable(context);
  for (const { mend, change } of differences) {
    mend();
    changes.push(change);
  }
  return changes;
}

/**
 * Pods' addresses must not be those of the node's neighbours. To be asked before the node is set up.
 *
 * @throws {SandboxError} `NodeConflict`
 */
export function refuseOverlap(
  { sockets, pools, settings }: Omit<NodeContext, "table">,
): void {
  for (
    const { address, prefixLength } of sockets.route.dump(dumpAddresses({}))
  ) {
    const hostBits = BigInt(addressBits(address.family) - prefixLength);
    if (hostBits === 0n) continue; // an address alone is simply not given to a pod
    const network = address.toBigInt() >> hostBits << hostBits;
    const neighbours = Cidr.of(
      IpAddress.fromBigInt(network, address.family),
      prefixLength,
    );
    const pool = pools.find(({ cidr }) => cidr.overlaps(neighbours));
    if (pool === undefined) continue;
    throw new SandboxError("NodeConflict", {
      name: settings.name,
      reason:
        `pod CIDR ${pool.cidr} overlaps ${neighbours}, a network that the node is on: choose another`,
    });
  }
}

/** Where links have no IPv6, pods cannot either. Not switched on here: somebody wanted it off. */
function refuseDisabledIpv6(context: NodeContext): void {
  const { pools, namespace, settings } = context;
  if (pools.every(({ cidr }) => cidr.family === 4)) return;
  for (const link of ["default", "lo"]) {
    const name = `net/ipv6/conf/${link}/disable_ipv6`;
    if (!namespace.run(() => isOne(sysctlPath(name)))) continue;
    throw new SandboxError("NodeConflict", {
      name: settings.name,
      reason: `IPv6 is switched off in its network namespace: set ${
        name.replaceAll("/", ".")
      } to 0, or give no IPv6 pod CIDR`,
    });
  }
}

/** All but the table, which has its own comparison. */
export function baselineDifferences(
  context: NodeContext,
): BaselineDifference[] {
  return [
    ...loopbackDifferences(context),
    ...advertisementDifferences(context),
    ...forwardingDifferences(context),
    ...gatewayDifferences(context),
  ];
}

/** Of a namespace that was just made, lo is down, and then it has no address that works. */
function loopbackDifferences({ sockets }: NodeContext): BaselineDifference[] {
  const [lo] = sockets.route.request(getLink({ index: LOOPBACK_INDEX }));
  if (lo?.up) return [];
  return [{
    object: "link lo",
    problem: "is down",
    change: "set lo up",
    mend: () =>
      sockets.route.execute([setLink({ index: LOOPBACK_INDEX, up: true })]),
  }];
}

function forwardingDifferences(context: NodeContext): BaselineDifference[] {
  const { namespace } = context;
  const off = namespace.run(() =>
    forwardingSysctls(context).filter((name) => !isOne(sysctlPath(name)))
  );
  return off.map((name) => {
    const dotted = name.replaceAll("/", ".");
    return {
      object: `sysctl ${dotted}`,
      problem: "is off",
      change: `set ${dotted} to 1`,
      mend: () => writeSysctl(namespace, name, "1"),
    };
  });
}

/**
 * A link that takes routes from router advertisements ceases to when the node forwards, and the kernel drops those it has
 * (addrconf_fixup_forwarding): the node would be cut off. With `accept_ra` 2 it goes on as before.
 */
function advertisementDifferences(
  { namespace, pools, sockets: { route } }: NodeContext,
): BaselineDifference[] {
  if (pools.every(({ cidr }) => cidr.family === 4)) return [];
  const forwarding = "net/ipv6/conf/all/forwarding";
  if (namespace.run(() => isOne(sysctlPath(forwarding)))) return [];
  const learned = route.dump(
    dumpRoutes({ family: 6, protocol: RTPROT_RA }),
  ).flatMap(({ index }) => index ?? []);
  return [...new Set(learned)].flatMap((index) => {
    const [link] = route.request(getLink({ index }));
    if (link === undefined) return [];
    const name = `net/ipv6/conf/${link.name}/accept_ra`;
    if (!namespace.run(() => isOne(sysctlPath(name)))) return [];
    return [{
      object: `sysctl ${name.replaceAll("/", ".")}`,
      problem: "would make the link lose its routes once the node forwards",
      change:
        `set ${name} to 2, so that ${link.name} keeps its routes from router advertisements`,
      mend: () => writeSysctl(namespace, name, "2"),
    }];
  });
}

function isOne(path: string): boolean {
  try {
    return readFile(path)[0] === 0x31;
  } catch (error) {
    if (isSyscallError(error, Errno.ENOENT)) {
      throw new SandboxError("UnsupportedKernel", {
        feature: path.includes("ipv6") ? "IPv6" : "IPv4 forwarding",
      }, { cause: error });
    }
    throw error;
  }
}

/**
 * The node's own address in each pod CIDR: the source of what it sends to pods, the pods' gateway. On lo and of link
 * scope, so that the kernel chooses it for nothing else and no lease or cable takes it away.
 */
function gatewayDifferences(context: NodeContext): BaselineDifference[] {
  return missingGateways(context).map((gateway) => {
    const { prefixLength } = Cidr.host(gateway);
    const object = `${gateway}/${prefixLength}`;
    return {
      object: `address ${object} of lo`,
      problem: "is missing",
      change: `added ${object} to lo`,
      mend: () =>
        context.sockets.route.execute([
          newAddress({
            index: LOOPBACK_INDEX,
            address: gateway,
            prefixLength,
            noDad: true,
            protocol: ROUTE_PROTOCOL,
            ...(gateway.family === 4
              ? { scope: RT_SCOPE_LINK, label: GATEWAY_LABEL }
              : {}),
          }),
        ]),
    };
  });
}

/** The gateway addresses that are not on lo. */
function missingGateways({ sockets, pools }: NodeContext): IpAddress[] {
  const present = sockets.route.dump(dumpAddresses({ index: LOOPBACK_INDEX }));
  return pools.map(({ gateway }) => gateway)
    .filter((gateway) =>
      !present.some(({ address }) => address.equals(gateway))
    );
}

function ensureTable(context: NodeContext): string[] {
  const { sockets: { nft }, table } = context;
  for (;;) {
    const found = nft.getTable(TABLE);
    if (found === undefined) {
      if (!createTable(context)) continue; // another process did, just now
      return [`added nf_tables table inet ${TABLE}`];
    }
    refuseForeignTable(context);
    if (found.comment === table.comment) return [];
    replaceTable(context);
    return [`renewed the rules of nf_tables table inet ${TABLE}`];
  }
}

/**
 * A network namespace is one node's.
 *
 * @throws {SandboxError} `NodeConflict`
 */
export function refuseForeignTable(
  { sockets: { nft }, settings, table }: NodeContext,
): void {
  const found = nft.getTable(TABLE);
  if (found === undefined || isOf(found.comment, ownerOfTable(table))) return;
  throw new SandboxError("NodeConflict", {
    name: settings.name,
    reason: `this network namespace has the nf_tables table "${TABLE}" of ${
      describeOwner(found.comment, settings.name)
    }: take that down first, or use its name and state directory`,
  });
}

/** Makes the table with all that the sandboxes have in it: somebody may have flushed the ruleset under them. */
function createTable(context: NodeContext): boolean {
  const transaction = new Transaction();
  transaction.createTable(context.table);
  addAll(transaction, elementsOfNode(context));
  try {
    context.sockets.nft.commit(transaction);
    return true;
  } catch (error) {
    const isThere = () => context.sockets.nft.getTable(TABLE) !== undefined;
    if (isNetlinkError(error, Errno.EEXIST) && isThere()) return false;
    throw error;
  }
}

/** For a table that another version of podnet made: a new one takes its place, with its elements, in one moment. */
function replaceTable({ sockets: { nft }, table }: NodeContext): void {
  retryOnNewGeneration((generation) => {
    const transaction = new Transaction();
    const elements = findElementsOf(nft, () => true);
    transaction.deleteTable(TABLE);
    transaction.createTable(table);
    addAll(transaction, elements);
    nft.commit(transaction, { generation });
  }, nft);
}

/** Renews chains and rules; elements, and so connections, stay. */
export function rebuildTable({ sockets: { nft }, table }: NodeContext): void {
  const transaction = new Transaction();
  transaction.rebuildTable(table, nft.listChains(TABLE));
  for (const set of table.sets) {
    transaction.addElements(TABLE, set, set.elements ?? []);
  }
  nft.commit(transaction);
}

/** What the node's living sandboxes should have in the table. */
export function elementsOfNode(context: NodeContext): Placed[] {
  const { state } = context;
  const elements = state.sandboxIds().flatMap((id) => {
    const record = state.readableSandbox(id);
    return record?.state === "ready" && record.link !== undefined &&
        isAlive(context, record)
      ? elementsOf(hostPortsOf(record), { id, addresses: addressesOf(record) })
      : [];
  });
  // Should two records claim the same, one has it: a table without the second is better than no table.
  const unique = new Map(
    elements.map((placed) => [
      `${placed.set.name} ${placed.element.key.toHex()}`,
      placed,
    ]),
  );
  return [...unique.values()];
}

/** Whether a table's comment is that of the node that signs so, in whatever version. */
function isOf(comment: string | undefined, owner: string): boolean {
  return comment !== undefined && ownerOf(comment) === owner;
}

function ownerOf(comment: string): string {
  return comment.replace(/ rules .*/, "");
}

/** The signature of a node's table. */
export function ownerOfTable({ comment = "" }: Table): string {
  return ownerOf(comment);
}

/** Whose table it is that bears this comment, which is not this node's. */
function describeOwner(comment: string | undefined, ownName: string): string {
  const name = /^node (\S+) state /.exec(comment ?? "")?.[1];
  if (name === undefined) return "somebody else";
  return `node "${name}"${
    name === ownName ? " of another state directory" : ""
  }`;
}

/** The node's table. Its comment holds whose it is, and a digest of the rules: equal comments mean equal rules. */
export async function tableOf(
  { settings, state, pools }: Omit<NodeContext, "table">,
): Promise<Table> {
  const options: Omit<RulesetOptions, "comment"> = {
    interfacePrefix: HOST_INTERFACE_PREFIX,
    gateways: pools.map(({ gateway }) => gateway),
    podCidrs: pools.map(({ cidr }) => cidr),
    masquerade: settings.masquerade,
    nonMasqueradeCidrs: settings.nonMasqueradeCidrs.map((text) =>
      Cidr.parse(text)
    ),
  };
  const rules = await digest(
    renderTable(nodeTable({ ...options, comment: "" })),
  );
  return nodeTable({
    ...options,
    comment: `${await tableOwner(state)} rules ${rules}`,
  });
}

/** How a node signs its table, whatever the version: by its name and state directory. */
export async function tableOwner(
  { name, stateDir }: Pick<NodeState, "name" | "stateDir">,
): Promise<string> {
  return `node ${name} state ${await digest(stateDir)}`;
}

async function digest(text: string): Promise<string> {
  const bytes = new TextEncoder().encode(text);
  const hash = new Uint8Array(await crypto.subtle.digest("SHA-256", bytes));
  return hash.subarray(0, 6).toHex();
}

/**
 * Takes the baseline away; forwarding stays on, because others may rely on it by now. Where another node has the table,
 * nothing is this node's.
 */
export function removeBaseline(
  { nft, route }: NodeSockets,
  owner: string,
): string[] {
  const removed: string[] = [];
  const found = nft.getTable(TABLE);
  if (found !== undefined) {
    if (!isOf(found.comment, owner)) return [];
    const transaction = new Transaction();
    transaction.deleteTable(TABLE);
    nft.commit(transaction);
    removed.push(`nf_tables table inet ${TABLE}`);
  }
  return [...removed, ...removeGateways(route)];
}

/** Whoever's they were: the addresses of lo that podnet added, by their mark, and no others. */
function removeGateways(route: Connection): string[] {
  return route.dump(dumpAddresses({ index: LOOPBACK_INDEX }))
    .filter(({ protocol, label }) =>
      protocol === ROUTE_PROTOCOL || label === GATEWAY_LABEL
    ).map(({ address, prefixLength }) => {
      route.execute([
        deleteAddress({ index: LOOPBACK_INDEX, address, prefixLength }),
      ]);
      return `address ${address}/${prefixLength} of lo`;
    });
}
