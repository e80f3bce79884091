/**
 * Results of ADD, in the form of version 1.1.0, which every other form can be read into.
 * @module
 */

import { IpAddress } from "../../net/ip.ts";
import {
  decoding,
  defined,
  type JsonObject,
  type JsonValue,
  optional,
  parseJsonObject,
  readCount,
  type Reader,
  readList,
  readObject,
  readString,
  wrongValue,
} from "./json.ts";
import { isAtLeast, parseVersion } from "./version.ts";

/** A link that the plugins made or changed. */
export interface ResultInterface {
  /** Its name. */
  readonly name: string;
  /** Its hardware address. */
  readonly mac?: string;
  /** In bytes. */
  readonly mtu?: number;
  /** The namespace it is in, as `CNI_NETNS` had it; missing for the node's links. */
  readonly sandbox?: string;
  /** A socket that stands for the link, such as vhost-user's. */
  readonly socketPath?: string;
  /** The PCI device behind it. */
  readonly pciID?: string;
}

/** An address that was given. */
export interface ResultAddress {
  /** The address and the length of its network's prefix, such as `10.1.2.3/24`. */
  readonly address: string;
  /** The subnet's gateway. */
  readonly gateway?: string;
  /** Which of the result's interfaces has it; missing in the results of IPAM plugins. */
  readonly interface?: number;
}

/** A route in the container. */
export interface ResultRoute {
  /** The network, such as `0.0.0.0/0`. */
  readonly dst: string;
  /** The next hop; missing when the address's gateway, or none, is meant. */
  readonly gw?: string;
  /** In bytes. */
  readonly mtu?: number;
  /** The MSS to advertise, in bytes. */
  readonly advmss?: number;
  /** The route's metric; the lower wins. */
  readonly priority?: number;
  /** The routing table's number. */
  readonly table?: number;
  /** The scope's number (rtnetlink(7)). */
  readonly scope?: number;
}

/** What resolv.conf should say. */
export interface ResultDns {
  /** Addresses of name servers. */
  readonly nameservers?: readonly string[];
  /** The local domain. */
  readonly domain?: string;
  /** Domains to search in. */
  readonly search?: readonly string[];
  /** Options of resolv.conf(5). */
  readonly options?: readonly string[];
}

/** What ADD made, in the form of version 1.1.0. An IPAM plugin's has no interfaces. */
export interface CniResult {
  /** The links; those with a `sandbox` are in the container. */
  readonly interfaces: readonly ResultInterface[];
  /** The addresses. */
  readonly ips: readonly ResultAddress[];
  /** The routes. */
  readonly routes: readonly ResultRoute[];
  /** Missing when the plugins said nothing of names. */
  readonly dns?: ResultDns;
}

/** A result that has nothing. */
export const EMPTY_RESULT: CniResult = { interfaces: [], ips: [], routes: [] };

/**
 * Reads a result of any version, as its own `cniVersion` says.
 *
 * @throws {CniError} 6 when it is no result, 1 when its version is not known
 */
export function parseResult(input: string | JsonObject): CniResult {
  const raw = typeof input === "string"
    ? parseJsonObject(input, "the result")
    : input;
  return decoding("invalid result", () => {
    const version = parseVersion(optional(raw, "cniVersion", readString));
    return isAtLeast(version, "0.3.0") ? readResult(raw) : readOldResult(raw);
  });
}

/** A text with something in it: Go writes the empty one for nothing. */
function text(
  object: JsonObject,
  key: string,
  path: string,
  read: Reader<string> = readString,
): string | undefined {
  return object[key] === "" ? undefined : optional(object, key, read, path);
}

function readResult(raw: JsonObject): CniResult {
  const interfaces = optional(raw, "interfaces", readList(readInterface)) ?? [];
  const ips = optional(raw, "ips", readList(readAddress)) ?? [];
  ips.forEach(({ interface: index }, i) => {
    if (index !== undefined && index >= interfaces.length) {
      throw wrongValue(
        `ips[${i}].interface`,
        `one of ${interfaces.length} interfaces, not ${index}`,
      );
    }
  });
  return {
    interfaces,
    ips,
    routes: optional(raw, "routes", readList(readRoute)) ?? [],
    ...defined({ dns: readDns(raw) }),
  };
}

