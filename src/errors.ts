/**
 * The one error type of the sandbox layers: a code, and a context whose type follows from the code.
 *
 * A message is made from code and context in this file only, so that programs decide by `code`, people read
 * `message`, and the two cannot drift apart.
 * @module
 */
import { bracketed, printable } from "./text.ts";

/** One thing that is wrong with a spec. */
export interface Problem {
  /** Where: `ports[0].hostPort`, or `""` for the spec itself. */
  readonly path: string;
  /** What is wrong and what to write instead. */
  readonly message: string;
  /** The value that was given, when there was one. */
  readonly received?: unknown;
}

/** What each {@linkcode SandboxErrorCode} carries. */
export interface SandboxErrorContexts {
  /** A spec or an argument is wrong. Nothing was done; every problem is listed. */
  InvalidSpec: { readonly problems: readonly Problem[] };
  /** No sandbox has this id, or this name in this namespace. */
  SandboxNotFound: { readonly name: string; readonly namespace?: string };
  /** A sandbox of this id exists and its spec is another one. */
  SandboxConflict: {
    readonly id: string;
    readonly name: string;
    readonly differences: readonly string[];
  };
  /** The sandbox has containers attached. */
  SandboxInUse: { readonly id: string; readonly containers: readonly string[] };
  /** The requested pod address is taken. */
  AddressInUse: { readonly address: string; readonly owner?: string };
  /** Every allocatable address of the pod CIDR is taken, or none was found in the bounded number of tries. */
  AddressPoolExhausted: { readonly cidr: string; readonly size: number };
  /** Another sandbox, or a socket of the node, has this host port. */
  HostPortInUse: {
    readonly protocol: string;
    readonly hostIP: string;
    readonly hostPort: number;
    /** Who has it: `namespace/name (id)`, or `a socket of the node on 0.0.0.0:80`. */
    readonly owner: string;
  };
  /** Two containers of one pod declare the same port. */
  ContainerPortInUse: {
    readonly port: number;
    readonly protocol: string;
    readonly containers: readonly [string, string];
  };
  /** A container of this name is attached with other ports. */
  ContainerConflict: { readonly name: string };
  /** A host port asks for an address that the node does not have. */
  HostAddressUnknown: { readonly hostIP: string };
  /** A pod has another link where it had one of the node's, which is to be given back. */
  DeviceLost: {
    /** The node's link. */
    readonly device: string;
    /** The pod's. */
    readonly interface: string;
  };
  /** A path or process does not lead to a network namespace. */
  InvalidNamespace: { readonly path: string; readonly reason: string };
  /** The node exists with other settings, or something of the machine is in its way. */
  NodeConflict: { readonly name: string; readonly reason: string };
  /** The handle of the node was closed. What was begun by it may be half done, as after a crash. */
  NodeClosed: { readonly name: string };
  /** No node of this name is known in this state directory. */
  NodeNotFound: { readonly name: string; readonly stateDir: string };
  /** No file of the directory has a network of this name. */
  NetworkNotFound: {
    readonly name: string;
    readonly confDir: string;
    /** Those that it has. */
    readonly known: readonly string[];
    /** Files that cannot be read, and why. */
    readonly problems: readonly string[];
  };
  /** The process lacks a capability. */
  NotPermitted: {
    readonly operation: string;
    readonly capability: string;
    /** What else is in the way, and what to do about it: with the capability alone it is refused as well. */
    readonly obstacle?: string;
  };
  /** The kernel lacks something that podnet needs. */
  UnsupportedKernel: { readonly feature: string };
  /** The state directory cannot be used. */
  StateUnusable: { readonly path: string; readonly reason: string };
  /** A record on disk cannot be read as one. */
  RecordInvalid: { readonly path: string; readonly reason: string };
  /** Something took longer than it may. */
  Timeout: {
    readonly operation: string;
    readonly timeoutMs: number;
    /** Who holds it up, such as `process 1234 (deno), which is stopped`, when that can be seen. */
    readonly holder?: string;
  };
  /** The kernel or the system has no room for more. The node is as it was before; when there is room it works again. */
  LimitReached: {
    readonly operation: string;
    /** Which limit, such as `user.max_net_namespaces`. */
    readonly limit: string;
    /** What to do about it. */
    readonly remedy: string;
  };
  /** An asynchronous function was to run inside a namespace. */
  AsyncInNamespace: { readonly operation: string };
  /** The node's pod networks are no longer its own, or may not be: no new pod gets an address. */
  LeaseEnded: {
    readonly name: string;
    readonly cluster: string;
    readonly reason: string;
  };
  /** The node is in no cluster. */
  NotInCluster: { readonly name: string; readonly stateDir: string };
  /** The cluster exists with other settings. */
  ClusterConflict: {
    readonly cluster: string;
    readonly differences: readonly string[];
  };
  /** Another node of the cluster has this name. */
  NodeNameInUse: {
    readonly name: string;
    readonly cluster: string;
    readonly addresses: readonly string[];
  };
  /** All of the cluster's pod networks of an IP version are taken. */
  PodCidrsExhausted: { readonly cluster: string; readonly cidr: string };
  /** A pod network that the node has pods of is another node's by now. */
  PodCidrInUse: {
    readonly cluster: string;
    readonly podCidr: string;
    readonly owner: string;
  };
  /** Another process keeps the node in its cluster. */
  MembershipInUse: {
    readonly name: string;
    /** Such as `process 1234 (deno)`, when that can be seen. */
    readonly holder?: string;
  };
  /** What the cluster is kept in does not answer. */
  StoreUnreachable: { readonly store: string; readonly reason: string };
  /** What the cluster is kept in does not let the node in, or does not have what it must. */
  StoreRefused: { readonly store: string; readonly reason: string };
}

