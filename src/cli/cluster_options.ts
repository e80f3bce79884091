/**
 * The options that say which cluster a node joins.
 *
 * @module
 */
import { SyscallError } from "../../ffi/errno.ts";
import { readTextFile } from "../../ffi/file.ts";
import type {
  ClusterOptions,
  EtcdOptions,
  JoinOptions,
  NodeOptions,
} from "../../mod.ts";
import type { GlobalValues, OptionTable, OptionValues } from "./options.ts";
import { integer } from "./numbers.ts";
import { nodeSelection } from "./session.ts";
import { UsageError } from "./usage.ts";

/** Where the cluster is kept, and what it is. */
export const clusterOptions = {
  "etcd": {
    value: "URL",
    repeatable: true,
    field: "etcd.endpoints",
    help: "Where a member of the etcd takes clients, which keeps the cluster",
  },
  "etcd-prefix": {
    value: "KEY",
    field: "etcd.prefix",
    help: "Begins every key (default: /podnet)",
  },
  "etcd-user": {
    value: "NAME",
    field: "etcd.user",
    help: "Who asks, when the etcd asks for a user",
  },
  "etcd-password-file": {
    value: "FILE",
    help: "A file with the user's password",
  },
  "etcd-cacert": {
    value: "FILE",
    field: "etcd.ca",
    help: "Certificates of the authorities of the etcd, PEM",
  },
  "etcd-cert": {
    value: "FILE",
    field: "etcd.cert",
    help: "The certificate to show to the etcd, PEM",
  },
  "etcd-key": {
    value: "FILE",
    field: "etcd.key",
    help: "The key of the certificate, PEM",
  },
  "peers": {
    value: "FILE",
    field: "peers",
    help: "A file that keeps the cluster instead, the same on each node",
  },
  "cluster": {
    value: "NAME",
    field: "cluster.name",
    help: "The cluster, of several in one etcd (default: default)",
  },
  "cluster-cidr": {
    value: "CIDR",
    repeatable: true,
    field: "cluster.podCidrs",
    help: "The cluster's pod network, one a family; needed by its first node",
  },
  "node-prefix4": {
    value: "LENGTH",
    field: "cluster.nodePrefixLength4",
    help: "Prefix length of a node's part of the IPv4 one (default: 24)",
  },
  "node-prefix6": {
    value: "LENGTH",
    field: "cluster.nodePrefixLength6",
    help: "Prefix length of a node's part of the IPv6 one (default: 64)",
  },
  "backend": {
    value: "NAME",
    choices: ["auto", "host-gw", "vxlan", "wireguard"],
    field: "cluster.backend",
    help: "How packets get to other nodes (default: auto, or as the cluster)",
  },
  "vni": {
    value: "NUMBER",
    field: "cluster.vni",
    help: "VXLAN network identifier of tunnels (default: 112)",
  },
  "vxlan-port": {
    value: "PORT",
    field: "cluster.vxlanPort",
    help: "UDP port of tunnels (default: 8472)",
  },
  "address": {
    value: "ADDRESS",
    repeatable: true,
    field: "addresses",
    help:
      "The node's own address for other nodes (default: that of the link outside)",
  },
  "lease": {
    value: "SECONDS",
    field: "leaseSeconds",
    help: "How long its place lasts when nobody renews it (default: 60)",
  },
} as const satisfies OptionTable;

type Values = OptionValues<typeof clusterOptions>;

/** Whether the command line says where a cluster is kept. */
export function namesCluster({ etcd, peers }: Values): boolean {
  return etcd.length > 0 || peers !== undefined;
}

/**
 * For a node of no cluster.
 *
 * @throws {UsageError} when the command line says something of one
 */
export function refuseClusterOptions(options: Values): void {
  const names = Object.keys(clusterOptions) as (keyof typeof clusterOptions)[];
  const found = names.find((name) => {
    const value = options[name];
    return Array.isArray(value) ? value.length > 0 : value !== undefined;
  });
  if (found === undefined) return;
  throw new UsageError(
    `--${found} is about a cluster: write --etcd URL or --peers FILE too, where it is kept`,
  );
}

/**
 * What the command line says, as `joinCluster()` takes it.
 *
 * @param settings of the node
 * @throws {UsageError}
 */
export function joinOptions(
  options: Values,
  global: GlobalValues,
  settings: Omit<NodeOptions, "podCidrs"> = {},
): JoinOptions {
  if (!namesCluster(options)) {
    throw new UsageError(
      "write --etcd URL or --peers FILE: where the cluster is kept",
    );
  }
  const podCidrs = options["cluster-cidr"];
  const { address, lease, peers, cluster: name, vni } = options;
  const length4 = options["node-prefix4"];
  const length6 = options["node-prefix6"];
  const port = options["vxlan-port"];
  const backend = options.backend as ClusterOptions["backend"];
  return {
    ...options.etcd.length > 0 && { etcd: etcdOptions(options) },
    ...peers !== undefined && { peers: absolute(peers) },
    cluster: {
      ...name !== undefined && { name },
      ...podCidrs.length > 0 && { podCidrs },
      ...length4 !== undefined && {
        nodePrefixLength4: integer("node-prefix4", length4),
      },
      ...length6 !== undefined && {
        nodePrefixLength6: integer("node-prefix6", length6),
      },
      ...backend !== undefined && { backend },
      ...vni !== undefined && { vni: integer("vni", vni) },
      ...port !== undefined && { vxlanPort: integer("vxlan-port", port) },
    },
    node: { ...nodeSelection(global), ...settings },
    ...address.length > 0 && { addresses: address },
    ...lease !== undefined && { leaseSeconds: integer("lease", lease) },
  };
}

function etcdOptions(options: Values): EtcdOptions {
  const prefix = options["etcd-prefix"];
  const user = options["etcd-user"];
  const password = contents("etcd-password-file", options);
  const ca = contents("etcd-cacert", options);
  const cert = contents("etcd-cert", options);
  const key = contents("etcd-key", options);
  return {
    endpoints: options.etcd,
    ...prefix !== undefined && { prefix },
    ...user !== undefined && { user },
    // A file ends with a line break, a password does not.
    ...password !== undefined && { password: password.replace(/\r?\n$/, "") },
    ...ca !== undefined && { ca },
    ...cert !== undefined && { cert },
    ...key !== undefined && { key },
  };
}

function contents(
  option:
    | "etcd-password-file"
    | "etcd-cacert"
    | "etcd-cert"
    | "etcd-key",
  options: Values,
): string | undefined {
  const path = options[option];
  if (path === undefined) return undefined;
  try {
    return readTextFile(path);
  } catch (error) {
    if (!(error instanceof SyscallError)) throw error;
    throw new UsageError(`--${option} ${path}: ${error.message}`);
  }
}

/** The library takes absolute paths only: it does not know whose directory others would be of. */
function absolute(path: string): string {
  if (path.startsWith("/")) return path;
  throw new UsageError(
    `--peers ${
      JSON.stringify(path)
    } is no absolute path: write one that begins with "/"`,
  );
}
