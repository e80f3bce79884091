/**
 * Connections that the kernel tracks: forgetting them when what they were translated to has changed.
 *
 * @module
 */
import { Errno } from "../../ffi/errno.ts";
import { LastShape } from "../shape.ts";
import { IpAddress, type IpFamily } from "../net/ip.ts";
import type { Connection } from "../netlink/connection.ts";
import { NLM_F_ACK, type Request } from "../netlink/message.ts";
import { Template } from "../netlink/template.ts";
import { isNetlinkError } from "../netlink/netlink_error.ts";
import { NfFamily } from "../netlink/nfnetlink.ts";
import {
  ConntrackMessage,
  type EntryAttrs,
  type EntryBody,
  entryMessage,
  FilterField,
  statsMessage,
  type TupleAttrs,
} from "./tables.ts";

const NF_FAMILY = { 4: NfFamily.ipv4, 6: NfFamily.ipv6 } as const;

/** Which connections. Every given field must match; at least one besides the family is needed. */
export interface ConntrackFilter {
  readonly family: IpFamily;
  /** IP protocol number: 6 TCP, 17 UDP, 132 SCTP. */
  readonly protocol?: number;
  /** The port that the client sent to, before any translation. Needs a protocol. */
  readonly originalDestinationPort?: number;
  /** The client. */
  readonly originalSource?: IpAddress;
  /** The address that the client sent to, before any translation. */
  readonly originalDestination?: IpAddress;
  /** Where answers come from: the server behind a destination translation. */
  readonly replySource?: IpAddress;
}

/** One direction of a connection. */
export interface ConntrackTuple {
  readonly source: IpAddress;
  readonly destination: IpAddress;
  /** Of TCP, UDP, SCTP and DCCP. */
  readonly sourcePort?: number;
  /** Of TCP, UDP, SCTP and DCCP. */
  readonly destinationPort?: number;
}

/** A tracked connection. */
export interface ConntrackEntry {
  readonly family: IpFamily;
  /** IP protocol number. */
  readonly protocol: number;
  /** Packets of the client, as they were sent. */
  readonly original: ConntrackTuple;
  /** Packets of the server, as they are sent. */
  readonly reply: ConntrackTuple;
  /** `IPS_*` bits: 2 answered, 4 assured, 16 source translated, 32 destination translated. */
  readonly status: number;
  readonly mark: number;
  /** Seconds until the kernel forgets it, unless there are more packets. */
  readonly timeout?: number;
}

/** A tracked connection that can be deleted. */
export interface TrackedConnection extends ConntrackEntry {
  /** The whole entry. */
  readonly raw: EntryAttrs;
}

/**
 * Forgets all connections that match any of the filters. Their next packets are tracked, and translated, anew.
 *
 * A filter is one message and one walk through the table on Linux 6.8 and later, about 0.2 ms. Those with an IPv6
 * address, or with a port of another protocol than TCP and UDP, take together one dump a family, 4 to 10 ms (see
 * `ConntrackWalks`, which spares the event loop that), and one deletion a connection; on older kernels all do. Where nothing
 * is tracked all this is spared, and without a filter nothing is asked.
 * @param connection of the protocol NETLINK_NETFILTER
 * @returns how many there were, or undefined when the kernel did it and does not tell
 * @throws {TypeError} when a filter has no field besides the family, or a port without a protocol
 * @throws {RangeError} when an address is not of the family
 * @throws {NetlinkError} EPERM without CAP_NET_ADMIN
 */
export function flushConntrack(
  connection: Connection,
  filters: ConntrackFilter | readonly ConntrackFilter[],
): number | undefined {
  const all = [filters].flat();
  all.forEach(assertSelective);
  if (all.length === 0 || countConnections(connection) === 0) return 0;
  const rest = all.filter((filter) => !flushAtOnce(connection, filter));
  let deleted = 0;
  for (const { request, wanted } of searches(rest)) {
    deleted += deleteAll(connection, wanted, connection.dump(request));
  }
  return rest.length === all.length ? deleted : undefined;
}

