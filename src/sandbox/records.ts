/**
 * What a node and a sandbox leave in the state directory.
 *
 * @module
 */
import * as v from "valibot";
import type { PortOwner } from "../hostport/host_ports.ts";
import { type HostPort, toHostPort } from "../hostport/mapping.ts";
import { IpAddress } from "../net/ip.ts";
import type { RecordKind } from "../state/record.ts";
import type {
  NormalisedContainer,
  NormalisedSpec,
} from "../spec/sandbox_spec.ts";

const readonlyStrings = v.pipe(v.array(v.string()), v.readonly());

const nodeSchema = v.object({
  name: v.string(),
  /** The namespace the node works in, as `net:[inode]`. */
  netnsId: v.string(),
  /** Of the boot in which it was last opened: in another one the kernel gives the numbers of namespaces anew. */
  bootId: v.exactOptional(v.string()),
  podCidrs: readonlyStrings,
  masquerade: v.boolean(),
  nonMasqueradeCidrs: readonlyStrings,
  /** Bytes. */
  mtu: v.number(),
});

/** The settings of a node. */
export type NodeRecord = Readonly<v.InferOutput<typeof nodeSchema>>;

/** The settings of a node, kept from the first time it is opened. */
export const nodeRecord: RecordKind<NodeRecord> = {
  kind: "node",
  version: 1,
  schema: nodeSchema,
};

const portSchema = v.object({
  protocol: v.picklist(["tcp", "udp", "sctp"]),
  hostPort: v.number(),
  containerPort: v.number(),
  hostIP: v.exactOptional(v.string()),
});

const linkSchema = v.object({
  hostInterface: v.string(),
  hostIndex: v.number(),
  podIndex: v.number(),
  mac: v.string(),
});

/** The spec was checked when it was given; here it is enough that what podnet reads of it is there. */
function isSpec(input: unknown): boolean {
  return v.is(
    v.looseObject({
      name: v.string(),
      namespace: v.string(),
      labels: v.record(v.string(), v.string()),
      ports: v.array(portSchema),
      sysctls: v.record(v.string(), v.string()),
      dns: v.looseObject({ hostname: v.string() }),
      hostNetwork: v.boolean(),
      interfaceName: v.string(),
      netns: v.exactOptional(v.string()),
    }),
    input,
  );
}

const sandboxSchema = v.object({
  id: v.string(),
  /** `creating` until everything works; found later, it tells of a crash. */
  state: v.picklist(["creating", "ready"]),
  /** As it was asked for; what was added and removed since is in the other fields. */
  spec: v.custom<NormalisedSpec>(isSpec, "is not a sandbox spec"),
  netnsId: v.string(),
  addresses: readonlyStrings,
  /** Bytes. */
  mtu: v.number(),
  /** Missing on the host network. */
  link: v.exactOptional(linkSchema),
  ports: v.pipe(v.array(portSchema), v.readonly()),
  containers: v.pipe(
    v.array(v.custom<NormalisedContainer>((input) =>
      v.is(
        v.object({
          name: v.string(),
          ports: v.array(
            v.object({
              port: v.number(),
              protocol: portSchema.entries.protocol,
            }),
          ),
        }),
        input,
      ), "is not a container")),
    v.readonly(),
  ),
  /** RFC 3339. */
  createdAt: v.string(),
});

/** A sandbox as its record tells it. */
export type SandboxRecord = Readonly<v.InferOutput<typeof sandboxSchema>>;

/** A sandbox: what was asked for and what it was given. */
export const sandboxRecord: RecordKind<SandboxRecord> = {
  kind: "sandbox",
  version: 1,
  schema: sandboxSchema,
};

/** The sandbox's addresses as values. */
export function addressesOf(
  { addresses }: Pick<SandboxRecord, "addresses">,
): IpAddress[] {
  return addresses.map((text) => IpAddress.parse(text));
}

/** The sandbox as the owner of host ports. */
export function portOwner(record: SandboxRecord): PortOwner {
  const { id, spec: { hostNetwork } } = record;
  return { id, addresses: addressesOf(record), hostNetwork };
}

/** The sandbox's host ports as the ruleset needs them. */
export function hostPortsOf(record: SandboxRecord): HostPort[] {
  const families = addressesOf(record).map(({ family }) => family);
  return record.ports.map((port) => toHostPort(port, families));
}
