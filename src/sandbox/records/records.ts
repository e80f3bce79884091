/**
 * What a node and a sandbox leave in the state directory.
 *
 * @module
 */
import * as v from "valibot";
import type { PortOwner } from "../../hostport/elements.ts";
import {
  familiesOf,
  type HostPort,
  toHostPorts,
} from "../../hostport/mapping.ts";
import type { NodePeers } from "../../hostport/peers.ts";
import { Cidr } from "../../net/cidr.ts";
import { InterfaceAddress } from "../../net/interface_address.ts";
import { IpAddress } from "../../net/ip.ts";
import { MacAddress } from "../../net/mac.ts";
import { AddressPool } from "../../ipam/pool.ts";
import { MAX_CONNECTIONS_PER_POD } from "../../spec/node_options.ts";
import type { RecordKind } from "../../state/record.ts";
import {
  absolutePath,
  connections,
  interfaceName,
  late,
  name as nameField,
  nodeLink,
  port as portField,
} from "../../spec/fields.ts";
import {
  MAX_ID_LENGTH,
  MAX_NAME_LENGTH,
  MAX_NODE_NAME_LENGTH,
} from "../../spec/limits.ts";
import type {
  NormalisedContainer,
  NormalisedInterface,
  NormalisedSpec,
} from "../../spec/sandbox_spec.ts";
import {
  attachment,
  bandwidth,
  extraInterface,
  route,
} from "../../spec/schema.ts";
import type { PortContext } from "../../spec/rules.ts";
import { sysctlProblem } from "../../spec/sysctls.ts";
import { isChosenIndex, isHostInterface, isPort } from "./identity.ts";

/** An address in its canonical text. */
const addressText = canonical("an IP address", IpAddress.parse);
const networkText = canonical("a network", Cidr.parse);
const macText = canonical("a MAC address", MacAddress.parse);
const namespaceId = v.pipe(
  v.string(),
  v.regex(/^net:\[\d+\]$/, "is no id of a network namespace"),
);
/** 65536 is that of lo, which a route to the outside may lead over. */
const mtu = v.pipe(
  v.number(),
  v.integer("is no MTU"),
  v.minValue(0, "is no MTU"),
  v.maxValue(65536, "is no MTU"),
);

/** A text that is exactly what its value is written as. */
function canonical(
  what: string,
  parse: (text: string) => { toString(): string },
): v.GenericSchema<unknown, string> {
  return v.pipe(
    v.string(),
    v.check((text) => {
      try {
        return String(parse(text)) === text;
      } catch (error) {
        if (error instanceof RangeError) return false;
        throw error;
      }
    }, `is not ${what}`),
  );
}

/** Of each IP version one at most. */
function onePerFamily(texts: string[]): boolean {
  const families = texts.map((text) => text.includes(":"));
  return new Set(families).size === families.length;
}

const nodeSchema = v.object({
  name: nameField(MAX_NODE_NAME_LENGTH),
  /** The namespace the node works in, as `net:[inode]`. */
  netnsId: namespaceId,
  /** Of the boot in which it was last opened: in another one the kernel gives the numbers of namespaces anew. */
  bootId: v.exactOptional(v.string()),
  podCidrs: v.pipe(
    v.array(networkText),
    v.check(onePerFamily, "has two of one IP version"),
    v.check((cidrs) => cidrs.every(isPool), "has no room for pods"),
    v.readonly(),
  ),
  masquerade: v.boolean(),
  nonMasqueradeCidrs: v.pipe(v.array(networkText), v.readonly()),
  /** Bytes. */
  mtu,
  /** Records of earlier versions do not have it. */
  maxConnectionsPerPod: v.optional(connections, MAX_CONNECTIONS_PER_POD),
});

function isPool(cidr: string): boolean {
  try {
    new AddressPool(Cidr.parse(cidr));
    return true;
  } catch (error) {
    if (error instanceof RangeError) return false;
    throw error;
  }
}

/** The settings of a node. */
export type NodeRecord = Readonly<v.InferOutput<typeof nodeSchema>>;

/** The settings of a node, kept from the first time it is opened. */
export const nodeRecord: RecordKind<NodeRecord> = {
  kind: "node",
  version: 1,
  schema: nodeSchema,
};

const peersSchema = late(() =>
  v.object({
    networks: v.pipe(v.array(networkText), v.readonly()),
    tunnelPorts: v.pipe(v.array(portField), v.readonly()),
    tunnelSources: v.pipe(v.array(addressText), v.readonly()),
    tunnelled: v.pipe(v.array(addressText), v.readonly()),
  })
);

/** What a node knows of others, kept so that its table can be made anew. */
export const peersRecord: RecordKind<NodePeers> = {
  kind: "peers",
  version: 1,
  schema: peersSchema,
};

const portSchema = v.object({
  protocol: v.picklist(["tcp", "udp", "sctp"]),
  hostPort: portField,
  containerPort: portField,
  hostIP: v.exactOptional(addressText),
});

