/**
 * Schemas of single fields: what one value may be, whatever the others are.
 * @module
 */

import * as v from "valibot";
import { PORT_PROTOCOLS, type PortProtocol } from "../hostport/mapping.ts";
import { Cidr } from "../net/cidr.ts";
import { InterfaceAddress } from "../net/interface_address.ts";
import { IpAddress } from "../net/ip.ts";
import { MacAddress } from "../net/mac.ts";
import { instead, isObject, show } from "./problems.ts";

/** A schema for one field: any input, a checked value out. */
export type Field<T> = v.GenericSchema<unknown, T>;

/**
 * A schema that is made when it is used first, as most are by few processes: all that a command has no use for would take it
 * half a millisecond.
 */
export function late<const S extends v.GenericSchema>(
  make: () => S,
): v.LazySchema<S> {
  let made: S | undefined;
  return v.lazy(() => made ??= make());
}

/** A string that `parse` understands. `parse` throws a RangeError that says what to write instead. */
export function parsed<T>(what: string, parse: (text: string) => T): Field<T> {
  return v.pipe(
    v.string(instead(what)),
    v.rawTransform<string, T>(({ dataset, addIssue, NEVER }) => {
      try {
        return parse(dataset.value);
      } catch (error) {
        if (!(error instanceof RangeError)) throw error;
        addIssue({ message: error.message });
        return NEVER;
      }
    }),
  );
}

/** A string that passes a test. */
function matching(
  what: string,
  test: (text: string) => boolean,
): Field<string> {
  return v.pipe(v.string(instead(what)), v.check(test, instead(what)));
}

/** An integer in a range. */
export function integer(
  what: string,
  min: number,
  max: number,
): Field<number> {
  const isInRange = (n: number) => Number.isInteger(n) && n >= min && n <= max;
  return v.pipe(v.number(instead(what)), v.check(isInRange, instead(what)));
}

/** Names become file names, link aliases and comments of map elements: the pattern of the CNI spec, and a length. */
export function name(maxLength: number): Field<string> {
  return matching(
    `a name of at most ${maxLength} letters, digits, "_", "." and "-" that begins with a letter or digit`,
    (text) =>
      text.length <= maxLength && /^[a-zA-Z0-9][a-zA-Z0-9_.-]*$/.test(text),
  );
}

/** A string without line breaks and other control characters. */
export function line(what: string, minLength = 0): Field<string> {
  return matching(
    what,
    (text) =>
      text.length >= minLength && text.isWellFormed() &&
      !/\p{Cc}|\p{Zl}|\p{Zp}/u.test(text),
  );
}

/** True or false. */
export const flag: Field<boolean> = v.boolean(instead("true or false"));

/** A port. */
export const port: Field<number> = integer(
  "an integer from 1 to 65535",
  1,
  65535,
);

/** A transport protocol. */
export const protocol: Field<PortProtocol> = v.picklist(
  PORT_PROTOCOLS,
  instead('"tcp", "udp" or "sctp"'),
);

/** Bytes; 68 is the least that IPv4 works with (RFC 791, 3.2), 65535 what a veth link takes at most. */
export const mtu: Field<number> = integer(
  "an MTU in bytes, an integer from 68 to 65535",
  68,
  65535,
);

/** Bits a second; Kubernetes' own limits (pkg/util/bandwidth). */
export const bitsPerSecond: Field<number> = integer(
  "bits a second, an integer from 1000 to 1000000000000000",
  1000,
  10 ** 15,
);

/** A burst in bits; the kernel counts its bytes in 32 bits. */
export const burstBits: Field<number> = integer(
  "bits, an integer from 1 to 34359738360",
  1,
  0xffffffff * 8,
);

/** A number of connections; conntrack counts them in 32 bits. */
export const connections: Field<number> = integer(
  "a number of connections, an integer from 0 (no limit) to 2147483647",
  0,
  2 ** 31 - 1,
);

/** A number of namespaces; each holds five descriptors. */
export const warm: Field<number> = integer(
  "a number of namespaces, an integer from 0 to 1000",
  0,
  1000,
);

/** A time; what timers count is kept in 31 bits. */
export const milliseconds: Field<number> = integer(
  "milliseconds, an integer from 1 to 2147483647",
  1,
  2 ** 31 - 1,
);

/** An address, IPv4 or IPv6. */
export const address: Field<IpAddress> = parsed(
  'an IP address like "10.244.1.7" or "fd00::7"',
  parseAddress,
);

/** A network. */
export const cidr: Field<Cidr> = parsed(
  'a network like "10.244.1.0/24" or "fd00:10:244:1::/64"',
  (text) => {
    const network = Cidr.parse(text);
    refuseIpv4Mapped(network.network);
    return network;
  },
);

/** An address that host ports may be opened on. */
export const hostIP: Field<IpAddress> = parsed(
  'an address of the node like "192.0.2.1", or "0.0.0.0" or "::", or leave it out for all addresses',
  (text) => {
    const ip = parseAddress(text);
    if (ip.isMulticast || ip.isBroadcast) {
      throw new RangeError(
        `${ip} is no address of one node: write one the node has`,
      );
    }
    const loopback = ip.family === 4 ? "127.0.0.1" : "::1";
    if (ip.isLoopback && ip.toString() !== loopback) {
      throw new RangeError(
        `write ${loopback}: no other loopback address can have host ports`,
      );
    }
    if (ip.family === 6 && ip.isLinkLocal) {
      throw new RangeError(
        `${ip} means another node on every link: write an address that is not link-local`,
      );
    }
    return ip;
  },
);