/** Tells {@linkcode SandboxError}s apart. */
export type SandboxErrorCode = keyof SandboxErrorContexts;

/** Options of the {@linkcode SandboxError} constructor. */
export interface SandboxErrorOptions {
  /** The lower error this one comes from, such as a `SyscallError`. */
  readonly cause?: unknown;
  /**
   * Errors met while undoing what had been done.
   * @default []
   */
  readonly undoFailures?: readonly unknown[];
}

/** What helps against a damaged record, by the name of its file. */
const REMEDIES: Readonly<Record<string, string>> = {
  "/node.cbor": "take the node down with force and set it up again",
  "/lease.cbor": "let the node join its cluster again",
  "/status.cbor": "let the node join its cluster again",
  "/members.cbor": "let the node join its cluster again",
};

const messages: {
  readonly [C in SandboxErrorCode]: (
    context: SandboxErrorContexts[C],
  ) => string;
} = {
  InvalidSpec: ({ problems }) =>
    `invalid input: ${
      problems.map((p) => p.path === "" ? p.message : `${p.path}: ${p.message}`)
        .join("; ")
    }`,
  SandboxNotFound: ({ name, namespace }) =>
    `${
      namespace === undefined
        ? `no sandbox has the id or name "${name}"`
        : `no sandbox is named "${name}" in namespace "${namespace}"`
    }: list the sandboxes to see those that exist`,
  SandboxConflict: ({ id, name, differences }) =>
    `sandbox "${name}" (${id}) exists and differs in ${
      differences.join(", ")
    }: ask for the same spec, remove it first, or use another name`,
  SandboxInUse: ({ id, containers }) =>
    `sandbox ${id} has containers attached (${
      containers.join(", ")
    }): remove them first, or remove the sandbox with force`,
  AddressInUse: ({ address, owner }) =>
    `address ${address} is taken${
      owner === undefined ? "" : ` by ${owner}`
    }: request another one, or none to get a free one`,
  AddressPoolExhausted: ({ cidr, size }) =>
    `no free address found in ${cidr} (${size} allocatable): remove sandboxes that are not needed, or choose a larger network`,
  HostPortInUse: ({ protocol, hostIP, hostPort, owner }) =>
    `${protocol} host port ${
      bracketed(hostIP)
    }:${hostPort} is taken by ${owner}: choose another host port or host IP, or free this one`,
  ContainerPortInUse: ({ port, protocol, containers: [first, second] }) =>
    `containers "${first}" and "${second}" both declare port ${port}/${protocol}: containers of a pod share its ports, so give one of them another`,
  ContainerConflict: ({ name }) =>
    `container "${name}" is attached with other ports: remove it first, or use another name`,
  HostAddressUnknown: ({ hostIP }) =>
    `the node has no address ${hostIP}: use one of the node's own, or leave the host IP out for all of them`,
  DeviceLost: ({ device, interface: name }) =>
    `the pod's ${name} is not the node's ${device}, but a link that somebody in the pod has put in its place: move ${device} back to the node, or use force, which gives it up`,
  InvalidNamespace: ({ path, reason }) =>
    `${path} is no usable network namespace: ${reason}`,
  NodeConflict: ({ name, reason }) => `node "${name}": ${reason}`,
  NodeClosed: ({ name }) =>
    `node "${name}" was closed by this program: open it again`,
  NodeNotFound: ({ name, stateDir }) =>
    `no node "${name}" is known in ${stateDir}: name its pod CIDRs once to set it up, or check the node name and the state directory`,
  NetworkNotFound: ({ name, confDir, known, problems }) =>
    [
      `no file of ${confDir} has a network "${name}": it has ${
        known.join(", ") || "none"
      }`,
      ...problems,
    ].join("; "),
  NotPermitted: ({
    operation,
    capability,
    obstacle =
      `it needs ${capability}, so run as root, or in a user namespace (unshare -Urnm)`,
  }) => `not permitted to ${operation}: ${obstacle}`,
  UnsupportedKernel: ({ feature }) =>
    `this kernel has no ${feature}: load its module, or use a kernel that has it`,
  StateUnusable: ({ path, reason }) =>
    `${path} cannot hold podnet's state: ${reason}`,
  RecordInvalid: ({ path, reason }) =>
    `${path} is not a valid record: ${reason}; ${
      REMEDIES[path.slice(path.lastIndexOf("/"))] ??
        "remove the sandbox with force and create it again"
    }`,
  Timeout: ({ operation, timeoutMs, holder }) =>
    `${operation} took longer than ${timeoutMs} ms: try again, and look ${
      holder === undefined
        ? "for another process that holds it up"
        : `at what holds it up, ${holder}`
    }`,
  LimitReached: ({ operation, limit, remedy }) =>
    `${operation}: ${limit} is reached: ${remedy}`,
  AsyncInNamespace: ({ operation }) =>
    `${operation} must not be asynchronous: what runs after the first await is no longer in the namespace; use a worker or the sandbox's own listen, serve, connect and spawn`,
  LeaseEnded: ({ name, cluster, reason }) =>
    `node "${name}" gives no more addresses to pods, since its lease in cluster "${cluster}" has ended: ${reason}`,
  NotInCluster: ({ name, stateDir }) =>
    `node "${name}" is in no cluster that ${stateDir} knows of: let it join one, or check the node name and the state directory`,
  ClusterConflict: ({ cluster, differences }) =>
    `cluster "${cluster}" has other settings: ${
      differences.join(", ")
    }: leave the options out, or use another cluster name`,
  NodeNameInUse: ({ name, cluster, addresses }) =>
    `cluster "${cluster}" has another node "${name}"${
      addresses.length === 0 ? "" : `, at ${addresses.join(", ")}`
    }: give this node another name, or end that one`,
  PodCidrsExhausted: ({ cluster, cidr }) =>
    `cluster "${cluster}" has no free pod network in ${cidr}: end nodes that are not needed, or begin a cluster with a larger network`,
  PodCidrInUse: ({ cluster, podCidr, owner }) =>
    `node "${owner}" of cluster "${cluster}" has ${podCidr}, which this node has pods of: remove them and take this node down, then it gets another`,
  MembershipInUse: ({ name, holder = "another process" }) =>
    `${holder} keeps node "${name}" in its cluster: end it first`,
  StoreUnreachable: ({ store, reason }) =>
    `${store} does not answer: ${reason}`,
  StoreRefused: ({ store, reason }) => `${store} refuses: ${reason}`,
};