const chosenIndex = v.pipe(
  v.number(),
  v.check(isChosenIndex, "is no number of a pod's link"),
);

const linkSchema = late(() =>
  v.object({
    hostInterface: v.pipe(
      v.string(),
      v.check(isHostInterface, "is no link of a pod"),
    ),
    hostIndex: chosenIndex,
    podIndex: v.pipe(v.number(), v.integer()),
    mac: macText,
  })
);

const whole = (from: number, to: number) =>
  v.pipe(v.number(), v.integer(), v.minValue(from), v.maxValue(to));

/** An address that a link of the node had. Records of earlier versions have only the first three. */
const deviceAddressSchema = () =>
  v.object({
    address: addressText,
    prefixLength: whole(0, 128),
    scope: v.exactOptional(whole(0, 255)),
    flags: v.exactOptional(whole(0, 0xffff)),
    peer: v.exactOptional(addressText),
    broadcast: v.exactOptional(addressText),
    label: v.exactOptional(v.pipe(v.string(), v.maxLength(15))),
    metric: v.exactOptional(whole(0, 0xffffffff)),
    protocol: v.exactOptional(whole(0, 255)),
    validUntil: v.exactOptional(v.number()),
    preferredUntil: v.exactOptional(v.number()),
  });

/** Records of earlier versions have neither identity nor alias and group. */
const deviceSchema = () =>
  v.object({
    identity: v.exactOptional(v.pipe(v.string(), v.digits("is no number"))),
    name: nodeLink,
    index: v.pipe(v.number(), v.integer(), v.minValue(2, "is lo")),
    up: v.boolean(),
    mtu,
    mac: v.exactOptional(macText),
    addrGenMode: v.exactOptional(
      v.picklist(["eui64", "none", "stablePrivacy", "random"]),
    ),
    alias: v.exactOptional(v.pipe(v.string(), v.maxLength(255))),
    group: v.exactOptional(whole(0, 0xffffffff)),
    addresses: v.pipe(v.array(deviceAddressSchema()), v.readonly()),
  });

const interfaceSchema = late(() =>
  v.object({
    spec: v.pipe(
      extraInterface,
      v.transform((spec): NormalisedInterface => spec),
    ),
    /** In the pod. */
    index: chosenIndex,
    mac: v.exactOptional(macText),
    /** The node's end, on a bridge. */
    port: v.exactOptional(
      v.object({
        name: v.pipe(v.string(), v.check(isPort, "is no port of a pod")),
        index: chosenIndex,
      }),
    ),
    /** Whether its bridge was podnet's. Records of earlier versions do not tell. */
    ownBridge: v.exactOptional(v.boolean()),
    /** Addresses that were chosen from ranges. */
    chosen: v.exactOptional(
      v.pipe(
        v.array(
          canonical("an address with prefix length", InterfaceAddress.parse),
        ),
        v.readonly(),
      ),
    ),
    /** What a link of the node was like before. */
    device: v.exactOptional(deviceSchema()),
  })
);

/** Another interface of a sandbox as its record tells it. */
export type RecordedInterface = Readonly<v.InferOutput<typeof interfaceSchema>>;

const name = nameField(MAX_NAME_LENGTH);

const containerSchema = late(() =>
  v.object({
    name,
    ports: v.array(
      v.object({ port: portField, protocol: portSchema.entries.protocol }),
    ),
  })
);

/** The spec was checked when it was given; here it is enough that what podnet reads of it is what it may be. */
const specSchema = late(() =>
  v.looseObject({
    name,
    namespace: name,
    id: v.exactOptional(v.string()),
    uid: v.exactOptional(name),
    labels: v.record(v.string(), v.string()),
    ports: v.array(portSchema),
    containers: v.array(containerSchema),
    sysctls: v.pipe(
      v.record(v.string(), v.string()),
      v.check(
        (sysctls) =>
          Object.keys(sysctls).every((name) =>
            sysctlProblem(name) === undefined
          ),
        "has one that no pod can have",
      ),
    ),
    dns: v.looseObject({ hostname: v.string() }),
    hostNetwork: v.boolean(),
    interfaceName,
    netns: v.exactOptional(absolutePath),
    // Records of earlier versions do not have these.
    attachment: v.optional(attachment, { type: "routed" }),
    defaultRoute: v.optional(v.boolean(), true),
    routes: v.optional(v.array(route), []),
    interfaces: v.optional(v.array(extraInterface), []),
  })
);