/** The form of 0.1.0 and 0.2.0: one address of each IP version, which has the routes. */
function readOldResult(raw: JsonObject): CniResult {
  const ips: ResultAddress[] = [];
  const routes: ResultRoute[] = [];
  for (const key of ["ip4", "ip6"]) {
    const half = optional(raw, key, readObject);
    if (half === undefined) continue;
    ips.push({
      address: readNetworkAddress(half["ip"] ?? "", `${key}.ip`),
      ...defined({ gateway: text(half, "gateway", key, readIp) }),
    });
    routes.push(...optional(half, "routes", readList(readRoute), key) ?? []);
  }
  return {
    interfaces: [],
    ips,
    routes,
    ...defined({ dns: readDns(raw) }),
  };
}

function readInterface(value: JsonValue, path: string): ResultInterface {
  const raw = readObject(value, path);
  return {
    name: readString(raw["name"] ?? "", `${path}.name`),
    ...defined({
      mac: text(raw, "mac", path),
      mtu: number(raw, "mtu", path),
      sandbox: text(raw, "sandbox", path),
      socketPath: text(raw, "socketPath", path),
      pciID: text(raw, "pciID", path),
    }),
  };
}

function readAddress(value: JsonValue, path: string): ResultAddress {
  const raw = readObject(value, path);
  return {
    address: readNetworkAddress(raw["address"] ?? "", `${path}.address`),
    ...defined({
      gateway: text(raw, "gateway", path, readIp),
      interface: optional(raw, "interface", readCount, path),
    }),
  };
}

function readRoute(value: JsonValue, path: string): ResultRoute {
  const raw = readObject(value, path);
  return {
    dst: readNetworkAddress(raw["dst"] ?? "", `${path}.dst`),
    ...defined({
      gw: text(raw, "gw", path, readIp),
      mtu: number(raw, "mtu", path),
      advmss: number(raw, "advmss", path),
      priority: number(raw, "priority", path),
      // 0 is a table and a scope (RT_TABLE_UNSPEC, RT_SCOPE_UNIVERSE).
      table: optional(raw, "table", readCount, path),
      scope: optional(raw, "scope", readCount, path),
    }),
  };
}

/** A number for which 0 means nothing. */
function number(
  object: JsonObject,
  key: string,
  path: string,
): number | undefined {
  return optional(object, key, readCount, path) || undefined;
}

function readDns(raw: JsonObject): ResultDns | undefined {
  const dns = optional(raw, "dns", readObject);
  if (dns === undefined) return undefined;
  const list = (key: string) => {
    const entries = optional(dns, key, readList(readString), "dns");
    return entries?.length === 0 ? undefined : entries;
  };
  const read = defined({
    nameservers: list("nameservers"),
    domain: text(dns, "domain", "dns"),
    search: list("search"),
    options: list("options"),
  });
  return Object.keys(read).length === 0 ? undefined : read;
}

/** An address as it was written; that it is one has been looked at. */
function readIp(value: JsonValue, path: string): string {
  const written = readString(value, path);
  return String(address(written, path));
}

/** An address and a prefix length, the address in its usual form. */
function readNetworkAddress(value: JsonValue, path: string): string {
  const written = readString(value, path);
  const [, host = "", length = ""] =
    /^([^/]*)\/(0|[1-9][0-9]{0,2})$/.exec(written) ?? [];
  const ip = address(host, path);
  if (Number(length) > (ip.family === 4 ? 32 : 128)) {
    throw wrongValue(path, `a network, without a prefix of ${length} bits`);
  }
  return `${ip}/${length}`;
}

function address(written: string, path: string): IpAddress {
  try {
    return IpAddress.parse(written);
  } catch (error) {
    throw wrongValue(path, `an address: ${(error as Error).message}`);
  }
}
