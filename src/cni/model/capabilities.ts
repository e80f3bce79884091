/**
 * What a runtime says of a container in `runtimeConfig`. Some runtimes write the keys in the letter case of their own
 * types (`HostPort`), so the case of letters makes no difference.
 * @module
 */

import {
  defined,
  type JsonObject,
  type JsonValue,
  type Reader,
  readList,
  readObject,
  readString,
  wrongValue,
} from "./json.ts";

/** A port of the node that leads to the container. */
export interface CapabilityPort {
  /** 1–65535. */
  readonly hostPort: number;
  /** 1–65535. */
  readonly containerPort: number;
  /** In lower case; `tcp` when nothing was written. */
  readonly protocol: string;
  /** Only this address of the node. */
  readonly hostIP?: string;
}

/** A range of addresses to choose from. */
export interface CapabilityRange {
  /** The network. */
  readonly subnet: string;
  /** The first address. */
  readonly rangeStart?: string;
  /** The last address. */
  readonly rangeEnd?: string;
  /** The gateway. */
  readonly gateway?: string;
}

/** Limits in bits a second, and the bits that may go at once; 0 is no limit. */
export interface CapabilityBandwidth {
  /** To the container. */
  readonly ingressRate: number;
  /** To the container. */
  readonly ingressBurst: number;
  /** From the container. */
  readonly egressRate: number;
  /** From the container. */
  readonly egressBurst: number;
}

/** What resolv.conf should say. */
export interface CapabilityDns {
  /** Addresses of name servers. */
  readonly servers: readonly string[];
  /** Domains to search in. */
  readonly searches: readonly string[];
  /** Options of resolv.conf(5). */
  readonly options: readonly string[];
}

/** The capabilities that are known here; all others are left alone. */
export interface RuntimeConfig {
  /** Host ports; entries with a host port of 0 or less are no ports. */
  readonly portMappings?: readonly CapabilityPort[];
  /** Sets of ranges; an address of each set. */
  readonly ipRanges?: readonly (readonly CapabilityRange[])[];
  /** Limits. */
  readonly bandwidth?: CapabilityBandwidth;
  /** Names. */
  readonly dns?: CapabilityDns;
  /** Addresses that are wanted, with or without a prefix length. */
  readonly ips?: readonly string[];
  /** The hardware address that is wanted. */
  readonly mac?: string;
  /** Other names of the container, by network. */
  readonly aliases?: Readonly<Record<string, readonly string[]>>;
  /** The pod's cgroup. */
  readonly cgroupPath?: string;
  /** The GUID of an InfiniBand device. */
  readonly infinibandGUID?: string;
  /** A device that somebody else has prepared. */
  readonly deviceID?: string;
  /** The annotations of a Kubernetes pod. */
  readonly podAnnotations?: Readonly<Record<string, string>>;
}

/** The key of Kubernetes pods' annotations. */
export const POD_ANNOTATIONS = "io.kubernetes.cri.pod-annotations";

/**
 * Reads `runtimeConfig`. What is not known is left out.
 * @throws {CniError} 7 with the place of what is wrong
 */
export function readRuntimeConfig(raw: JsonObject): RuntimeConfig {
  const own = <T>(key: string, read: Reader<T>) =>
    insensitive(raw, key, read, "runtimeConfig");
  return defined({
    portMappings: own("portMappings", readList(readPort))?.filter((
      { hostPort },
    ) => hostPort > 0),
    ipRanges: own("ipRanges", readList(readList(readRange))),
    bandwidth: own("bandwidth", readBandwidth),
    dns: own("dns", readCapabilityDns),
    ips: own("ips", readList(readString)),
    mac: nothingIfEmpty(own("mac", readString)),
    aliases: own("aliases", readMap(readList(readString))),
    cgroupPath: nothingIfEmpty(own("cgroupPath", readString)),
    infinibandGUID: nothingIfEmpty(own("infinibandGUID", readString)),
    deviceID: nothingIfEmpty(own("deviceID", readString)),
    podAnnotations: own(POD_ANNOTATIONS, readMap(readString)),
  });
}

