/**
 * Schemas of a spec's parts, made of fields. Outputs are plain data in canonical form, so that they are valid inputs again.
 * @module
 */

import * as v from "valibot";
import { LastShape } from "../shape.ts";
import type { Bandwidth } from "../net/bandwidth.ts";
import { MACVLAN_MODES } from "../net/macvlan_mode.ts";
import { lastHostPort, type PortMapping } from "../hostport/mapping.ts";
import * as field from "./fields.ts";
import type {
  AttachmentSpec,
  NormalisedContainer,
  NormalisedInterface,
  RouteSpec,
} from "./sandbox_spec.ts";
import { MAX_ID_LENGTH, MAX_NAME_LENGTH } from "./limits.ts";
import { exactObject, instead, isObject } from "./problems.ts";

/** glibc reads no more (MAXNS in resolv.h). */
const MAX_NAMESERVERS = 3;
/** Kubernetes' limits for search lists; glibc has had none since 2.26. */
const MAX_SEARCHES = 32;
const MAX_SEARCH_CHARACTERS = 2048;
/** More than anybody writes by hand. */
const MAX_ROUTES = 256;
/** More than anybody needs. */
const MAX_INTERFACES = 32;

const canonicalAddress = v.pipe(field.address, v.transform(String));

/** A mapping of one port or a range. */
export const portMapping: field.Field<PortMapping> = v.pipe(
  exactObject("an object with hostPort and containerPort", {
    protocol: v.exactOptional(field.protocol, "tcp"),
    hostPort: field.port,
    hostPortEnd: v.exactOptional(field.port),
    containerPort: field.port,
    containerPortEnd: v.exactOptional(field.port),
    hostIP: v.exactOptional(v.pipe(field.hostIP, v.transform(String))),
  }),
  v.rawCheck(({ dataset, addIssue }) => {
    if (!dataset.typed || dataset.issues !== undefined) return;
    const input = dataset.value;
    const problem = rangeProblem(input);
    if (problem === undefined) return;
    const { key, message } = problem;
    addIssue({
      message,
      path: [{
        type: "object",
        origin: "value",
        input: { ...input },
        key,
        value: input[key],
      }],
    });
  }),
);

/** A list of them. */
export const portMappings: field.Field<PortMapping[]> = field.list(
  "a list of port mappings",
  portMapping,
);

/** One port each, on all addresses. That a list is none is no problem. */
export const plainPortMappings = v.array(
  v.strictObject({
    protocol: v.exactOptional(field.protocol, "tcp"),
    hostPort: field.port,
    containerPort: field.port,
  }),
);

function rangeProblem(
  mapping: PortMapping,
): { key: keyof PortMapping; message: string } | undefined {
  const { hostPort, containerPort, containerPortEnd } = mapping;
  const backwards =
    "the range ends before it begins: write the smaller port first";
  const count = lastHostPort(mapping) - hostPort + 1;
  if (count < 1) return { key: "hostPortEnd", message: backwards };
  const last = containerPort + count - 1;
  if (containerPortEnd !== undefined && containerPortEnd < containerPort) {
    return { key: "containerPortEnd", message: backwards };
  }
  if (last > 65535) {
    return {
      key: "containerPort",
      message: `write at most ${
        65536 - count
      }, so that all ${count} ports of the range are below 65536`,
    };
  }
  if (containerPortEnd !== undefined && containerPortEnd !== last) {
    return {
      key: "containerPortEnd",
      message:
        `write ${last}, so that both ranges have ${count} ports, or leave it out`,
    };
  }
  return undefined;
}

const numberedPort = field.late(() =>
  exactObject(
    "a port, or an object with port and protocol",
    {
      port: field.port,
      protocol: v.exactOptional(field.protocol, "tcp"),
    },
  )
);

