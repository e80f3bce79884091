/**
 * Versioned CBOR records. A record is a note of intent: what is taken is decided by the kernel,
 * and a record that is lost costs labels and wishes, never correctness.
 *
 * @module
 */
import { Encoder } from "cbor-x/encode";
import * as v from "valibot";
import { SandboxError } from "../errors.ts";
import { CborError, decodeCbor } from "./cbor.ts";

/** One kind of record: its envelope and the schema of its body. */
export interface RecordKind<T> {
  /** Kept in the file, so that a file of another kind is refused. */
  readonly kind: string;
  /** Raised when an older reader could misread the body. */
  readonly version: number;
  readonly schema: v.GenericSchema<unknown, T>;
}

// Plain maps: no structure extension that another CBOR reader would not know.
const cbor = new Encoder({ useRecords: false, tagUint8Array: false });

/** Encodes a body in its envelope. */
export function encodeRecord<T>(
  kind: RecordKind<T>,
  body: T,
): Uint8Array<ArrayBuffer> {
  // A new buffer, which is nobody else's: cbor-x gives out views of one that it writes on in.
  return new Uint8Array(
    cbor.encode({ podnet: kind.kind, version: kind.version, body }),
  );
}

/**
 * Decodes and validates a record.
 *
 * @param path named in the error
 * @throws {SandboxError} `RecordInvalid` when the bytes are damaged, of another kind, from a newer version or not of the schema
 */
export function decodeRecord<T>(
  kind: RecordKind<T>,
  bytes: Uint8Array,
  path: string,
): T {
  let envelope: unknown;
  try {
    envelope = decodeCbor(bytes);
  } catch (error) {
    if (!(error instanceof CborError)) throw error;
    throw invalid(path, `is damaged: ${error.message}`, error);
  }
  if (typeof envelope !== "object" || envelope === null) {
    throw invalid(path, "is not a podnet record");
  }
  const { podnet, version, body } = envelope as Record<string, unknown>;
  if (podnet !== kind.kind) {
    throw invalid(path, `is not a podnet ${kind.kind} record`);
  }
  if (version !== kind.version) {
    throw invalid(
      path,
      typeof version === "number"
        ? `has version ${version}, this podnet reads version ${kind.version}`
        : "has no version",
    );
  }
  const result = v.safeParse(kind.schema, body);
  if (result.success) return result.output;
  const [issue] = result.issues;
  throw invalid(path, `${v.getDotPath(issue) ?? "body"}: ${issue.message}`);
}

function invalid(path: string, reason: string, cause?: unknown): SandboxError {
  return new SandboxError("RecordInvalid", { path, reason }, { cause });
}