/** Reads a member whose key may be written in any letter case; the exact one comes first. */
export function insensitive<T>(
  object: JsonObject,
  key: string,
  read: Reader<T>,
  path: string,
): T | undefined {
  const lower = key.toLowerCase();
  const written = Object.hasOwn(object, key)
    ? key
    : Object.keys(object).find((other) => other.toLowerCase() === lower);
  const value = written === undefined ? undefined : object[written];
  return value === undefined || value === null
    ? undefined
    : read(value, `${path}.${written}`);
}

function readPort(value: JsonValue, path: string): CapabilityPort {
  const raw = readObject(value, path);
  const hostPort = insensitive(raw, "hostPort", readInteger, path) ?? 0;
  const hostIP = nothingIfEmpty(insensitive(raw, "hostIP", readString, path));
  const protocol = insensitive(raw, "protocol", readString, path);
  return {
    hostPort: hostPort > 0 ? inRange(hostPort, `${path}.hostPort`) : 0,
    containerPort: hostPort > 0
      ? inRange(
        insensitive(raw, "containerPort", readInteger, path) ?? 0,
        `${path}.containerPort`,
      )
      : 0,
    protocol: nothingIfEmpty(protocol)?.toLowerCase() ?? "tcp",
    ...defined({ hostIP }),
  };
}

function inRange(port: number, path: string): number {
  if (port < 1 || port > 65535) {
    throw wrongValue(path, `an integer from 1 to 65535, not ${port}`);
  }
  return port;
}

function readRange(value: JsonValue, path: string): CapabilityRange {
  const raw = readObject(value, path);
  const own = (key: string) =>
    nothingIfEmpty(insensitive(raw, key, readString, path));
  return {
    subnet: own("subnet") ?? failed(`${path}.subnet`, "a network"),
    ...defined({
      rangeStart: own("rangeStart"),
      rangeEnd: own("rangeEnd"),
      gateway: own("gateway"),
    }),
  };
}

function readBandwidth(value: JsonValue, path: string): CapabilityBandwidth {
  const raw = readObject(value, path);
  const own = (key: string) => {
    // The greatest of Go's integers means no limit, and is more than JavaScript counts exactly.
    const bits = insensitive(raw, key, readNumber, path) ?? 0;
    return bits < 0 || !Number.isInteger(bits)
      ? failed(`${path}.${key}`, "an integer from 0")
      : bits;
  };
  return {
    ingressRate: own("ingressRate"),
    ingressBurst: own("ingressBurst"),
    egressRate: own("egressRate"),
    egressBurst: own("egressBurst"),
  };
}

function readCapabilityDns(value: JsonValue, path: string): CapabilityDns {
  const raw = readObject(value, path);
  const own = (key: string) =>
    insensitive(raw, key, readList(readString), path) ?? [];
  return {
    servers: own("servers"),
    searches: own("searches"),
    options: own("options"),
  };
}

function readMap<T>(read: Reader<T>): Reader<Record<string, T>> {
  return (value, path) =>
    Object.fromEntries(
      Object.entries(readObject(value, path)).map(([key, entry]) => [
        key,
        read(entry, `${path}.${key}`),
      ]),
    );
}

function readNumber(value: JsonValue, path: string): number {
  return typeof value === "number" ? value : failed(path, "an integer from 0");
}

function readInteger(value: JsonValue, path: string): number {
  if (typeof value !== "number" || !Number.isSafeInteger(value)) {
    throw wrongValue(path, "an integer");
  }
  return value + 0;
}

function nothingIfEmpty(text: string | undefined): string | undefined {
  return text === "" ? undefined : text;
}

function failed(path: string, wanted: string): never {
  throw wrongValue(path, wanted);
}