/**
 * As {@linkcode flushConntrack}, on another thread.
 *
 * @param connection of the protocol NETLINK_NETFILTER, for nothing else meanwhile
 * @throws what {@linkcode flushConntrack} throws
 */
export async function flushConntrackAsync(
  connection: Connection,
  filters: readonly ConntrackFilter[],
): Promise<void> {
  filters.forEach(assertSelective);
  const rest = await flushTogether(connection, filters);
  for (const { request, wanted } of searches(rest)) {
    deleteAll(connection, wanted, await connection.dumpAsync(request));
  }
}

/**
 * How many connections the namespace tracks; the kernel knows without counting.
 * @param connection of the protocol NETLINK_NETFILTER
 * @throws {NetlinkError} EPERM without CAP_NET_ADMIN
 */
export function countConnections(connection: Connection): number | undefined {
  const [replies] = connection.executeBatch(COUNT.with([]));
  const stats = replies?.[0]?.attrs;
  STATS.last = stats;
  return stats?.entries;
}

const STATS = new LastShape();

/** Asked for each port that is closed. */
const COUNT = new Template((_: readonly []) => ({
  queries: [{
    operation: "count conntrack",
    type: ConntrackMessage.getStats,
    flags: 0,
    codec: statsMessage,
    value: { header: {}, attrs: {} },
    reply: statsMessage,
    isAnswered: true,
  }],
}));

/** Has the kernel delete what matches any of the filters, on another thread; returns those for which it cannot. */
async function flushTogether(
  connection: Connection,
  filters: readonly ConntrackFilter[],
): Promise<readonly ConntrackFilter[]> {
  try {
    await connection.executeAsync(
      filters.filter(isForgottenAtOnce).map(deletion),
    );
    return filters.filter((filter) => !isForgottenAtOnce(filter));
  } catch (error) {
    if (cannotSelect(error)) return filters;
    throw error;
  }
}

/** Has the kernel delete what matches; false when it cannot. */
function flushAtOnce(
  connection: Connection,
  filter: ConntrackFilter,
): boolean {
  if (!isForgottenAtOnce(filter)) return false;
  try {
    connection.request(deletion(filter));
    return true;
  } catch (error) {
    if (cannotSelect(error)) return false;
    throw error;
  }
}

function deletion(filter: ConntrackFilter): Request<EntryBody> {
  return selection(filter, ConntrackMessage.delete, "flush conntrack");
}

/**
 * Before 6.8 a deletion has no filter (EOPNOTSUPP), and what is sent is not a whole tuple (EINVAL). Nothing is deleted then: the
 * message always has a tuple, without which the kernel would take it as "flush all".
 */
function cannotSelect(error: unknown): boolean {
  return isNetlinkError(error, Errno.EINVAL, Errno.EOPNOTSUPP);
}

/** One question that finds all that is wanted, of one family. */
interface Search {
  readonly request: Request<EntryBody>;
  readonly wanted: readonly [ConntrackFilter, ...ConntrackFilter[]];
}

function searches(filters: readonly ConntrackFilter[]): Search[] {
  const found: Search[] = [];
  for (const family of [4, 6] as const) {
    const [first, ...others] = filters.filter((f) => f.family === family);
    if (first === undefined) continue;
    const wanted = [first, ...others] as const;
    const request = selection(
      common(wanted),
      ConntrackMessage.get,
      "list conntrack",
    );
    found.push({ request, wanted });
  }
  return found;
}

/** Deletes what matches one by one, with messages that every kernel knows and none mistakes; returns how many. */
function deleteAll(
  connection: Connection,
  wanted: Search["wanted"],
  found: readonly EntryBody[],
): number {
  let deleted = 0;
  for (const { attrs } of found) {
    // Kernels before 5.8 do not filter a dump.
    if (!wanted.some((filter) => matches(filter, attrs))) continue;
    if (deleteEntry(connection, wanted[0].family, attrs)) deleted++;
  }
  return deleted;
}

