/**
 * How what the kernel has differs from what it should have, one thing at a time.
 *
 * @module
 */
import { Errno } from "../../ffi/errno.ts";
import type { IpAddress } from "../net/ip.ts";
import type { MacAddress } from "../net/mac.ts";
import type { Connection } from "../netlink/connection.ts";
import type { Request } from "../netlink/message.ts";
import { type Link, type LinkChanges, setLink } from "../rtnetlink/link.ts";
import { getNeighbour } from "../rtnetlink/neighbour.ts";
import { orNone } from "./questions.ts";

/** One thing that differs, with what mends it or whom to ask. */
export type WiringDifference =
  & {
    /** Such as `link pn-0123456789ab`. */
    readonly object: string;
    /** Such as `is down`. */
    readonly problem: string;
  }
  & (
    | {
      /** What mending does, as in `repair sets it up`. */
      readonly does: string;
      readonly mend: () => void;
      readonly advice?: never;
    }
    | {
      /** What people can do. */
      readonly advice: string;
      readonly does?: never;
      readonly mend?: never;
    }
  );

/** What an end of a link should be; what is not given is not compared. */
export interface WantedEnd {
  readonly object: string;
  readonly name?: string;
  readonly alias?: string;
  readonly mtu?: number;
  readonly mac?: MacAddress;
  readonly ipv4?: LinkChanges["ipv4"];
  /** No link-local address of its own. */
  readonly addrGenMode?: "none";
  /** Not a port of a bridge or VRF. */
  readonly isFree?: true;
}

/** Of one end of a link. Mended one by one: a link that comes up has lost its routes, which is told apart. */
export function endDifferences(
  link: Link,
  wanted: WantedEnd,
  execute: (change: Request<unknown>) => void,
): WiringDifference[] {
  const { index, up, mtu, mac, name, alias, master, addrGenMode } = link;
  const { object } = wanted;
  const found: WiringDifference[] = [];
  const differs = (problem: string, does: string, changes: LinkChanges) =>
    found.push({
      object,
      problem,
      does,
      mend: () => execute(setLink({ index, ...changes })),
    });
  if (wanted.name !== undefined && name !== wanted.name) {
    differs(`is named ${name}`, "renames it", { rename: wanted.name });
  }
  if (wanted.alias !== undefined && alias !== wanted.alias) {
    differs(
      alias === undefined ? "has no alias" : `has alias "${alias}"`,
      "sets it",
      { alias: wanted.alias },
    );
  }
  if (wanted.mtu !== undefined && mtu !== wanted.mtu) {
    differs(`has MTU ${mtu}, not ${wanted.mtu}`, "sets it", {
      mtu: wanted.mtu,
    });
  }
  if (wanted.mac !== undefined && !mac?.equals(wanted.mac)) {
    differs(`has MAC ${mac}, not ${wanted.mac}`, "sets it", {
      mac: wanted.mac,
    });
  }
  if (wanted.isFree && master !== undefined) {
    differs(`is a port of link #${master}`, "releases it", { master: 0 });
  }
  if (wanted.addrGenMode !== undefined && addrGenMode !== wanted.addrGenMode) {
    differs(
      addrGenMode === undefined
        ? "has no IPv6"
        : `makes link-local addresses (${addrGenMode})`,
      addrGenMode === undefined ? "gives it some" : "stops that",
      { addrGenMode: wanted.addrGenMode },
    );
  }
  for (const [key, value] of Object.entries(wanted.ipv4 ?? {})) {
    const conf = key as keyof NonNullable<Link["ipv4"]>;
    const is = link.ipv4?.[conf];
    if (is === value) continue;
    found.push({
      object: `sysctl net.ipv4.conf.${name}.${sysctlOf(key)}`,
      problem: `is ${is}, not ${value}`,
      does: "sets it",
      mend: () => execute(setLink({ index, ipv4: { [conf]: value } })),
    });
  }
  if (!up) differs("is down", "sets it up", { up: true });
  return found;
}

/** The file of a setting. Of these the kernel's constant has a name of its own (IPV4_DEVCONF_ARPFILTER). */
function sysctlOf(setting: string): string {
  return setting === "arpfilter" ? "arp_filter" : snakeCase(setting);
}

function snakeCase(text: string): string {
  return text.replace(/[A-Z]/g, (letter) => `_${letter.toLowerCase()}`);
}

/** What is wrong with the neighbour that should be there for good; one that the kernel has found by asking does not count. */
export function neighbourProblem(
  route: Connection,
  index: number,
  address: IpAddress,
  mac: MacAddress,
): string | undefined {
  const found = orNone(route, getNeighbour({ index, address }), Errno.ENOENT);
  if (found?.mac !== undefined && !found.mac.equals(mac)) {
    return `is ${found.mac}, not ${mac}`;
  }
  return found?.permanent ? undefined : "is missing";
}
