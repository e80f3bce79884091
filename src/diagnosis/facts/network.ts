/**
 * The network namespace of the node: links, addresses, routes, policy rules, and their sysctls.
 *
 * @module
 */
import { fileSystemSpace } from "../../../ffi/file_system.ts";
import type { NetworkNamespace } from "../../namespace/network_namespace.ts";
import { Cidr } from "../../net/cidr.ts";
import { addressBits, IpAddress, type IpFamily } from "../../net/ip.ts";
import type { Connection } from "../../netlink/connection.ts";
import { dumpAddresses } from "../../rtnetlink/address.ts";
import { dumpLinks, type Link } from "../../rtnetlink/link.ts";
import {
  dumpPolicyRules,
  type PolicyRule,
} from "../../rtnetlink/policy_rule.ts";
import { dumpRoutes, type Route } from "../../rtnetlink/route.ts";
import { HOST_INTERFACE_PREFIX } from "../../sandbox/records/identity.ts";
import { outsideMtu } from "../../sandbox/node/mtu.ts";
import { readIfPresent, type Witness } from "./witness.ts";

/** A link of the node. */
export interface LinkFacts {
  readonly index: number;
  readonly name: string;
  /** Driver, such as `veth`. */
  readonly kind?: string;
  readonly up: boolean;
  /** Bytes. */
  readonly mtu: number;
  /** Whether it is the host end of a pod's link. */
  readonly ofPod: boolean;
  /** Number of the bridge or VRF that it is a port of. */
  readonly master?: number;
  readonly alias?: string;
  /** net.ipv4.conf.<name>. */
  readonly ipv4: Link["ipv4"];
  /** net.ipv6.conf.<name>; undefined where the link has no IPv6. */
  readonly ipv6?: {
    readonly forwarding: number;
    readonly acceptRa: number;
  };
}

/** An address of the node. */
export interface AddressFacts {
  /** Name of its link. */
  readonly link: string;
  readonly address: IpAddress;
  readonly prefixLength: number;
  /** What the node believes to be on the link. */
  readonly network: Cidr;
  /** RT_SCOPE_*. */
  readonly scope: number;
  /** Without a lifetime: neither DHCP nor a router advertisement gave it. */
  readonly permanent: boolean;
}

/** A route of the node. */
export interface RouteFacts extends
  Pick<
    Route,
    "family" | "destination" | "type" | "protocol" | "table" | "scope"
  > {
  /** Name of the link that packets leave by. */
  readonly link?: string;
  readonly gateway?: IpAddress;
  readonly priority?: number;
}

/** Sysctls that no link tells of; missing are those that this kernel does not have. */
export type SysctlFacts = Readonly<Record<string, string>>;

/** All of it. */
export interface NetworkFacts {
  /** Of the namespace, as `net:[inode]`. */
  readonly id: string;
  readonly links: readonly LinkFacts[];
  readonly addresses: readonly AddressFacts[];
  readonly routes: readonly RouteFacts[];
  readonly policyRules: readonly PolicyRule[];
  /** By their dotted names. */
  readonly sysctls: SysctlFacts;
  /** None of the namespace's can be set: the file system is read-only, as in most containers. */
  readonly sysctlsReadOnly: boolean;
  /** Smallest MTU of the links that lead to the outside world, in bytes; undefined when none does. */
  readonly outsideMtu?: number;
  /** Tables of the old iptables that are loaded, by the command that shows them. */
  readonly legacyTables: Readonly<Record<string, readonly string[]>>;
}

const SYSCTLS = [
  "net.ipv4.ip_forward",
  "net.ipv6.conf.all.forwarding",
  "net.ipv6.conf.all.disable_ipv6",
  "net.ipv6.conf.default.disable_ipv6",
  "net.ipv6.conf.lo.disable_ipv6",
  "net.ipv4.conf.all.rp_filter",
  "net.ipv4.conf.default.rp_filter",
  "net.ipv4.conf.all.route_localnet",
  "net.ipv4.conf.default.route_localnet",
  "net.ipv4.conf.all.accept_local",
  "net.ipv4.conf.all.arp_ignore",
  "net.ipv4.conf.all.send_redirects",
  "net.ipv4.conf.all.log_martians",
  "net.bridge.bridge-nf-call-iptables",
  "net.bridge.bridge-nf-call-ip6tables",
  "net.netfilter.nf_conntrack_tcp_be_liberal",
] as const;