/** False when the connection has ended by itself meanwhile. */
function deleteEntry(
  connection: Connection,
  family: IpFamily,
  { tupleOrig, zone, id }: EntryAttrs,
): boolean {
  try {
    connection.execute([{
      operation: "delete a conntrack entry",
      type: ConntrackMessage.delete,
      flags: NLM_F_ACK,
      codec: entryMessage,
      value: {
        header: { family: NF_FAMILY[family] },
        attrs: {
          ...(tupleOrig === undefined ? {} : { tupleOrig }),
          ...(zone === undefined ? {} : { zone }),
          ...(id === undefined ? {} : { id }),
        },
      },
    }]);
    return true;
  } catch (error) {
    if (isNetlinkError(error, Errno.ENOENT)) return false;
    throw error;
  }
}

/**
 * All connections of a family. The cost grows with their number.
 * @param connection of the protocol NETLINK_NETFILTER
 * @throws {NetlinkError} EPERM without CAP_NET_ADMIN
 */
export function listConntrack(
  connection: Connection,
  options: { readonly family: IpFamily },
): readonly TrackedConnection[] {
  const { family } = options;
  const request = selection({ family }, ConntrackMessage.get, "list conntrack");
  return connection.dump(request).flatMap(({ attrs }) => {
    const original = tupleOf(family, attrs.tupleOrig);
    const reply = tupleOf(family, attrs.tupleReply);
    if (original === undefined || reply === undefined) return [];
    return [{
      family,
      protocol: attrs.tupleOrig?.proto?.num ?? 0,
      original,
      reply,
      status: attrs.status ?? 0,
      mark: attrs.mark ?? 0,
      ...(attrs.timeout === undefined ? {} : { timeout: attrs.timeout }),
      raw: attrs,
    }];
  });
}

/**
 * Forgets one connection that {@linkcode listConntrack} had found, and none that has the same addresses and ports by now.
 * @param connection of the protocol NETLINK_NETFILTER
 * @returns false when it has ended meanwhile
 * @throws {NetlinkError} EPERM without CAP_NET_ADMIN
 */
export function deleteConntrack(
  connection: Connection,
  { family, raw }: TrackedConnection,
): boolean {
  return deleteEntry(connection, family, raw);
}

/** Refuses a filter that would select more than its author meant. */
function assertSelective(filter: ConntrackFilter): void {
  const { family, protocol, originalDestinationPort: port, ...rest } = filter;
  if (port !== undefined && protocol === undefined) {
    throw new TypeError("a conntrack filter with a port needs a protocol");
  }
  const addresses = Object.values(rest).filter((a) => a !== undefined);
  if (protocol === undefined && addresses.length === 0) {
    throw new TypeError("a conntrack filter needs more than a family");
  }
  for (const address of addresses) {
    if (address.family !== family) {
      throw new RangeError(`${address} is not an IPv${family} address`);
    }
  }
}

const IPPROTO_TCP = 6;
const IPPROTO_UDP = 17;

/**
 * Whether kernels of today select what the filter says, and so can forget it by one message. They take an IPv6 address as
 * "any but this one", and compare the ports of TCP and UDP only (5.8 to at least 6.18: ctnetlink_filter_match_tuple,
 * net/netfilter/nf_conntrack_netlink.c).
 */
export function isForgottenAtOnce(filter: ConntrackFilter): boolean {
  const { family, protocol, originalDestinationPort: port, ...addresses } =
    filter;
  return (family === 4 ||
    Object.values(addresses).every((a) => a === undefined)) &&
    (port === undefined || protocol === IPPROTO_TCP ||
      protocol === IPPROTO_UDP);
}

