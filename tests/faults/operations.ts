/**
 * The operations in which a process dies or a call fails. Both the process that dies and the one that goes on afterwards
 * run them, so that repeating the same call is repeating the same code.
 *
 * @module
 */
import {
  type Bandwidth,
  type Cluster,
  type ClusterMember,
  ClusterPaths,
  type InterfaceSpec,
  joinCluster,
  type NetworkAttachmentSpec,
  type Node,
  type NodeOptions,
  openNode,
  type PortMapping,
  removeNode,
  type Sandbox,
} from "../../mod.ts";
import { contextOf } from "../../src/sandbox/node.ts";

/** What an operation acts on, as plain data: it is handed to other processes. */
export interface Scene {
  /** What `openNode` needs. */
  readonly node: {
    readonly name: string;
    readonly netns: string;
    readonly stateDir: string;
  };
  /** The sandbox's name. */
  readonly sandbox: string;
  /** The path of somebody's namespace, for a sandbox that adopts one. */
  readonly adopted: string;
  /** A network whose plugin keeps a file of each attachment. */
  readonly network: NetworkAttachmentSpec;
}

/** Something that a process does to a sandbox of an open node. */
export type SandboxOperation = (node: Node, scene: Scene) => Promise<unknown>;

/** Something that a process does to a node. */
export type NodeOperation = (scene: Scene) => Promise<unknown>;

/** Pod networks of nodes that are set up and taken down. */
export const POD_CIDRS: readonly string[] = ["10.99.0.0/24", "fd00:10:99::/64"];

/** Host ports of sandboxes from their beginning: TCP, UDP, and one of a single address. */
export const PORTS: readonly PortMapping[] = [
  { hostPort: 8080, containerPort: 80 },
  { hostPort: 8053, containerPort: 53, protocol: "udp" },
  { hostIP: "192.168.50.1", hostPort: 8443, containerPort: 443 },
];

/** Host ports that are added later. */
export const MORE_PORTS: readonly PortMapping[] = [
  { hostPort: 9080, containerPort: 80 },
  { hostPort: 9053, containerPort: 53, protocol: "udp" },
];

/** Limits of a sandbox's bandwidth. */
export const LIMITS: Bandwidth = { ingress: 8_000_000, egress: 8_000_000 };

/** Interfaces that are attached: a link of the world's, one that is made, and one on a bridge that is made. */
export const INTERFACES: readonly InterfaceSpec[] = [
  {
    name: "net1",
    attachment: { type: "device", device: "spare0" },
    addresses: ["203.0.113.7/24"],
    gateways: ["203.0.113.254"],
  },
  {
    name: "net2",
    attachment: { type: "macvlan", parent: "spare1" },
    addresses: ["203.0.113.8/24"],
  },
  {
    name: "net3",
    attachment: {
      type: "bridge",
      bridge: "cni0",
      nodeAddresses: ["10.88.0.1/24", "fd88::1/64"],
      masquerade: true,
      ranges: [{ network: "10.88.0.0/24" }],
      isolated: true,
    },
    addresses: ["fd88::7/64"],
    gateways: ["10.88.0.1", "fd88::1"],
  },
];

/** A container that is attached. */
export const CONTAINER = { name: "app", ports: [80] } as const;

/** Makes the sandbox with all that a spec can ask of the kernel. */
export function create(node: Node, { sandbox }: Scene): Promise<Sandbox> {
  return node.createSandbox({
    name: sandbox,
    ports: PORTS,
    sysctls: { "net.ipv4.tcp_fin_timeout": "11" },
    dns: { nameservers: ["192.0.2.53"] },
  });
}

/** The same from a namespace made ahead, and the making of that. */
async function claim(_node: Node, scene: Scene): Promise<void> {
  await using node = await openNode({ ...scene.node, warm: 1 });
  while (node.warm.ready === 0 && node.warm.problem === undefined) {
    await new Promise((wake) => setTimeout(wake, 1));
  }
  await using _sandbox = await create(node, scene);
}

function adopt(node: Node, { sandbox, adopted }: Scene): Promise<Sandbox> {
  return node.createSandbox({
    name: sandbox,
    ports: PORTS,
    netns: adopted,
    interfaceName: "net1",
    defaultRoute: false,
    routes: [{ destination: "198.51.100.0/24" }],
    bandwidth: { egress: 8_000_000 },
    interfaces: INTERFACES.slice(0, 1).map((one) => ({ ...one, name: "net2" })),
  });
}

/** How long what is done later may take. */
const LATER_MS = 200;

/** Not the first of its process; until the last of it is done. */
async function removeAsOneOfMany(
  node: Node,
  { sandbox }: Scene,
): Promise<void> {
  const { late, state } = contextOf(node);
  late?.begin()?.[Symbol.dispose]();
  await node.removeSandbox(sandbox);
  const deadline = performance.now() + LATER_MS;
  while (state.removed.names().length > 0 && performance.now() < deadline) {
    await new Promise((wake) => setTimeout(wake, 5));
  }
}

async function addPorts(node: Node, { sandbox }: Scene): Promise<void> {
  await using handle = await node.openSandbox(sandbox);
  await handle.addPorts(MORE_PORTS);
}

