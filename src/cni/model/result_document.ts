/**
 * Results in the form of each version. What an older form has no place for is left out.
 * @module
 */

import { CniError, CniErrorCode } from "./error.ts";
import type { JsonObject } from "./json.ts";
import type {
  CniResult,
  ResultAddress,
  ResultDns,
  ResultInterface,
  ResultRoute,
} from "./result.ts";
import { type CniVersion, isAtLeast } from "./version.ts";

/**
 * The document of a result.
 *
 * 1.0.0 lacks the MTUs, sockets and PCI devices of links and everything of routes but their destination and next hop;
 * 0.2.0 and 0.1.0 have no links, and of the addresses the first of each IP version with its routes.
 *
 * @throws {CniError} 999 when an address is needed and there is none, as in 0.2.0 and 0.1.0
 */
export function resultDocument(
  result: CniResult,
  version: CniVersion,
): JsonObject {
  if (!isAtLeast(version, "0.3.0")) return oldDocument(result, version);
  const { interfaces, ips, routes, dns } = result;
  return {
    cniVersion: version,
    ...interfaces.length > 0 && {
      interfaces: interfaces.map((link) => interfaceOf(link, version)),
    },
    ...ips.length > 0 && { ips: ips.map((ip) => addressOf(ip, version)) },
    ...routes.length > 0 && {
      routes: routes.map((route) => routeOf(route, version)),
    },
    ...dns !== undefined && { dns: dnsOf(dns) },
  };
}

function interfaceOf(
  { name, mac, sandbox, mtu, socketPath, pciID }: ResultInterface,
  version: CniVersion,
): JsonObject {
  return {
    name,
    ...mac !== undefined && { mac },
    ...sandbox !== undefined && { sandbox },
    ...isAtLeast(version, "1.1.0") && {
      ...mtu !== undefined && { mtu },
      ...socketPath !== undefined && { socketPath },
      ...pciID !== undefined && { pciID },
    },
  };
}

function addressOf(ip: ResultAddress, version: CniVersion): JsonObject {
  return {
    ...!isAtLeast(version, "1.0.0") && { version: familyOf(ip.address) },
    ...ip.interface !== undefined && { interface: ip.interface },
    address: ip.address,
    ...ip.gateway !== undefined && { gateway: ip.gateway },
  };
}

function routeOf(
  { dst, gw, mtu, advmss, priority, table, scope }: ResultRoute,
  version: CniVersion,
): JsonObject {
  return {
    dst,
    ...gw !== undefined && { gw },
    ...isAtLeast(version, "1.1.0") && {
      ...mtu !== undefined && { mtu },
      ...advmss !== undefined && { advmss },
      ...priority !== undefined && { priority },
      ...table !== undefined && { table },
      ...scope !== undefined && { scope },
    },
  };
}

function dnsOf({ nameservers, domain, search, options }: ResultDns) {
  return {
    ...nameservers !== undefined && { nameservers },
    ...domain !== undefined && { domain },
    ...search !== undefined && { search },
    ...options !== undefined && { options },
  };
}

function oldDocument(
  { ips, routes, dns }: CniResult,
  version: CniVersion,
): JsonObject {
  if (ips.length === 0) {
    throw new CniError(
      CniErrorCode.INTERNAL,
      `a result of version ${version} needs an address, and there is none`,
    );
  }
  const halves = (["4", "6"] as const).flatMap((family) => {
    const ip = ips.find(({ address }) => familyOf(address) === family);
    if (ip === undefined) return [];
    const own = routes.filter(({ dst }) => familyOf(dst) === family);
    return [[`ip${family}`, {
      ip: ip.address,
      ...ip.gateway !== undefined && { gateway: ip.gateway },
      ...own.length > 0 && {
        routes: own.map((route) => routeOf(route, version)),
      },
    }]];
  });
  return {
    cniVersion: version,
    ...Object.fromEntries(halves),
    ...dns !== undefined && { dns: dnsOf(dns) },
  };
}

function familyOf(address: string): "4" | "6" {
  return address.includes(":") ? "6" : "4";
}