/** What the filters have in common and kernels select rightly, so that a dump is no longer than needed. */
function common(
  filters: readonly [ConntrackFilter, ...ConntrackFilter[]],
): ConntrackFilter {
  const { family, protocol, originalDestinationPort: port } = filters[0];
  if (
    protocol === undefined || filters.some((f) => f.protocol !== protocol)
  ) return { family };
  if (
    port === undefined ||
    filters.some((f) => f.originalDestinationPort !== port)
  ) return { family, protocol };
  const withPort = { family, protocol, originalDestinationPort: port };
  return isForgottenAtOnce(withPort) ? withPort : { family, protocol };
}

/** A request for the entries that match: tuples with the values, and which of their fields count. */
function selection(
  filter: ConntrackFilter,
  type: number,
  operation: string,
): Request<EntryBody> {
  const {
    family,
    protocol,
    originalDestinationPort: port,
    originalSource,
    originalDestination,
    replySource,
  } = filter;
  const origFlags = (originalSource === undefined ? 0 : FilterField.source) |
    (originalDestination === undefined ? 0 : FilterField.destination) |
    (protocol === undefined ? 0 : FilterField.protocol) |
    (port === undefined ? 0 : FilterField.destinationPort);
  const replyFlags = replySource === undefined ? 0 : FilterField.source;
  const attrs: EntryAttrs = {};
  if (origFlags !== 0) {
    attrs.tupleOrig = {
      ...addresses(originalSource, originalDestination),
      ...(protocol === undefined ? {} : {
        proto: {
          num: protocol,
          ...(port === undefined ? {} : { dstPort: port }),
        },
      }),
    };
  }
  if (replyFlags !== 0) attrs.tupleReply = addresses(replySource);
  if (origFlags !== 0 || replyFlags !== 0) {
    attrs.filter = { origFlags, replyFlags };
  }
  return {
    operation,
    type,
    flags: 0,
    codec: entryMessage,
    value: { header: { family: NF_FAMILY[family] }, attrs },
  };
}

/** IPv4 addresses only: see {@linkcode isForgottenAtOnce}. */
function addresses(
  source?: IpAddress,
  destination?: IpAddress,
): Pick<TupleAttrs, "ip"> {
  if (source === undefined && destination === undefined) return {};
  return {
    ip: {
      ...(source === undefined ? {} : { v4Src: source.bytes }),
      ...(destination === undefined ? {} : { v4Dst: destination.bytes }),
    },
  };
}

function matches(filter: ConntrackFilter, attrs: EntryAttrs): boolean {
  const original = tupleOf(filter.family, attrs.tupleOrig);
  const reply = tupleOf(filter.family, attrs.tupleReply);
  if (original === undefined || reply === undefined) return false;
  const same = (wanted: IpAddress | undefined, is: IpAddress) =>
    wanted === undefined || wanted.equals(is);
  const { protocol, originalDestinationPort: port } = filter;
  return same(filter.originalSource, original.source) &&
    same(filter.originalDestination, original.destination) &&
    same(filter.replySource, reply.source) &&
    (protocol === undefined || protocol === attrs.tupleOrig?.proto?.num) &&
    (port === undefined || port === original.destinationPort);
}

/** Undefined when the tuple has no addresses of the family. */
function tupleOf(
  family: IpFamily,
  attrs: TupleAttrs | undefined,
): ConntrackTuple | undefined {
  const { v4Src, v4Dst, v6Src, v6Dst } = attrs?.ip ?? {};
  const [source, destination] = family === 4 ? [v4Src, v4Dst] : [v6Src, v6Dst];
  if (source === undefined || destination === undefined) return undefined;
  const { srcPort, dstPort } = attrs?.proto ?? {};
  return {
    source: IpAddress.fromBytes(source),
    destination: IpAddress.fromBytes(destination),
    ...(srcPort === undefined ? {} : { sourcePort: srcPort }),
    ...(dstPort === undefined ? {} : { destinationPort: dstPort }),
  };
}