/** An absolute path. */
export const absolutePath: Field<string> = matching(
  'an absolute path like "/run/netns/blue"',
  (text) => /^\/[^\0]+$/.test(text) && text.isWellFormed(),
);

/** The MAC address of one station. */
export const mac: Field<MacAddress> = parsed(
  'a MAC address like "02:00:5e:10:00:01"',
  (text) => {
    const address = MacAddress.parse(text);
    if (address.isMulticast) {
      throw new RangeError(
        `${address} is a multicast address: write one whose second digit is even, like "02:00:5e:10:00:01"`,
      );
    }
    if (address.isZero) {
      throw new RangeError(
        'write a MAC address that is not zero, like "02:00:5e:10:00:01"',
      );
    }
    return address;
  },
);

/**
 * A name the kernel takes for a link (`dev_valid_name` in net/core/dev.c; `%` asks it to number the link). `all` and
 * `default` are directories of sysctls (`sysctl_dev_name_is_allowed` in net/ipv4/devinet.c), `lo` exists already.
 */
export const interfaceName: Field<string> = matching(
  'an interface name of 1 to 15 visible ASCII characters without "/", ":" and "%", other than ".", "..", "lo", "all" and "default"',
  (text) =>
    /^[!-~]{1,15}$/.test(text) && !/[/:%]/.test(text) &&
    ![".", "..", "lo", "all", "default"].includes(text),
);

/** A host name: DNS labels (RFC 1123, 2.1), at most 63 characters, one less than the kernel has room for. */
export const hostname: Field<string> = matching(
  'a host name of at most 63 letters, digits, "-" and "."',
  (text) => text.length <= 63 && isDomain(text) && !/_|\.$/.test(text),
);

/** A domain name; `_` is allowed, since service names (RFC 6763) have it. */
export const domain: Field<string> = matching(
  'a domain name like "default.svc.cluster.local"',
  isDomain,
);

/** A domain to search in; `.` is the root. */
export const searchDomain: Field<string> = matching(
  'a domain name like "default.svc.cluster.local", or "."',
  (text) => text === "." || isDomain(text),
);

/** An option of resolv.conf(5). */
export const resolverOption: Field<string> = matching(
  'an option of resolv.conf(5) like "ndots:5" or "edns0"',
  (text) => /^[a-z0-9-]+(?::[0-9]+)?$/.test(text),
);

/** The name of a link of the node's that a pod may have: not lo, and none of podnet's own. */
export const nodeLink: Field<string> = matching(
  'the name of a link of the node that is not "lo" and not podnet\'s own',
  (text) =>
    /^[!-~]{1,15}$/.test(text) && !/[/:%]/.test(text) &&
    ![".", "..", "lo", "all", "default"].includes(text) &&
    !/^p[nbp]-/.test(text),
);

/** An address with its prefix length. */
export const interfaceAddress: Field<InterfaceAddress> = parsed(
  'an address with its prefix length like "192.168.1.7/24"',
  (text) => {
    const found = InterfaceAddress.parse(text);
    refuseIpv4Mapped(found.address);
    return found;
  },
);

/** A list of entries of one kind. */
export function list<T>(
  what: string,
  entry: Field<T>,
  maxLength?: number,
): Field<T[]> {
  const entries = v.array(entry, instead(what));
  if (maxLength === undefined) return entries;
  // Also counts when an entry is wrong, which maxLength() would not.
  return v.pipe(
    entries,
    v.rawCheck(({ dataset, addIssue }) => {
      const { value } = dataset;
      if (!Array.isArray(value) || value.length <= maxLength) return;
      addIssue({
        message: `write at most ${maxLength} entries, not ${value.length}`,
      });
    }),
  );
}

/** An object of strings. JavaScript's own names cannot be keys: they would vanish on the way. */
export function strings(
  what: string,
  value: Field<string>,
): Field<Record<string, string>> {
  return v.pipe(
    v.custom<Record<string, unknown>>(isObject, instead(what)),
    v.rawCheck(({ dataset, addIssue }) => {
      if (!dataset.typed) return;
      const input = dataset.value;
      for (const key of Object.keys(input)) {
        const message = keyProblem(key);
        if (message === undefined) continue;
        addIssue({
          message,
          path: [{
            type: "object",
            origin: "key",
            input,
            key,
            value: input[key],
          }],
        });
      }
    }),
    v.record(v.string(), value),
  );
}

function keyProblem(key: string): string | undefined {
  if (["__proto__", "constructor", "prototype"].includes(key)) {
    return "write another name: JavaScript uses this one itself";
  }
  return key === "" || /\p{Cc}/u.test(key) || !key.isWellFormed()
    ? `write a name without control characters, not ${show(key)}`
    : undefined;
}

function isDomain(text: string): boolean {
  return text.length <= 253 &&
    /^[a-z0-9_](?:[a-z0-9_-]{0,61}[a-z0-9_])?(?:\.[a-z0-9_](?:[a-z0-9_-]{0,61}[a-z0-9_])?)*\.?$/i
      .test(text);
}

function parseAddress(text: string): IpAddress {
  const ip = IpAddress.parse(text);
  refuseIpv4Mapped(ip);
  return ip;
}

/** An IPv4-mapped address is an IPv4 address to sockets and an IPv6 one to routes: no rule could fit both. */
function refuseIpv4Mapped(ip: IpAddress): void {
  if (ip.isIpv4Mapped) {
    throw new RangeError(
      `${ip} is IPv4 in IPv6 form: write ${
        IpAddress.fromBytes(ip.bytes.subarray(12))
      }`,
    );
  }
}
