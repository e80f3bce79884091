/**
 * Messages of etcd's API as its JSON gateway writes them (etcdserverpb/rpc.proto, by the rules of proto3's JSON): bytes are
 * base64, 64-bit integers texts, and what has its default value is left out.
 *
 * @module
 */
import * as v from "valibot";
import { StoreError } from "../store.ts";

const encoder = new TextEncoder();
const decoder = new TextDecoder();

/** Text as bytes are written in JSON. */
export function toBase64(text: string): string {
  return encoder.encode(text).toBase64();
}

/** The first key that no longer begins with `prefix`: the end of the range of those that do. */
export function prefixEnd(prefix: string): string {
  const bytes = encoder.encode(prefix);
  // UTF-8 has no byte 0xff, so this is no overflow.
  bytes[bytes.length - 1]! += 1;
  return bytes.toBase64();
}

/** A 64-bit integer; a number when some proxy has rewritten it. It stays a text: lease ids exceed 2^53. */
const int64 = v.pipe(
  v.union([
    v.pipe(v.string(), v.regex(/^-?\d{1,20}$/)),
    v.pipe(v.number(), v.safeInteger()),
  ]),
  v.transform(String),
);

/** Bytes that are text; what is no UTF-8 becomes U+FFFD, and means nothing to anybody then. */
const bytes = v.pipe(
  v.string(),
  v.rawTransform<string, string>(({ dataset, addIssue, NEVER }) => {
    try {
      return decoder.decode(Uint8Array.fromBase64(dataset.value));
    } catch (error) {
      if (!(error instanceof SyntaxError)) throw error;
      addIssue({ message: "is no base64" });
      return NEVER;
    }
  }),
);

const header = v.object({ revision: v.optional(int64, "0") });

const keyValue = v.object({
  key: bytes,
  value: v.optional(bytes, ""),
  mod_revision: v.optional(int64, "0"),
  lease: v.optional(int64, "0"),
});

/** `mvccpb.KeyValue` */
export type KeyValue = v.InferOutput<typeof keyValue>;

/** `RangeResponse` */
export const rangeResponse = v.object({
  header,
  kvs: v.optional(v.array(keyValue), []),
  more: v.optional(v.boolean(), false),
});

/** `RangeResponse` */
export type RangeResponse = v.InferOutput<typeof rangeResponse>;

/** `LeaseGrantResponse` */
export const grantResponse = v.object({
  ID: int64,
  TTL: v.pipe(int64, v.regex(/^[1-9]\d{0,9}$/, "is no time to live")),
});

/** `LeaseKeepAliveResponse`, as a stream has it; without TTL when the lease has ended. */
export const keepAliveResponse = v.object({
  result: v.object({ TTL: v.optional(int64, "0") }),
});

/** `TxnResponse` to a transaction whose alternative reads one key. */
export const txnResponse = v.object({
  succeeded: v.optional(v.boolean(), false),
  responses: v.optional(
    v.array(v.object({
      response_range: v.optional(
        v.object({ kvs: v.optional(v.array(keyValue), []) }),
      ),
    })),
    [],
  ),
});

const event = v.object({
  type: v.optional(v.picklist(["PUT", "DELETE"]), "PUT"),
  kv: keyValue,
});

/** `WatchResponse`, as a stream has it, or the error that ends the stream. */
export const watchResponse = v.union([
  v.object({
    result: v.object({
      header: v.optional(header, {}),
      created: v.optional(v.boolean(), false),
      canceled: v.optional(v.boolean(), false),
      compact_revision: v.optional(int64, "0"),
      cancel_reason: v.optional(v.string(), ""),
      events: v.optional(v.array(event), []),
    }),
  }),
  v.object({
    error: v.object({
      grpc_code: v.optional(v.number()),
      message: v.optional(v.string(), ""),
    }),
  }),
]);

/**
 * What a message says.
 *
 * @throws {StoreError} `refused` when it is none
 */
export function decode<T>(
  schema: v.GenericSchema<unknown, T>,
  message: unknown,
): T {
  const result = v.safeParse(schema, message);
  if (result.success) return result.output;
  const [issue] = result.issues;
  throw new StoreError(
    "refused",
    `it does not answer like an etcd of version 3.4 or later: ${
      v.getDotPath(issue) ?? "the answer"
    }: ${issue.message}`,
  );
}