/**
 * An error of the sandbox layers.
 *
 * Decide by {@linkcode SandboxError.code}, never by the message. The lower error, if there was one, is `cause`.
 *
 * @example
 * ```ts
 * import { isSandboxError, SandboxError } from "@podnet/podnet";
 *
 * const error: unknown = new SandboxError("AddressInUse", { address: "10.244.1.7" });
 * if (isSandboxError(error, "AddressInUse")) console.log(error.context.address);
 * ```
 */
export class SandboxError<C extends SandboxErrorCode = SandboxErrorCode>
  extends Error {
  /** `"SandboxError"`. */
  override readonly name = "SandboxError";
  /** What happened. */
  readonly code: C;
  /** The values that belong to the code. */
  readonly context: Readonly<SandboxErrorContexts[C]>;
  /** Errors met while undoing what had been done; set by the plan that failed, empty when all was undone. */
  undoFailures: readonly unknown[];

  /** Makes an error; its message follows from `code` and `context`. */
  constructor(
    code: C,
    context: SandboxErrorContexts[C],
    options: SandboxErrorOptions = {},
  ) {
    super(
      // Values may hold anything; the message stays one line.
      printable(messages[code](context)),
      options.cause === undefined ? undefined : { cause: options.cause },
    );
    this.code = code;
    this.context = context;
    this.undoFailures = options.undoFailures ?? [];
  }
}

/** Every kind of {@linkcode SandboxError}, as a union: `switch (error.code)` narrows `error.context`. */
export type AnySandboxError = {
  [C in SandboxErrorCode]: SandboxError<C>;
}[SandboxErrorCode];

/** Whether `error` is a {@linkcode SandboxError} of any code, as the union that `switch (error.code)` narrows. */
export function isSandboxError(error: unknown): error is AnySandboxError;
/** Whether `error` is a {@linkcode SandboxError} with this code; narrows its context. */
export function isSandboxError<C extends SandboxErrorCode>(
  error: unknown,
  code: C,
): error is SandboxError<C>;
export function isSandboxError(
  error: unknown,
  code?: SandboxErrorCode,
): boolean {
  return error instanceof SandboxError &&
    (code === undefined || error.code === code);
}
