/**
 * How a node joins a cluster: options as callers write them, checked whole.
 *
 * @module
 */
import * as v from "valibot";
import { hostName } from "../../ffi/process.ts";
import { isSandboxError } from "../errors.ts";
import * as field from "../spec/fields.ts";
import {
  type NodeOptions,
  type NormalisedNodeOptions,
  parseNodeOptions,
} from "../spec/node_options.ts";
import { plainCopy } from "../spec/plain.ts";
import {
  exactObject,
  instead,
  isObject,
  joinPath,
  Problems,
} from "../spec/problems.ts";
import type { EtcdOptions } from "./etcd/options.ts";
import {
  checkPodCidrs,
  type ClusterOptions,
  settingFields,
  type WantedSettings,
} from "./settings.ts";
import type { ClusterStore } from "./store.ts";

/** How a node joins a cluster. One of `etcd`, `peers` and `store` says where the cluster is kept. */
export interface JoinOptions {
  /** In an etcd. Needs `--allow-net` of its endpoints. */
  readonly etcd?: EtcdOptions;
  /** In a file, the same on each node: its absolute path. See `StaticStore`. */
  readonly peers?: string;
  /** In something else. It stays its owner's. */
  readonly store?: ClusterStore;
  /** The cluster. */
  readonly cluster?: ClusterOptions;
  /** The node, as `openNode()` takes it; its pod CIDRs come from the cluster, and its MTU follows from the underlay. */
  readonly node?: Omit<NodeOptions, "podCidrs">;
  /**
   * Addresses by which the others reach the node: the preferred one of each IP version first.
   * @default those of the link to the outside world
   */
  readonly addresses?: readonly string[];
  /**
   * How long the place lasts when the node is not heard of, in seconds, 1–86400: so long the node goes on giving addresses
   * to pods while the store does not answer, and so long others go on sending to it when it is dead. It is renewed after a
   * third of it.
   * @default 60
   */
  readonly leaseSeconds?: number;
  /**
   * How long the store has to answer, in milliseconds, until joining fails. A node of the same name has the time of a lease
   * besides, to end.
   * @default 30_000
   */
  readonly timeoutMs?: number;
  /** Ends the joining: it throws the signal's reason. */
  readonly signal?: AbortSignal;
}

/** {@linkcode JoinOptions}, checked. */
export interface NormalisedJoinOptions {
  readonly etcd?: EtcdOptions;
  readonly peers?: string;
  readonly store?: ClusterStore;
  /** Name of the cluster. */
  readonly cluster: string;
  readonly wanted: WantedSettings;
  readonly node: NormalisedNodeOptions;
  readonly addresses?: readonly string[];
  readonly leaseSeconds: number;
  readonly timeoutMs: number;
  readonly signal?: AbortSignal;
}

const MAX_CLUSTER_NAME_LENGTH = 64;

const endpoint = field.parsed(
  'the URL of an etcd like "http://192.0.2.10:2379"',
  (text) => {
    const url = URL.parse(text);
    if (
      url === null || !["http:", "https:"].includes(url.protocol) ||
      url.pathname !== "/" || url.search !== "" || url.hash !== "" ||
      url.username !== "" || url.password !== ""
    ) {
      throw new RangeError(
        `write the URL of an etcd like "http://192.0.2.10:2379", not ${
          JSON.stringify(text)
        }`,
      );
    }
    return url.href;
  },
);

const pem = (what: string) =>
  v.pipe(
    v.string(instead(`${what}, PEM`)),
    v.check((text) => text.includes("-----BEGIN "), instead(`${what}, PEM`)),
  );

const milliseconds = field.integer(
  "milliseconds, an integer from 1 to 3600000",
  1,
  3_600_000,
);

