/**
 * Versioned CBOR records. A record is a note of intent: what is taken is decided by the kernel,
 * and a record that is lost costs labels and wishes, never correctness.
 *
 * @module
 */
import { Encoder } from "cbor-x/encode";
import * as v from "valibot";
import { LastShape } from "../shape.ts";
import { SandboxError } from "../errors.ts";
import { CborError, decodeCbor, decodeCborSequence } from "./cbor.ts";

/** One kind of record: its envelope and the schema of its body. */
export interface RecordKind<T> {
  /** Kept in the file, so that a file of another kind is refused. */
  readonly kind: string;
  /** Raised when an older reader could misread the body. */
  readonly version: number;
  readonly schema: v.GenericSchema<unknown, T>;
  /**
   * Whether changes may follow the record in its file; see {@linkcode encodeChange}.
   * @default false
   */
  readonly isChanged?: boolean;
}

// Plain maps: no structure extension that another CBOR reader would not know.
const cbor = new Encoder({
  useRecords: false,
  tagUint8Array: false,
  variableMapSize: true,
});

/** Encodes a body in its envelope: valid until the next one is encoded. */
export function encodeRecord<T>(
  kind: RecordKind<T>,
  body: T,
): Uint8Array<ArrayBuffer> {
  const envelope = { podnet: kind.kind, version: kind.version, body };
  return cbor.encode(envelope) as Uint8Array<ArrayBuffer>;
}

/** Of changes. */
const CHANGE = new LastShape();

/**
 * Encodes what has become of a body, to be added to its record: those of its fields that have changed, whole.
 *
 * @returns valid until the next one is encoded; undefined when a field is gone, which no change can say
 */
export function encodeChange<T extends object>(
  before: T,
  after: T,
): Uint8Array<ArrayBuffer> | undefined {
  const change: Partial<T> = {};
  // Bodies are plain data. Lists of their keys would take twice as long as what is encoded.
  for (const field in before) {
    if (!(field in after)) return undefined;
  }
  for (const field in after) {
    if (after[field] !== before[field]) change[field] = after[field];
  }
  CHANGE.last = change;
  return cbor.encode(change) as Uint8Array<ArrayBuffer>;
}

/** The body with the changes that follow it. */
function changed(body: unknown, changes: readonly unknown[]): unknown {
  return changes.length === 0 ? body : Object.assign({}, body, ...changes);
}

function isMap(value: unknown): value is object {
  return typeof value === "object" && value !== null && !Array.isArray(value);
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
  let changes: readonly unknown[] = [];
  try {
    if (kind.isChanged === true) {
      [envelope, ...changes] = decodeCborSequence(bytes);
    } else envelope = decodeCbor(bytes);
  } catch (error) {
    if (!(error instanceof CborError)) throw error;
    throw invalid(path, `is damaged: ${error.message}`, error);
  }
  if (!isMap(envelope)) {
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
  if (changes.length > 0 && ![body, ...changes].every(isMap)) {
    throw invalid(path, "has a change that is none");
  }
  const result = v.safeParse(kind.schema, changed(body, changes));
  if (result.success) return result.output;
  const [issue] = result.issues;
  throw invalid(path, `${v.getDotPath(issue) ?? "body"}: ${issue.message}`);
}

function invalid(path: string, reason: string, cause?: unknown): SandboxError {
  return new SandboxError("RecordInvalid", { path, reason }, { cause });
}
