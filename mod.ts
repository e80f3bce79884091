/**
 * Pod networking for custom container runtimes: a network namespace for each pod, shared by its containers, with an
 * address of its own, host ports and nothing between pods but routes.
 *
 * @example A pod with a host port
 * ```ts
 * import { openNode } from "@podnet/podnet";
 *
 * await using node = await openNode({
 *   name: "example",
 *   podCidrs: ["10.245.1.0/24", "fd00:10:245:1::/64"],
 * });
 * const sandbox = await node.createSandbox({
 *   name: "web-0",
 *   ports: [{ hostPort: 8080, containerPort: 80 }],
 * });
 * console.log(sandbox.addresses, sandbox.ociNamespace());
 * await sandbox.remove();
 * await node.remove();
 * ```
 *
 * @module
 */

export {
  Node,
  type NodeRemoval,
  type NodeRemoveOptions,
  type SandboxReference,
  type WarmNamespaces,
} from "./src/sandbox/node.ts";
export { openNode, removeNode } from "./src/sandbox/open_node.ts";
export type { NodeOptions, WaitingSocket } from "./src/spec/node_options.ts";
export { Sandbox } from "./src/sandbox/sandbox.ts";
export type { SandboxSysctl } from "./src/sandbox/pod/pod_sysctl.ts";
export type {
  DamagedSandboxSummary,
  KnownSandboxSummary,
  OciNamespace,
  SandboxAttachment,
  SandboxDns,
  SandboxInterface,
  SandboxJson,
  SandboxRoute,
  SandboxSummary,
  Unknown,
} from "./src/sandbox/pod/description.ts";
export type {
  AddressRangeSpec,
  AttachmentSpec,
  BridgeAttachment,
  ContainerPort,
  ContainerSpec,
  DeviceAttachment,
  DnsSpec,
  HostAlias,
  InterfaceAttachment,
  InterfaceSpec,
  MacvlanAttachment,
  NoAttachment,
  NormalisedContainer,
  RoutedAttachment,
  RouteSpec,
  SandboxSpec,
} from "./src/spec/sandbox_spec.ts";
export type {
  NetworkAttachmentSpec,
  NetworkSpec,
} from "./src/spec/network_spec.ts";
export type {
  NetworkGarbage,
  NetworkGarbageOptions,
} from "./src/sandbox/networks/network_garbage.ts";
export type { DetachOptions } from "./src/sandbox/networks/release_networks.ts";
export type { InstalledPlugin } from "./src/cni/runtime/chain.ts";
export type { JsonObject, JsonValue } from "./src/cni/model/json.ts";
export type {
  CniResult,
  ResultAddress,
  ResultDns,
  ResultInterface,
  ResultRoute,
} from "./src/cni/model/result.ts";
export type { Attachment } from "./src/cni/model/network.ts";
export { MACVLAN_MODES, type MacvlanMode } from "./src/net/macvlan_mode.ts";
export { type Bandwidth, parseBandwidth } from "./src/net/bandwidth.ts";
export type { Finding, Repair } from "./src/sandbox/node/finding.ts";
export type {
  Garbage,
  GarbageKind,
  GarbageOptions,
} from "./src/sandbox/garbage/garbage.ts";
export type { RemoveOptions } from "./src/sandbox/pod/remove.ts";
export type {
  ContestedEvent,
  NodeEvent,
  NodeWatch,
  OverflowEvent,
  ReadyEvent,
  RepairEvent,
  SandboxEvent,
} from "./src/sandbox/node/node_event.ts";
export type { WatchOptions } from "./src/sandbox/watch/watch.ts";
export {
  diagnose,
  type DiagnoseOptions,
  type Diagnosis,
  type NetworkSummary,
} from "./src/diagnosis/diagnose.ts";
export {
  type DiagnosisFinding,
  FINDING_CODES,
  type FindingCode,
  type Severity,
} from "./src/diagnosis/rules/finding.ts";
export type { LimitFacts } from "./src/diagnosis/facts/limits.ts";
export type {
  DifferenceFacts,
  HostPortFacts,
  NodeFacts,
} from "./src/diagnosis/facts/node_facts.ts";
export type { PlatformFacts } from "./src/diagnosis/facts/platform.ts";
export type {
  Capability,
  NamespaceKind,
  PrivilegeFacts,
} from "./src/diagnosis/facts/privileges.ts";
export type { StateDirectoryFacts } from "./src/diagnosis/facts/state_directory.ts";
export type { Trial, TrialOutcome } from "./src/diagnosis/facts/trial.ts";
export type { Unseen } from "./src/diagnosis/facts/witness.ts";
export {
  formatPublish,
  parsePublish,
  type PortMapping,
  type PortProtocol,
  type SinglePortMapping,
} from "./src/hostport/mapping.ts";
export type { Sync } from "./src/namespace/sync.ts";
export { NetworkNamespace } from "./src/namespace/network_namespace.ts";
export type {
  PodConnectOptions,
  PodListenOptions,
  PodServeOptions,
} from "./src/namespace/pod_io.ts";
export type {
  ClusterMember,
  VxlanEndpoint,
  WireguardEndpoint,
} from "./src/cluster/member.ts";
export { ClusterPaths, type PathReport } from "./src/cluster/cluster_paths.ts";
export { type OwnEndpoint, ownEndpoint } from "./src/cluster/endpoint.ts";
export { PathError, type PathErrorCode } from "./src/cluster/path_error.ts";
export {
  type NormalisedPathOptions,
  parsePathOptions,
  PATH_BACKENDS,
  type PathBackend,
  type PathOptions,
} from "./src/cluster/path_options.ts";
export type { NodePeers } from "./src/hostport/peers.ts";
export type {
  PathForwarding,
  PathNeighbour,
  PathPlan,
  PathRoute,
  TunnelLink,
  WireguardPlan,
} from "./src/cluster/path_plan.ts";
export { renderPlan } from "./src/cluster/path_text.ts";
export { planPaths } from "./src/cluster/plan_paths.ts";
export {
  type ConnectedNetwork,
  type Underlay,
  underlayOf,
} from "./src/cluster/underlay.ts";
export { PodWorker, type PodWorkerOptions } from "./src/namespace/worker.ts";
export {
  type AnySandboxError,
  isSandboxError,
  type Problem,
  SandboxError,
  type SandboxErrorCode,
  type SandboxErrorContexts,
  type SandboxErrorOptions,
} from "./src/errors.ts";
export type { Cluster } from "./src/cluster/cluster.ts";
export type {
  ClusterEvent,
  ClusterOverflowEvent,
  ClusterWatch,
  DepartureEvent,
  MemberEvent,
  PathsEvent,
  PathsFailedEvent,
  RefusalEvent,
  StateEvent,
} from "./src/cluster/events.ts";
export {
  joinCluster,
  leaveCluster,
  readCluster,
  takeNodeDown,
} from "./src/cluster/entry.ts";
export type { JoinOptions } from "./src/cluster/join_options.ts";
export type {
  ClusterRoute,
  ClusterStatus,
  ClusterView,
} from "./src/cluster/read_cluster.ts";
export type { StatusNote } from "./src/cluster/notes.ts";
export type { RefusedMember } from "./src/cluster/roster.ts";
export type {
  ClusterOptions,
  ClusterSettings,
} from "./src/cluster/settings.ts";
export type { MembershipState, MembershipStatus } from "./src/cluster/state.ts";
export type { EtcdOptions } from "./src/cluster/etcd/options.ts";
export type {
  CallOptions,
  Claim,
  ClusterStore,
  Lease,
  Reservation,
  StoreChange,
  StoredMember,
  StoredText,
  StoreErrorCode,
  StoreListing,
  StoreUpdate,
} from "./src/cluster/store.ts";
export { OwnedFd } from "./ffi/fd.ts";
export type { FileKind } from "./ffi/file_status.ts";
export {
  IncompleteReplyError,
  type IncompleteReplyReason,
  NetlinkError,
  type NetlinkFailure,
} from "./src/netlink/netlink_error.ts";
export { CodecError } from "./src/netlink/codec_error.ts";
export { SyscallError } from "./ffi/errno.ts";
export { UnsupportedPlatformError } from "./ffi/platform.ts";