/** Looks. */
export function networkFacts(
  witness: Witness,
  namespace: NetworkNamespace,
  route: Connection | undefined,
): NetworkFacts {
  const dump = <T>(about: string, look: (route: Connection) => T[]): T[] =>
    route === undefined ? [] : witness.see(about, () => look(route)) ?? [];
  const links = dump("links", (r) => r.dump(dumpLinks({})));
  const names = new Map(links.map(({ index, name }) => [index, name]));
  const nameOf = (index: number) => names.get(index) ?? `#${index}`;
  const routes = dump("routes", (r) => r.dump(dumpRoutes({})));
  const hasDefault = routes.some(({ destination, index, type }) =>
    destination === "default" && index !== undefined && type === "unicast"
  );
  const mtu = route !== undefined && hasDefault
    ? witness.see("MTU to the outside", () => outsideMtu(route))
    : undefined;
  return {
    id: namespace.id,
    links: links.map(linkFacts),
    addresses: dump("addresses", (r) => r.dump(dumpAddresses({}))).map(
      ({ index, address, prefixLength, scope, permanent }) => ({
        link: nameOf(index),
        address,
        prefixLength,
        network: networkOf(address, prefixLength),
        scope,
        permanent,
      }),
    ),
    routes: routes.map((found) => ({
      family: found.family,
      destination: found.destination,
      type: found.type,
      protocol: found.protocol,
      table: found.table,
      scope: found.scope,
      ...(found.index === undefined ? {} : { link: nameOf(found.index) }),
      ...(found.gateway === undefined ? {} : { gateway: found.gateway }),
      ...(found.priority === undefined ? {} : { priority: found.priority }),
    })),
    policyRules: [4, 6].flatMap((family) =>
      dump(
        `IPv${family} policy rules`,
        (r) => r.dump(dumpPolicyRules(family as IpFamily)),
      )
    ),
    sysctls: sysctlFacts(witness, namespace),
    sysctlsReadOnly: witness.see(
      "mount of sysctls",
      () => fileSystemSpace("/proc/sys/net").readOnly,
    ) ?? false,
    ...(mtu === undefined ? {} : { outsideMtu: mtu }),
    legacyTables: legacyTables(witness, namespace),
  };
}

function linkFacts(link: Link): LinkFacts {
  const { index, name, kind, up, mtu, master, alias, ipv4 } = link;
  const conf = link.raw.attrs.afSpec?.inet6?.conf;
  return {
    index,
    name,
    ...(kind === undefined ? {} : { kind }),
    up,
    mtu,
    ofPod: name.startsWith(HOST_INTERFACE_PREFIX),
    ...(master === undefined ? {} : { master }),
    ...(alias === undefined ? {} : { alias }),
    ipv4,
    ...(conf === undefined ? {} : { ipv6: ipv6Conf(conf) }),
  };
}

/** Places in the array of IFLA_INET6_CONF (enum DEVCONF_*, linux/ipv6.h). */
const DEVCONF = { forwarding: 0, acceptRa: 3 } as const;

function ipv6Conf(conf: Uint8Array): NonNullable<LinkFacts["ipv6"]> {
  const view = new DataView(conf.buffer, conf.byteOffset, conf.byteLength);
  const at = (place: number) =>
    4 * place + 4 <= conf.length ? view.getInt32(4 * place, true) : 0;
  return {
    forwarding: at(DEVCONF.forwarding),
    acceptRa: at(DEVCONF.acceptRa),
  };
}

function networkOf(address: IpAddress, prefixLength: number): Cidr {
  const hostBits = BigInt(addressBits(address.family) - prefixLength);
  const first = address.toBigInt() >> hostBits << hostBits;
  return Cidr.of(IpAddress.fromBigInt(first, address.family), prefixLength);
}

function sysctlFacts(
  witness: Witness,
  namespace: NetworkNamespace,
): SysctlFacts {
  return witness.see(
    "sysctls",
    () =>
      namespace.run(() =>
        Object.fromEntries(SYSCTLS.flatMap((name) => {
          const value = readIfPresent(
            `/proc/sys/${name.replaceAll(".", "/")}`,
          );
          return value === undefined ? [] : [[name, value]];
        }))
      ),
  ) ?? {};
}

/** The kernel lists those of a namespace only where the module of the old iptables is in use (xt_proto_init). */
function legacyTables(
  witness: Witness,
  namespace: NetworkNamespace,
): NetworkFacts["legacyTables"] {
  const files = {
    "iptables-legacy": "ip_tables_names",
    "ip6tables-legacy": "ip6_tables_names",
  };
  const found = witness.see(
    "old iptables",
    () =>
      namespace.run(() =>
        Object.entries(files).map(([command, file]) => [
          command,
          (readIfPresent(`/proc/thread-self/net/${file}`) ?? "").split("\n")
            .filter((name) => name !== ""),
        ])
      ),
  );
  return Object.fromEntries(
    (found ?? []).filter(([, tables]) => (tables?.length ?? 0) > 0),
  );
}
