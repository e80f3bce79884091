/**
 * Texts that are read: addresses, networks, host ports, names of sysctls, aliases, resolv.conf.
 *
 * @module
 */
import { assert, assertEquals } from "@std/assert";
import fc from "fast-check";
import { isIP, isIPv4, isIPv6 } from "node:net";
import { isSandboxError } from "../../src/errors.ts";
import { formatPublish, parsePublish } from "../../src/hostport/mapping.ts";
import { sysctlPath } from "../../src/namespace/sysctl.ts";
import { Cidr } from "../../src/net/cidr.ts";
import { IpAddress } from "../../src/net/ip.ts";
import { MacAddress } from "../../src/net/mac.ts";
import { dnsFiles, readResolvConf } from "../../src/sandbox/records/dns.ts";
import { idOfAlias } from "../../src/sandbox/records/identity.ts";
import { mutated, mutations } from "./mutation.ts";
import { attempt, type Target, target } from "./target.ts";

/** Texts that almost are addresses. */
const addressText = fc.oneof(
  fc.ipV4(),
  fc.ipV6(),
  fc.stringMatching(/^[0-9a-f:.%/]{0,24}$/),
  fc.tuple(fc.oneof(fc.ipV4(), fc.ipV6()), mutations).map(([text, damage]) =>
    String.fromCharCode(...mutated(new TextEncoder().encode(text), damage))
  ),
);

/** The targets. */
export const textTargets: readonly Target[] = [
  target("IP addresses, as node:net reads them", addressText, (text) => {
    const ip = attempt(() => IpAddress.parse(text), RangeError);
    // Zones are names of links, and no part of an address here.
    const expected = text.includes("%") ? 0 : isIP(text);
    assertEquals(ip?.family ?? 0, expected, JSON.stringify(text));
    if (ip === undefined) return;
    const again = String(ip);
    assert(ip.equals(IpAddress.parse(again)));
    assert(ip.family === 4 ? isIPv4(again) : isIPv6(again));
    if (ip.family === 6) {
      const { hostname } = new URL(`http://[${text}]/`);
      // The URL Standard writes IPv4 in IPv6 form in hexadecimal.
      if (!ip.isIpv4Mapped) assertEquals(again, hostname.slice(1, -1));
    }
  }, { runs: 2000 }),
  target(
    "networks",
    fc.tuple(
      addressText,
      fc.oneof(fc.nat({ max: 130 }).map(String), fc.string()),
    ),
    ([address, length]) => {
      const cidr = attempt(
        () => Cidr.parse(`${address}/${length}`),
        RangeError,
      );
      if (cidr === undefined) return;
      assert(cidr.equals(Cidr.parse(String(cidr))));
      assert(
        cidr.contains(cidr.network) && cidr.contains(cidr.at(cidr.size - 1n)),
      );
    },
    { runs: 800 },
  ),
  target(
    "MAC addresses",
    fc.oneof(
      fc.stringMatching(/^[0-9a-fA-F:-]{0,20}$/),
      fc.uint8Array({ minLength: 6, maxLength: 6 }).map((bytes) =>
        String(MacAddress.fromBytes(bytes))
      ),
    ),
    (text) => {
      const mac = attempt(() => MacAddress.parse(text), RangeError);
      if (mac !== undefined) assertEquals(String(mac), text.toLowerCase());
    },
    { runs: 500 },
  ),
  target(
    "publish syntax",
    fc.oneof(
      fc.stringMatching(/^[0-9a-f:.[\]/\-tcpud]{0,24}$/),
      fc.tuple(
        fc.constantFrom("", "127.0.0.1:", "[::1]:", "[fd00::1]:", "0.0.0.0:"),
        fc.nat({ max: 70000 }),
        fc.nat({ max: 70000 }),
        fc.constantFrom("", "/tcp", "/udp", "/sctp", "/x"),
      ).map(([ip, a, b, protocol]) => `${ip}${a}:${b}${protocol}`),
    ),
    (text) => {
      const mapping = attempt(() => parsePublish(text), RangeError);
      if (mapping === undefined || mapping.hostPortEnd !== undefined) return;
      if (mapping.containerPortEnd !== undefined) return;
      const { protocol = "tcp", ...rest } = mapping;
      assertEquals(parsePublish(formatPublish(mapping)), { ...rest, protocol });
    },
    { runs: 1000 },
  ),
  target(
    "sysctl names",
    fc.oneof(
      fc.string({ unit: "binary" }),
      fc.stringMatching(/^net[./][a-z0-9._/-]{0,30}$/),
    ),
    (name) => {
      let path: string;
      try {
        path = sysctlPath(name);
      } catch (error) {
        assert(isSandboxError(error, "InvalidSpec"), `${error}`);
        return;
      }
      assert(new URL(`file://${path}`).pathname.startsWith("/proc/sys/net/"));
      assert(!path.split("/").includes(".."));
    },
    { runs: 1000 },
  ),
  target(
    "aliases of links",
    fc.tuple(fc.string(), fc.string({ unit: "binary" })),
    ([node, alias]) => {
      for (
        const text of [alias, `podnet:${node}/${alias}`, `podnet:${alias}`]
      ) {
        idOfAlias(node, text);
      }
    },
    { runs: 500 },
  ),
  target(
    "resolv.conf of the node",
    fc.oneof(
      fc.string({ unit: "binary", maxLength: 200 }),
      fc.array(
        fc.tuple(
          fc.constantFrom(
            "nameserver",
            "search",
            "domain",
            "options",
            "#",
            ";",
            "x",
          ),
          fc.string({ unit: "binary", maxLength: 20 }),
        ).map(([word, rest]) => `${word} ${rest}`),
      ).map((lines) => lines.join("\n")),
    ),
    (text) => {
      const { resolvConf } = dnsFiles(
        { dns: { hostname: "web", hostAliases: [] } },
        ["10.244.1.7"],
        readResolvConf(text),
      );
      for (const line of resolvConf.split("\n").slice(0, -1)) {
        assert(/^(nameserver|search|options) \S/.test(line), line);
      }
    },
    { runs: 600 },
  ),
];
