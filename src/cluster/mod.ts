/**
 * What keeps a cluster, for programs that bring their own or look into one: `joinCluster()` itself is in the main module.
 *
 * @module
 */
export { Cluster } from "./cluster.ts";
export { EtcdStore, type EtcdStoreOptions } from "./etcd/etcd_store.ts";
export type { EtcdOptions } from "./etcd/options.ts";
export { StaticStore } from "./static_store.ts";
export {
  type CallOptions,
  type Claim,
  type ClusterStore,
  isStoreError,
  type Lease,
  type Reservation,
  type StoreChange,
  type StoredMember,
  type StoredText,
  StoreError,
  type StoreErrorCode,
  type StoreListing,
  type StoreUpdate,
} from "./store.ts";