const sandboxSchema = late(() =>
  v.pipe(
    v.object({
      id: nameField(MAX_ID_LENGTH),
      /** `creating` until everything works; found later, it tells of a crash. */
      state: v.picklist(["creating", "ready"]),
      /** As it was asked for; what was added and removed since is in the other fields. */
      spec: v.pipe(
        specSchema,
        v.transform((spec) => spec as unknown as NormalisedSpec),
      ),
      netnsId: namespaceId,
      addresses: v.pipe(
        v.array(addressText),
        v.check(onePerFamily, "has two of one IP version"),
        v.readonly(),
      ),
      /** Bytes. */
      mtu,
      /** Missing on the host network, and without an interface on the node's. */
      link: v.exactOptional(linkSchema),
      ports: v.pipe(v.array(portSchema), v.readonly()),
      /** Further ones. Records of earlier versions do not have them. */
      interfaces: v.pipe(
        v.optional(v.array(interfaceSchema), []),
        v.transform((interfaces): readonly RecordedInterface[] => interfaces),
      ),
      /** Missing when nothing is limited. */
      bandwidth: v.exactOptional(bandwidth),
      containers: v.pipe(
        v.array(containerSchema),
        v.transform((containers): readonly NormalisedContainer[] => containers),
      ),
      /** RFC 3339. */
      createdAt: v.pipe(v.string(), v.isoTimestamp("is no time")),
    }),
    v.check(
      ({ id, spec }) => spec.id === undefined || spec.id === id,
      "its spec has another id",
    ),
    v.check(
      ({ state, addresses, link }) =>
        state === "creating" || addresses.length > 0 || link === undefined,
      "it is ready and has no address",
    ),
    v.check(
      ({ spec, link }) =>
        (spec.hostNetwork || isUnrouted(spec)) === (link === undefined),
      "only on the host network, and without an interface on the node's own, there is no link",
    ),
    v.check(
      ({ spec, link }) => link === undefined || isPodIndex(spec, link),
      "its link has a number that podnet does not choose",
    ),
  )
);

/** Without an interface on the node's own network. */
function isUnrouted({ attachment, hostNetwork }: NormalisedSpec): boolean {
  return attachment.type === "none" && !hostNetwork;
}

/** Never lo, which is 1 everywhere; and in a namespace of somebody else's a number that only podnet chooses. */
function isPodIndex(
  { netns }: NormalisedSpec,
  { podIndex }: v.InferOutput<typeof linkSchema>,
): boolean {
  return podIndex > 1 &&
    (netns === undefined || isChosenIndex(podIndex));
}

/** A sandbox as its record tells it. */
export type SandboxRecord = Readonly<v.InferOutput<typeof sandboxSchema>>;

/** A sandbox: what was asked for and what it was given. */
export const sandboxRecord: RecordKind<SandboxRecord> = {
  kind: "sandbox",
  version: 1,
  schema: sandboxSchema,
  isChanged: true,
};

/** Whose constructor returns what it is given, so that a class that extends it puts its private fields on that. */
class Given {
  constructor(object: object) {
    return object;
  }
}

/**
 * Lists of addresses with their values: reading one takes 5 µs, and a pod's life asks for it ten times. A private field on the
 * list, and no map that is weak: that takes 5 µs a pod, and the collector's time.
 */
class WithValues extends Given {
  readonly #values: readonly IpAddress[];

  constructor(texts: readonly string[], values: readonly IpAddress[]) {
    super(texts);
    this.#values = values;
  }

  static of(texts: readonly string[]): readonly IpAddress[] | undefined {
    return #values in texts
      ? (texts as object as WithValues).#values
      : undefined;
  }
}

/** The sandbox's addresses as values. */
export function addressesOf(
  { addresses }: Pick<SandboxRecord, "addresses">,
): readonly IpAddress[] {
  const known = WithValues.of(addresses);
  if (known !== undefined) return known;
  const found = addresses.map((text) => IpAddress.parse(text));
  new WithValues(addresses, found);
  return found;
}

/** The other way: a list for a record. */
export function addressTexts(addresses: readonly IpAddress[]): string[] {
  const texts: string[] = [];
  for (const address of addresses) texts.push(address.toString());
  new WithValues(texts, addresses);
  return texts;
}

/** The sandbox as the owner of host ports. */
export function portOwner(record: SandboxRecord): PortOwner {
  const { id, spec: { hostNetwork }, interfaces } = record;
  const further = interfaces.length === 0 ? NONE : furtherOf(interfaces);
  return { id, addresses: addressesOf(record), hostNetwork, further };
}

const NONE: readonly IpAddress[] = [];

/** The addresses of interfaces, each once. */
function furtherOf(interfaces: readonly RecordedInterface[]): IpAddress[] {
  const all = interfaces.flatMap(({ spec, chosen = [] }) =>
    [...spec.addresses, ...chosen].map((text) =>
      InterfaceAddress.parse(text).address
    )
  );
  return all.filter((one, i) => all.findIndex((a) => a.equals(one)) === i);
}

/** What host ports that are asked for are held against. */
export function portContext(record: SandboxRecord): PortContext {
  return {
    families: familiesOf(addressesOf(record)),
    hostNetwork: record.spec.hostNetwork,
  };
}

/** The sandbox's host ports as the ruleset needs them. */
export function hostPortsOf(record: SandboxRecord): HostPort[] {
  return toHostPorts(record.ports, addressesOf(record));
}