/** A container with the ports it listens on, in ascending order. */
export const container: field.Field<NormalisedContainer> = field.late(() =>
  v.pipe(
    exactObject("an object with name and ports", {
      name: field.name(MAX_NAME_LENGTH),
      ports: v.exactOptional(
        v.pipe(
          field.list(
            "a list of ports",
            v.lazy((input) =>
              typeof input === "number"
                ? v.pipe(
                  field.port,
                  v.transform((port) => ({ port, protocol: "tcp" as const })),
                )
                : numberedPort
            ),
          ),
          v.transform((ports) =>
            ports.toSorted((a, b) =>
              a.port - b.port || a.protocol.localeCompare(b.protocol)
            )
          ),
        ),
        [],
      ),
    }),
  )
);

const dns = field.late(() =>
  exactObject("an object with nameservers, searches and the like", {
    nameservers: v.exactOptional(
      field.list("a list of IP addresses", canonicalAddress, MAX_NAMESERVERS),
    ),
    searches: v.exactOptional(
      v.pipe(
        field.list("a list of domain names", field.searchDomain, MAX_SEARCHES),
        v.check(
          (names) => names.join(" ").length <= MAX_SEARCH_CHARACTERS,
          `write at most ${MAX_SEARCH_CHARACTERS} characters altogether`,
        ),
      ),
    ),
    options: v.exactOptional(
      field.list("a list of options", field.resolverOption),
    ),
    hostname: v.exactOptional(field.hostname),
    hostAliases: v.exactOptional(
      field.list(
        "a list of objects with ip and hostnames",
        exactObject("an object with ip and hostnames", {
          ip: canonicalAddress,
          hostnames: v.pipe(
            field.list("a list of host names", field.domain),
            v.minLength(1, "write at least one host name"),
          ),
        }),
      ),
      [],
    ),
  })
);

/** How an interface is wired. */
export const attachment: field.Field<AttachmentSpec> = field.late(() =>
  exactObject(
    'an object with a type, "routed" or "none"',
    { type: v.picklist(["routed", "none"], instead('"routed" or "none"')) },
  )
);

/** A route of an interface. */
export const route: field.Field<RouteSpec> = field.late(() =>
  exactObject(
    "an object with destination and gateway",
    {
      destination: v.pipe(field.cidr, v.transform(String)),
      gateway: v.exactOptional(canonicalAddress),
    },
  )
);

const KINDS = '"bridge", "macvlan" or "device"';
const type = <const T extends string>(name: T) =>
  v.literal(name, instead(KINDS));

const addresses = v.exactOptional(
  field.list(
    "a list of addresses with prefix lengths",
    v.pipe(field.interfaceAddress, v.transform(String)),
    MAX_ROUTES,
  ),
  [],
);

const macvlan = field.late(() =>
  exactObject(`an object with a type, ${KINDS}`, {
    type: type("macvlan"),
    parent: field.nodeLink,
    mode: v.exactOptional(
      v.picklist(
        MACVLAN_MODES,
        instead('"bridge", "private", "vepa" or "passthru"'),
      ),
      "bridge",
    ),
  })
);

const device = field.late(() =>
  exactObject(`an object with a type, ${KINDS}`, {
    type: type("device"),
    device: field.nodeLink,
  })
);

const bridge = field.late(() =>
  exactObject(`an object with a type, ${KINDS}`, {
    type: type("bridge"),
    bridge: field.nodeLink,
    nodeAddresses: addresses,
    masquerade: v.exactOptional(field.flag, false),
    ranges: v.exactOptional(
      field.list(
        "a list of objects with network",
        exactObject("an object with network, first and last", {
          network: v.pipe(field.cidr, v.transform(String)),
          first: v.exactOptional(canonicalAddress),
          last: v.exactOptional(canonicalAddress),
        }),
        2,
      ),
      [],
    ),
    hairpin: v.exactOptional(field.flag, false),
    isolated: v.exactOptional(field.flag, false),
    macSpoofCheck: v.exactOptional(field.flag, true),
  })
);

const extraAttachment: field.Field<NormalisedInterface["attachment"]> = v.lazy(
  (input) => {
    const kind = isObject(input) ? input["type"] : undefined;
    if (kind === "bridge") return bridge;
    return kind === "device" ? device : macvlan;
  },
);