const etcd = exactObject("an object", {
  endpoints: v.pipe(
    field.list("a list of URLs", endpoint, 64),
    v.minLength(1, 'write at least one, like "http://192.0.2.10:2379"'),
  ),
  prefix: v.exactOptional(
    v.pipe(
      v.string(instead('a prefix of keys like "/podnet"')),
      v.check(
        (text) => /^(?:\/[\w.-]{1,64}){1,8}$/.test(text),
        instead('a prefix of keys like "/podnet"'),
      ),
    ),
  ),
  user: v.exactOptional(field.line("a name of a user", 1)),
  password: v.exactOptional(field.line("a password")),
  ca: v.exactOptional(pem("certificates")),
  cert: v.exactOptional(pem("a certificate")),
  key: v.exactOptional(pem("a private key")),
  timeoutMs: v.exactOptional(milliseconds),
});

const joinOptions = exactObject("an object", {
  etcd: v.exactOptional(etcd),
  peers: v.exactOptional(field.absolutePath),
  cluster: v.exactOptional(
    exactObject("an object", {
      name: v.exactOptional(field.name(MAX_CLUSTER_NAME_LENGTH), "default"),
      ...settingFields,
    }),
    {},
  ),
  addresses: v.exactOptional(
    v.pipe(
      field.list("a list of addresses", field.address, 16),
      v.minLength(1, "write at least one address, or leave it out"),
    ),
  ),
  leaseSeconds: v.exactOptional(
    field.integer("seconds, an integer from 1 to 86400", 1, 86_400),
    60,
  ),
  timeoutMs: v.exactOptional(milliseconds, 30_000),
});

/**
 * Checks and completes options.
 *
 * @throws {SandboxError} `InvalidSpec` with every problem
 */
export function parseJoinOptions(given: JoinOptions): NormalisedJoinOptions {
  const problems = new Problems();
  const fields = isObject(given) ? fieldsOf(given, problems) : undefined;
  // Not data: what they are is for those who use them to find out.
  const { store, signal, node = {}, ...data }: Partial<JoinOptions> = fields ??
    {};
  const input = plainCopy(fields === undefined ? given : data, problems);
  const options = problems.parse(joinOptions, input);
  const places = [data.etcd, data.peers, store].filter((one) =>
    one !== undefined
  );
  if (fields !== undefined && places.length !== 1) {
    problems.add(
      "",
      "write one of etcd, peers and store: where the cluster is kept",
    );
  }
  if (store !== undefined && !isStore(store)) {
    problems.add("store", "write an object with the methods of a ClusterStore");
  }
  const certificate = options?.etcd;
  if ((certificate?.cert === undefined) !== (certificate?.key === undefined)) {
    problems.add("etcd", "write both cert and key, or none of them");
  }
  if (options !== undefined) {
    checkPodCidrs(problems, options.cluster, "cluster.podCidrs");
  }
  const parsedNode = parseNode(node, problems);
  const { cluster: { name = "default", ...wanted }, addresses, ...rest } =
    problems.finish(options);
  return {
    ...rest,
    ...store !== undefined && { store },
    ...signal !== undefined && { signal },
    cluster: name,
    wanted,
    // There are problems when there is none.
    node: parsedNode ?? parseNodeOptions({}, hostName),
    ...addresses !== undefined && { addresses: addresses.map(String) },
  };
}

/** The fields of an object, each read once. */
function fieldsOf(
  given: Record<string, unknown>,
  problems: Problems,
): Record<string, unknown> {
  try {
    return { ...given };
  } catch {
    problems.add("", "cannot be read: write plain data");
    return {};
  }
}

function parseNode(
  node: unknown,
  problems: Problems,
): NormalisedNodeOptions | undefined {
  if (isObject(node) && node["podCidrs"] !== undefined) {
    problems.add(
      "node.podCidrs",
      "leave it out: the cluster gives the node its pod CIDRs",
    );
    return undefined;
  }
  try {
    return parseNodeOptions(node, hostName);
  } catch (error) {
    if (!isSandboxError(error, "InvalidSpec")) throw error;
    for (const { path, message, received } of error.context.problems) {
      problems.add(joinPath("node", path), message, received);
    }
    return undefined;
  }
}

function isStore(store: unknown): boolean {
  return typeof store === "object" && store !== null &&
    ["list", "watch", "claim", "renew", "release"].every((verb) =>
      typeof Reflect.get(store, verb) === "function"
    );
}
