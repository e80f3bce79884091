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

/** What differs from one use to the next, by name or in a list. */
export type Fields<F> = { readonly [K in keyof F]: FieldValue };

/** Bytes of a shape's batch, and where each field is. */
interface Compiled<F, S, R> {
  readonly batch: EncodedBatch<R>;
  readonly shape: S;
  readonly places: readonly Places[];
  /** The values that were put into it last. */
  fields: F;
}

/** Where a field is. */
interface Places {
  readonly name: string | number;
  /** Of its text or bytes. */
  readonly length: number | undefined;
  readonly at: readonly number[];
}

/** Bytes that differ in the two encodings of a compilation, one for each field. */
const SAMPLE = 0x01;
const OTHER_SAMPLE = 0x41;
/** More fields could not be told apart. */
const MAX_FIELDS = OTHER_SAMPLE - SAMPLE - 1;

/** A shape that is asked for so often is worth being compiled. */
const COMPILED_AFTER_USES = 3;
/** Of one template. */
const MAX_SHAPES = 32;

/** See the module. `S` is what decides which messages there are and what else is in them, `F` are the fields. */
export class Template<
  F extends Fields<F>,
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
   * shape, and so is the length of each text and of all bytes. It has 63 fields at most.
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
    const names = Array.isArray(fields)
      ? [...fields.keys()]
      : Object.keys(fields);
    if (names.length > MAX_FIELDS) {
      throw new TypeError(
        `${names.length} fields are too many to be told apart`,
      );
    }
    const encoded = (base: number) => {
      const values = names.map((name, i) =>
        sample(fields[name as keyof F], base + i)
      );
      const samples = (Array.isArray(fields) ? values : Object.fromEntries(
        names.map((name, i) => [name, values[i]]),
      )) as unknown as F;
      const out = new ByteWriter();
      return this.#encode(out, samples, shape);
    };
    const [batch, other] = [encoded(SAMPLE), encoded(OTHER_SAMPLE)];
    const [a, b] = [batch.out.written(), other.out.written()];
    const places = names.map((name) => {
      const length = lengthOf(fields[name as keyof F]);
      return { name, length, at: [] as number[] };
    });
    for (let at = 0; at < a.length; at++) {
      if (a[at] === b[at]) continue;
      const field = places[(a[at] ?? 0) - SAMPLE];
      if (field === undefined) continue;
      field.at.push(at);
      at += (field.length ?? 4) - 1;
    }
    fill(batch.out, places, fields);
    const wanted = this.#encode(other.out, fields, shape);
    if (!areEqual(batch.out.written(), wanted.out.written())) {
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
      places,
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

function lengthOf(value: FieldValue): number | undefined {
  return typeof value === "number" ? undefined : value.length;
}

/** Whether it is of this shape, and made for values of these lengths. */
function isFor<F extends object>(
  { shape, places }: Compiled<F, readonly unknown[], unknown>,
  fields: F,
  wanted: readonly unknown[],
): boolean {
  for (let i = 0; i < wanted.length; i++) {
    if (wanted[i] !== shape[i]) return false;
  }
  for (const { name, length } of places) {
    if (lengthOf(valueOf(fields, name)) !== length) return false;
  }
  return true;
}

function valueOf(fields: object, name: string | number): FieldValue {
  return (fields as Record<string | number, FieldValue>)[name] as FieldValue;
}

function shapeOf(fields: object, shape: readonly unknown[]): string {
  let key = shape.join(" ");
  for (const name in fields) {
    const length = lengthOf(valueOf(fields, name));
    if (length !== undefined) key += ` ${name} ${length}`;
  }
  return key;
}

function filled<F extends object, R>(
  compiled: Compiled<F, unknown, R>,
  fields: F,
): EncodedBatch<R> {
  const { batch, places } = compiled;
  compiled.fields = fields;
  fill(batch.out, places, fields);
  return batch;
}

function fill(
  out: ByteWriter,
  places: readonly Places[],
  fields: object,
): void {
  for (const { name, at } of places) {
    const value = valueOf(fields, name);
    for (const place of at) out.put(place, value);
  }
}

function areEqual(a: Uint8Array, b: Uint8Array): boolean {
  return a.length === b.length && a.every((byte, i) => byte === b[i]);
}
