/**
 * Fixed C layouts, and message bodies that begin with one.
 *
 * @module
 */
import { type Codec, CodecError } from "./codec.ts";

/** A field as the loops want it; offsets are from the beginning of the layout. */
interface CompiledField {
  readonly name: string;
  readonly codec: Codec<number>;
  readonly offset: number;
  readonly end: number;
}

function compile(
  fields: Readonly<Record<string, Codec<number>>>,
): CompiledField[] {
  let end = 0;
  return Object.entries(fields).map(([name, codec]) => {
    const offset = end;
    end += sizeOf(codec);
    return { name, codec, offset, end };
  });
}

/** A fixed C layout. Fields are packed; write `pad` for the holes. Compiled when it is used first, as tables are. */
export function struct<const F extends Readonly<Record<string, Codec<number>>>>(
  name: string,
  fields: F,
): StructCodec<F> {
  let compiled: CompiledField[] | undefined;
  const layout = () => compiled ??= compile(fields);
  const sizeOfAll = () => layout().at(-1)?.end ?? 0;
  return {
    type: name,
    get layout() {
      return layout().map(({ codec }) => codec.type);
    },
    get size() {
      return sizeOfAll();
    },
    write(out, value) {
      const values = value as Readonly<Record<string, number>>;
      for (const { name, codec } of layout()) {
        try {
          codec.write(out, values[name] ?? 0);
        } catch (error) {
          throw error instanceof CodecError ? error.within(name) : error;
        }
      }
    },
    read(from, start, end) {
      const size = sizeOfAll();
      if (end - start < size) {
        throw new CodecError(`${name} needs ${size} bytes, got ${end - start}`);
      }
      const value: Record<string, number> = {};
      for (const { name, codec, offset, end } of layout()) {
        value[name] = codec.read(from, start + offset, start + end);
      }
      return value as StructOf<F>;
    },
  };
}

/** Bytes of a scalar, which its type's name ends with in bits. */
function sizeOf({ type }: Codec<number>): number {
  return Number(/\d+$/.exec(type)?.[0]) / 8;
}

/** Missing fields are zero. */
export type StructOf<F> = { -readonly [K in keyof F]?: number };
/** A fixed C layout. */
export interface StructCodec<F> extends Codec<StructOf<F>> {
  /** Types of the fields in their order. */
  readonly layout: readonly string[];
  /** Size in bytes, without padding after it. */
  readonly size: number;
}

/** A fixed header and attributes. */
export interface BodyCodec<H, A> extends Codec<{ header: H; attrs: A }> {
  /** The header alone. */
  readonly header: Codec<H>;
}

/** A fixed header followed by attributes: a whole message body, or VETH_INFO_PEER. */
export function body<H, A>(
  header: Codec<H> & { readonly size: number },
  table: Codec<A>,
): BodyCodec<H, A> {
  const padded = () => (header.size + 3) & ~3;
  return {
    header,
    type: `${header.type}+${table.type}`,
    nested: true,
    write(out, value) {
      header.write(out, value.header);
      out.reserve(padded() - header.size);
      table.write(out, value.attrs);
    },
    read: (from, start, end) => ({
      header: header.read(from, start, end),
      attrs: table.read(from, Math.min(start + padded(), end), end),
    }),
    *children(from, start, end) {
      yield {
        name: header.type,
        start,
        payload: start,
        end: Math.min(start + header.size, end),
        codec: header,
      };
      yield* table.children?.(from, Math.min(start + padded(), end), end) ?? [];
    },
    nameOf: (id) => table.nameOf?.(id),
  };
}
