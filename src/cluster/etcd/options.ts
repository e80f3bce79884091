/**
 * How an etcd is reached.
 *
 * @module
 */

/** An etcd, version 3.4 or later. */
export interface EtcdOptions {
  /** Where its members take clients, such as `["http://192.0.2.10:2379"]`; they are tried one after another. */
  readonly endpoints: readonly string[];
  /**
   * Begins every key: several clusters, and others, can share an etcd.
   * @default "/podnet"
   */
  readonly prefix?: string;
  /** Who asks, when the etcd asks for a user. */
  readonly user?: string;
  /** The user's password. */
  readonly password?: string;
  /** Certificates of the authorities that may have signed the etcd's, PEM. Those of the system count too. */
  readonly ca?: string;
  /** This client's certificate and what leads to its authority, PEM; with {@linkcode EtcdOptions.key}. */
  readonly cert?: string;
  /** The key of the certificate, PEM. */
  readonly key?: string;
  /**
   * How long one member has for an answer, in milliseconds, before the next one is asked.
   * @default 5000
   */
  readonly timeoutMs?: number;
}
