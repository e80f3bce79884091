/**
 * Messages of Protocol Buffers from tables of field numbers, as far as CRI needs it. Fields that a table does not have
 * are skipped; fields that are missing have the value that the language gives them.
 *
 * @module
 */
import { BinaryReader, BinaryWriter } from "@bufbuild/protobuf/wire";

/** A field: how its value looks on the wire. */
interface Field<T> {
  readonly number: number;
  readonly missing: () => T;
  readonly write: (writer: BinaryWriter, value: T) => void;
  /** @param before the value of the fields of that number that came before */
  readonly read: (reader: BinaryReader, before: T) => T;
}

// deno-lint-ignore no-explicit-any
type Fields = Record<string, Field<any>>;

/** What a decoded message is. */
export type Decoded<F extends Fields> = {
  readonly [K in keyof F]: F[K] extends Field<infer T> ? T : never;
};

/** A kind of message. */
export interface Message<T> {
  encode(value: Partial<T>): Uint8Array<ArrayBuffer>;
  decode(bytes: Uint8Array): T;
}

const VARINT = 0;
const LENGTH_DELIMITED = 2;

/** An integer, a boolean or a member of an enumeration. */
export function integer(number: number): Field<number> {
  return {
    number,
    missing: () => 0,
    write: (writer, value) => writer.tag(number, VARINT).int32(value),
    read: (reader) => reader.int32(),
  };
}

/** A string. */
export function text(number: number): Field<string> {
  return {
    number,
    missing: () => "",
    write: (writer, value) =>
      writer.tag(number, LENGTH_DELIMITED).string(value),
    read: (reader) => reader.string(),
  };
}

/** A message in a message. */
export function nested<T>(number: number, kind: Message<T>): Field<Partial<T>> {
  return {
    number,
    missing: () => ({}),
    write: (writer, value) =>
      writer.tag(number, LENGTH_DELIMITED).bytes(kind.encode(value)),
    read: (reader) => kind.decode(reader.bytes()),
  };
}

/** A repeated field. */
export function list<T>(field: Field<T>): Field<readonly T[]> {
  return {
    number: field.number,
    missing: () => [],
    write: (writer, values) => {
      for (const value of values) field.write(writer, value);
    },
    read: (reader, before) => [...before, field.read(reader, field.missing())],
  };
}

/** A map from strings to strings. */
export function texts(number: number): Field<Readonly<Record<string, string>>> {
  const entries = list(
    nested(number, message({ key: text(1), value: text(2) })),
  );
  return {
    number,
    missing: () => ({}),
    write: (writer, values) =>
      entries.write(
        writer,
        Object.entries(values).map(([key, value]) => ({ key, value })),
      ),
    read: (reader, before) => {
      const [{ key = "", value = "" } = {}] = entries.read(reader, []);
      return { ...before, [key]: value };
    },
  };
}

/** A kind of message with these fields. */
export function message<F extends Fields>(fields: F): Message<Decoded<F>> {
  return {
    encode(value) {
      const writer = new BinaryWriter();
      for (const [name, field] of Object.entries(fields)) {
        if (value[name] !== undefined) field.write(writer, value[name]);
      }
      return writer.finish();
    },
    decode(bytes) {
      const value = Object.fromEntries(
        Object.entries(fields).map(([name, field]) => [name, field.missing()]),
      );
      const reader = new BinaryReader(bytes);
      while (reader.pos < reader.len) {
        const [number, type] = reader.tag();
        const found = Object.entries(fields)
          .find(([, field]) => field.number === number);
        if (found === undefined) {
          reader.skip(type);
          continue;
        }
        const [name, field] = found;
        value[name] = field.read(reader, value[name]);
      }
      return value as Decoded<F>;
    },
  };
}
