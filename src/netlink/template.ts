/**
 * Batches that are sent again and again with other values in the same places.
 *
 * Making the requests of a pod and encoding them takes 75 µs of CPU more than putting its values into what was encoded
 * before, and a multiple of that while code is not compiled yet.
 *
 * @module
 */
import { type Batch, encodeBatch, type EncodedBatch } from "./batch.ts";
import { ByteWriter } from "./bytes.ts";
import { NLM_F_ACK } from "./message.ts";

/** A number of 32 bits in host order, bytes as they are, or a text of ASCII without NUL. */
export type FieldValue = number | Uint8Array | string;

/**
 * Bytes of a shape's batch, and where each field is. Lists by number and not by name, since names differ from template to
 * template: V8 would look each of them up, 4 µs a pod.
 */
interface Compiled<F, S, R> {
  readonly batch: EncodedBatch<R>;
  readonly shape: S;
  /** Of each field's text or bytes; {@linkcode NUMBER} of a number. */
  readonly lengths: readonly number[];
  /** Places in the bytes, and which field is to be put there. */
  readonly places: readonly number[];
  readonly wanted: readonly number[];
  /** The values that were put into it last. */
  fields: F;
}

/** In place of a length. */
const NUMBER = -1;

/** Bytes that differ in the two encodings of a compilation, one for each field. */
const SAMPLE = 0x01;
const OTHER_SAMPLE = 0x41;
/** More fields could not be told apart. */
const MAX_FIELDS = OTHER_SAMPLE - SAMPLE - 1;

/** A shape that is asked for so often is worth being compiled. */
const COMPILED_AFTER_USES = 3;
/** Of one template. */
const MAX_SHAPES = 32;

/**
 * See the module. `F` are the fields, what differs from one use to the next; `S` is what decides which messages there are and
 * what else is in them.
 */
export class Template<
  F extends readonly FieldValue[],
  S extends readonly (string | number | boolean)[],
  R = unknown,
> {
  readonly #make: (fields: F, ...shape: S) => Batch<unknown, R>;
  readonly #shapes = new Map<string, Compiled<F, S, R> | number>();
  /** The one that was used last, which mostly is the next one: to find it by a text takes 2 µs more. */
  #last: Compiled<F, S, R> | undefined;
  readonly #out = new ByteWriter();
  readonly #lastFlags: number;

  /**
   * Makes a template of a function of its arguments alone.
   *
   * It must put each field somewhere as it is, a number as 32 bits, and decide nothing by it. What it decides by is the
   * shape, and so are the number of fields and the length of each text and of all bytes. It has 63 fields at most.
   *
   * @param lastFlags what the last message asks for, such as NLM_F_DUMP
   */
  constructor(
    make: (fields: F, ...shape: S) => Batch<unknown, R>,
    lastFlags: number = NLM_F_ACK,
  ) {
    this.#make = make;
    this.#lastFlags = lastFlags;
  }

  /**
   * The batch with these values: valid until the next one is asked for.
   *
   * @throws {CodecError} if a value does not fit its codec
   * @throws {TypeError} if the function does not do as it must
   */
  with(fields: F, ...shape: S): EncodedBatch<R> {
    const last = this.#last;
    return last !== undefined && isFor(last, fields, shape)
      ? filled(last, fields)
      : this.#find(shapeOf(fields, shape), fields, shape);
  }

  #find(key: string, fields: F, shape: S): EncodedBatch<R> {
    let found = this.#shapes.get(key) ?? 0;
    if (typeof found === "number") {
      if (this.#shapes.size >= MAX_SHAPES) this.#shapes.clear();
      if (found < COMPILED_AFTER_USES) {
        this.#shapes.set(key, found + 1);
        return this.#encode(this.#out, fields, shape);
      }
      this.#shapes.set(key, found = this.#compile(fields, shape));
    }
    this.#last = found;
    return filled(found, fields);
  }

  #encode(out: ByteWriter, fields: F, shape: S): EncodedBatch<R> {
    return encodeBatch(out, this.#make(fields, ...shape), this.#lastFlags);
  }

  /** The fields are where two encodings differ, which have other values in each byte of each. */
  #compile(fields: F, shape: S): Compiled<F, S, R> {
    if (fields.length > MAX_FIELDS) {
      throw new TypeError(
        `${fields.length} fields are too many to be told apart`,
      );
    }
    const encoded = (base: number) => {
      const samples = fields.map((value, i) => sample(value, base + i));
      const out = new ByteWriter();
      return this.#encode(out, samples as readonly FieldValue[] as F, shape);
    };
    const [batch, other] = [encoded(SAMPLE), encoded(OTHER_SAMPLE)];
    const [a, b] = [batch.out.written(), other.out.written()];
    const lengths = fields.map(lengthOf);
    const [places, wanted]: [number[], number[]] = [[], []];
    for (let at = 0; at < a.length; at++) {
      if (a[at] === b[at]) continue;
      const field = (a[at] ?? 0) - SAMPLE;
      const length = lengths[field];
      if (length === undefined) continue;
      places.push(at);
      wanted.push(field);
      at += (length === NUMBER ? 4 : length) - 1;
    }
    fill(batch.out, places, wanted, fields);
    const whole = this.#encode(other.out, fields, shape);
    if (!areEqual(batch.out.written(), whole.out.written())) {
      throw new TypeError("a template does more with a field than to put it");
    }
    const compiled: Compiled<F, S, R> = {
      batch: {
        ...batch,
        requestAt: (index) => {
          const { requests = [], queries = [] } = this.#make(
            compiled.fields,
            ...shape,
          );
          return [...requests, ...queries][index] as ReturnType<
            EncodedBatch<R>["requestAt"]
          >;
        },
      },
      shape,
      lengths,
      places,
      wanted,
      fields,
    };
    return compiled;
  }
}

function sample(value: FieldValue, byte: number): FieldValue {
  if (typeof value === "number") return byte * 0x0101_0101;
  return typeof value === "string"
    ? String.fromCharCode(byte).repeat(value.length)
    : new Uint8Array(value.length).fill(byte);
}

function lengthOf(value: FieldValue): number {
  return typeof value === "number" ? NUMBER : value.length;
}

/** Whether it is of this shape, and made for values of these lengths. */
function isFor(
  { shape, lengths }: Compiled<unknown, readonly unknown[], unknown>,
  fields: readonly FieldValue[],
  wanted: readonly unknown[],
): boolean {
  for (let i = 0; i < wanted.length; i++) {
    if (wanted[i] !== shape[i]) return false;
  }
  if (fields.length !== lengths.length) return false;
  for (let i = 0; i < fields.length; i++) {
    if (lengthOf(fields[i] as FieldValue) !== lengths[i]) return false;
  }
  return true;
}

function shapeOf(
  fields: readonly FieldValue[],
  shape: readonly unknown[],
): string {
  return `${shape.join(" ")} ${fields.map(lengthOf).join(" ")}`;
}

function filled<F extends readonly FieldValue[], R>(
  compiled: Compiled<F, unknown, R>,
  fields: F,
): EncodedBatch<R> {
  const { batch, places, wanted } = compiled;
  compiled.fields = fields;
  fill(batch.out, places, wanted, fields);
  return batch;
}

function fill(
  out: ByteWriter,
  places: readonly number[],
  wanted: readonly number[],
  fields: readonly FieldValue[],
): void {
  for (let i = 0; i < places.length; i++) {
    out.put(places[i] as number, fields[wanted[i] as number] as FieldValue);
  }
}

function areEqual(a: Uint8Array, b: Uint8Array): boolean {
  return a.length === b.length && a.every((byte, i) => byte === b[i]);
}