/** Another interface, without the rules between fields. */
export const extraInterface = field.late(() =>
  exactObject(
    "an object with name and attachment",
    {
      name: field.interfaceName,
      attachment: extraAttachment,
      addresses,
      gateways: v.exactOptional(
        field.list("a list of IP addresses", canonicalAddress, 2),
        [],
      ),
      defaultRoute: v.exactOptional(field.flag, false),
      routes: v.exactOptional(
        field.list("a list of routes", route, MAX_ROUTES),
        [],
      ),
      mtu: v.exactOptional(field.mtu),
      mac: v.exactOptional(v.pipe(field.mac, v.transform(String))),
    },
  )
);

/** Limits of a pod's bandwidth. A burst needs the rate that it belongs to. */
export const bandwidth: field.Field<Bandwidth> = field.late(() =>
  v.pipe(
    exactObject("an object with ingress and egress", {
      ingress: v.exactOptional(field.bitsPerSecond),
      egress: v.exactOptional(field.bitsPerSecond),
      ingressBurst: v.exactOptional(field.burstBits),
      egressBurst: v.exactOptional(field.burstBits),
    }),
    v.rawCheck(({ dataset, addIssue }) => {
      if (!dataset.typed || dataset.issues !== undefined) return;
      const input = dataset.value;
      for (const direction of ["ingress", "egress"] as const) {
        const key = `${direction}Burst` as const;
        if (input[key] === undefined || input[direction] !== undefined) {
          continue;
        }
        addIssue({
          message:
            `give ${direction} too: a burst without a rate limits nothing`,
          path: [{
            type: "object",
            origin: "value",
            input: { ...input },
            key,
            value: input[key],
          }],
        });
      }
    }),
  )
);

/** What most specs have, and no more. */
const plainEntries = {
  name: field.name(MAX_NAME_LENGTH),
  namespace: v.exactOptional(field.name(MAX_NAME_LENGTH), "default"),
  ports: v.exactOptional(portMappings, []),
};

/** What the schema makes on its way. */
const READ = new LastShape();

/** A spec with nothing else. That it is none is no problem. Whatever it is, it is checked once it has been read. */
export const plainSpec = v.pipe(
  v.strictObject(plainEntries),
  v.rawCheck(({ dataset }) => {
    if (dataset.issues === undefined) READ.last = dataset;
  }),
);

/** All of a spec, without the rules between fields. */
export const sandboxSpec = field.late(() =>
  exactObject("an object with at least a name", {
    ...plainEntries,
    id: v.exactOptional(field.name(MAX_ID_LENGTH)),
    uid: v.exactOptional(field.name(MAX_NAME_LENGTH)),
    labels: v.exactOptional(
      field.strings("an object of strings", field.line("a string on one line")),
      {},
    ),
    containers: v.exactOptional(
      field.list("a list of containers", container),
      [],
    ),
    mtu: v.exactOptional(field.mtu),
    mac: v.exactOptional(v.pipe(field.mac, v.transform(String))),
    addresses: v.exactOptional(
      field.list("a list of IP addresses", field.address),
      [],
    ),
    sysctls: v.exactOptional(
      field.strings(
        "an object of strings",
        field.line('a string on one line like "1024 65535"', 1),
      ),
      {},
    ),
    unsafeSysctls: v.exactOptional(
      field.list("a list of sysctl names", v.string(instead("a sysctl name"))),
      [],
    ),
    dns: v.exactOptional(dns, {}),
    hostNetwork: v.exactOptional(field.flag, false),
    netns: v.exactOptional(field.absolutePath),
    interfaceName: v.exactOptional(field.interfaceName, "eth0"),
    attachment: v.exactOptional(attachment, { type: "routed" }),
    defaultRoute: v.exactOptional(field.flag, true),
    bandwidth: v.exactOptional(bandwidth),
    interfaces: v.exactOptional(
      field.list("a list of interfaces", extraInterface, MAX_INTERFACES),
      [],
    ),
    routes: v.exactOptional(
      field.list("a list of routes", route, MAX_ROUTES),
      [],
    ),
  })
);
