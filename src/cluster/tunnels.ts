/**
 * Tunnels in the kernel: how they differ from what they should be, and what mends it.
 *
 * @module
 */
import { IpAddress } from "../net/ip.ts";
import { MacAddress } from "../net/mac.ts";
import type { Request } from "../netlink/message.ts";
import { deleteLink, type Link, newLink, setLink } from "../rtnetlink/link.ts";
import type { LinkInfo } from "../rtnetlink/tables.ts";
import { newIndex } from "../sandbox/records/identity.ts";
import type { TunnelLink } from "./path_plan.ts";

/** One thing that must be done to a link. */
export interface LinkChange {
  /** For people. */
  readonly object: string;
  /** For people. */
  readonly problem: string;
  readonly does: "add" | "change" | "remove";
  /** To be sent together, in this order. */
  readonly requests: readonly Request<unknown>[];
}

/** Loose, since what a node answers may come by another way than its own pods' packets do. */
const LOOSE = 2;

/**
 * What turns the tunnels that there are into those that should be.
 *
 * @param alias of all of them
 */
export function tunnelChanges(
  found: readonly Link[],
  wanted: readonly TunnelLink[],
  alias: string,
): LinkChange[] {
  const changes: LinkChange[] = [];
  const kept = new Set<Link>();
  for (const tunnel of wanted) {
    const link = found.find(({ name }) => name === tunnel.name);
    const object = `link ${tunnel.name}`;
    if (link === undefined) {
      changes.push({
        object,
        problem: "is missing",
        does: "add",
        requests: makeTunnel(tunnel, alias),
      });
      continue;
    }
    kept.add(link);
    const { index } = link;
    if (!isSameTunnel(link, tunnel)) {
      changes.push({
        object,
        problem: "is another tunnel",
        does: "change",
        requests: [deleteLink({ index }), ...makeTunnel(tunnel, alias)],
      });
      continue;
    }
    const problem = link.mtu !== tunnel.mtu
      ? `has MTU ${link.mtu}, not ${tunnel.mtu}`
      : String(link.mac) !== tunnel.mac
      ? `has MAC address ${link.mac}, not ${tunnel.mac}`
      : !link.up
      ? "is down"
      : link.ipv4?.rpFilter !== LOOSE
      ? "filters by strict reverse paths"
      : link.master !== undefined
      ? "is a port of another link"
      : undefined;
    if (problem !== undefined) {
      changes.push({
        object,
        problem,
        does: "change",
        requests: settle(index, tunnel, alias),
      });
    }
  }
  // First, since two tunnels with one identifier and port cannot be.
  return [
    ...found.filter((link) => !kept.has(link)).map((link): LinkChange => ({
      object: `link ${link.name}`,
      problem: "is none that it should be",
      does: "remove",
      requests: [deleteLink({ index: link.index })],
    })),
    ...changes,
  ];
}

/** The number is chosen here: should the link be refused, what follows would else be done to somebody's of the same name. */
function makeTunnel(tunnel: TunnelLink, alias: string): Request<unknown>[] {
  const { name, mac, mtu } = tunnel;
  const index = newIndex();
  return [
    newLink({
      name,
      index,
      mac: MacAddress.parse(mac),
      mtu,
      info: { vxlan: driverOptions(tunnel) },
    }),
    ...settle(index, tunnel, alias),
  ];
}

/** All that can be changed. The kernel drops what a link has of IPv6 when it goes down, so it is not. */
function settle(
  index: number,
  { mac, mtu }: TunnelLink,
  alias: string,
): Request<unknown>[] {
  return [
    setLink({
      index,
      alias,
      mac: MacAddress.parse(mac),
      mtu,
      master: 0,
      addrGenMode: "none",
      ipv4: {
        rpFilter: LOOSE,
        acceptRedirects: 0,
        sendRedirects: 0,
      },
    }),
    setLink({ index, up: true }),
  ];
}

type Vxlan = Extract<LinkInfo, { vxlan: unknown }>["vxlan"];

/**
 * Nothing is learnt from packets, and what is not known goes nowhere: there is no entry for all addresses. Routers on the way
 * may cut packets of the tunnel in pieces: a node that heard from one that they are too large would tell its pods so for IPv6
 * alone, since IPv4 packets are forwarded whatever the MTU of their path (`ip_forward_use_pmtu`), and larger ones were lost.
 */
function driverOptions({ vni, port, local }: TunnelLink): Vxlan {
  const source = IpAddress.parse(local);
  return {
    id: vni,
    port,
    ...source.family === 4 ? { local: source.bytes } : { local6: source.bytes },
    learning: 0,
    df: "unset",
  };
}

function isSameTunnel({ info }: Link, tunnel: TunnelLink): boolean {
  if (info === undefined || !("vxlan" in info)) return false;
  const wanted = driverOptions(tunnel);
  const found = info.vxlan;
  return found.id === wanted.id && found.port === wanted.port &&
    found.learning === 0 && found.df === wanted.df &&
    found.local?.toHex() === wanted.local?.toHex() &&
    found.local6?.toHex() === wanted.local6?.toHex() &&
    found.group === undefined && found.group6 === undefined &&
    (found.link ?? 0) === 0;
}