async function removePorts(node: Node, { sandbox }: Scene): Promise<void> {
  await using handle = await node.openSandbox(sandbox);
  await handle.removePorts(PORTS);
}

async function limit(node: Node, { sandbox }: Scene): Promise<void> {
  await using handle = await node.openSandbox(sandbox);
  await handle.setBandwidth(LIMITS);
}

async function unlimit(node: Node, { sandbox }: Scene): Promise<void> {
  await using handle = await node.openSandbox(sandbox);
  await handle.setBandwidth({});
}

async function attach(node: Node, { sandbox }: Scene): Promise<void> {
  await using handle = await node.openSandbox(sandbox);
  for (const one of INTERFACES) await handle.attach(one);
}

async function detach(node: Node, { sandbox }: Scene): Promise<void> {
  await using handle = await node.openSandbox(sandbox);
  for (const { name } of INTERFACES) await handle.detach(name);
}

async function attachNetwork(
  node: Node,
  { sandbox, network }: Scene,
): Promise<void> {
  await using handle = await node.openSandbox(sandbox);
  await handle.attach(network);
}

async function detachNetwork(node: Node, { sandbox }: Scene): Promise<void> {
  await using handle = await node.openSandbox(sandbox);
  await handle.detach("net1");
}

async function addContainer(node: Node, { sandbox }: Scene): Promise<void> {
  await using handle = await node.openSandbox(sandbox);
  await handle.addContainer(CONTAINER);
}

/** Fails as the first of the repairs that fail: they do not keep each other from being done. */
async function repair(node: Node): Promise<void> {
  const { remaining } = await node.repair();
  const failed = remaining.find(({ failure }) => failure !== undefined);
  if (failed !== undefined) throw failed.failure;
}

/** On a node that is open, by name. */
export const SANDBOX_OPERATIONS = {
  create,
  claim,
  adopt,
  remove: (node, { sandbox }) => node.removeSandbox(sandbox),
  removeAsOneOfMany,
  forceRemove: (node, { sandbox }) =>
    node.removeSandbox(sandbox, { force: true }),
  addPorts,
  removePorts,
  limit,
  unlimit,
  attach,
  detach,
  attachNetwork,
  detachNetwork,
  addContainer,
  repair,
  collectGarbage: (node) => node.collectGarbage(),
} as const satisfies Record<string, SandboxOperation>;

/** The cluster of a file beside the state directory; needs no lease of a store, and no network of Deno's. */
function join({ node }: Scene): Promise<Cluster> {
  return joinCluster({ peers: `${node.stateDir}.json`, node });
}

/** On a network namespace, by name. */
export const NODE_OPERATIONS = {
  nodeUp: async ({ node }) => {
    await using _node = await openNode({ ...node, podCidrs: POD_CIDRS });
  },
  nodeDown: ({ node }) => removeNode({ ...node, force: true }),
  join: async (scene) => {
    await using _cluster = await join(scene);
  },
  leave: async (scene) => {
    await using cluster = await join(scene);
    await cluster.leave({ force: true });
  },
} as const satisfies Record<string, NodeOperation>;

/** The node of {@linkcode POD_CIDRS} among others, all of which are reached by a tunnel. */
export const MEMBERS: readonly [ClusterMember, ...ClusterMember[]] = [
  memberAt(1, POD_CIDRS),
  memberAt(2, ["10.98.0.0/24", "fd00:10:98::/64"]),
  memberAt(3, ["10.97.0.0/24"]),
];

function memberAt(number: number, podCidrs: readonly string[]): ClusterMember {
  return {
    name: `node-${number}`,
    podCidrs,
    addresses: [`192.168.50.${number}`],
    vxlan: { vni: 112, port: 8472, mac: `02:00:00:00:00:0${number}` },
  };
}

/** On a node that is open: what it has in the kernel to reach others. */
export const PATH_OPERATIONS = {
  pathsUp: (node) => ClusterPaths.open(node).apply(MEMBERS[0], MEMBERS),
  pathsDown: (node) => ClusterPaths.open(node).remove(),
} as const satisfies Record<string, SandboxOperation>;

/** The name of an operation. */
export type OperationName =
  | keyof typeof SANDBOX_OPERATIONS
  | keyof typeof PATH_OPERATIONS
  | keyof typeof NODE_OPERATIONS;

/** Opens what the operation needs, and returns it ready to run; `before` is what it needs and is no part of it. */
export async function ready(
  name: OperationName,
  scene: Scene,
  opened: AsyncDisposableStack,
): Promise<() => Promise<unknown>> {
  if (isNodeOperation(name)) {
    return () => NODE_OPERATIONS[name](scene);
  }
  const options: NodeOptions = scene.node;
  const node = opened.use(await openNode(options));
  if (name === "pathsUp" || name === "pathsDown") {
    return () => PATH_OPERATIONS[name](node);
  }
  return () => SANDBOX_OPERATIONS[name](node, scene);
}

function isNodeOperation(
  name: OperationName,
): name is keyof typeof NODE_OPERATIONS {
  return Object.hasOwn(NODE_OPERATIONS, name);
}
