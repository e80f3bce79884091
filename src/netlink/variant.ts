/**
 * Nests in which one attribute names the format of another, such as IFLA_LINKINFO and nf_tables expressions.
 *
 * @module
 */
import { attrs, NLA_F_NESTED, type UnknownAttr } from "./attrs.ts";
import type { ByteWindow, ByteWriter } from "./bytes.ts";
import {
  bytes as rawBytes,
  type Codec,
  CodecError,
  cstring,
  type Infer,
} from "./codec.ts";

const cstringCodec = cstring();

/** Payload formats by the text that selects them. */
export type Formats = Readonly<Record<string, Codec<unknown>>>;

/** A selector that the table has no format for, kept as it came. */
export interface OtherVariant {
  /** The selector as text, empty if there was none, and the payload. */
  readonly $other: { readonly name: string; readonly data?: Uint8Array };
}

/**
 * Exactly one key, which is the selector: `{ veth: { peer } }`, `{ cmp: { sreg: 1 } }`; and the attributes of the nest
 * that are neither selector nor payload, such as IFLA_INFO_SLAVE_KIND.
 */
export type VariantOf<F extends Formats> =
  & (
    | {
      [K in keyof F & string]: { readonly [_ in K]: Infer<F[K]> };
    }[keyof F & string]
    | OtherVariant
  )
  & { readonly $unknown?: readonly UnknownAttr[] };

/** A nest in which attribute `selectorId` names the format of attribute `payloadId`. */
export function variant<const F extends Formats>(
  selectorId: number,
  payloadId: number,
  formats: F,
): Codec<VariantOf<F>> {
  const table = attrs("", {
    selector: [selectorId, cstringCodec],
    payload: [payloadId, rawBytes],
  });

  // A Map, because the kernel may send a name such as "constructor".
  const byName = new Map(Object.entries(formats));

  function put(out: ByteWriter, name: string, write?: () => void): void {
    if (name !== "") {
      const mark = out.begin(selectorId);
      cstringCodec.write(out, name);
      out.end(mark);
    }
    if (write === undefined) return;
    const mark = out.begin(payloadId | NLA_F_NESTED);
    write();
    out.end(mark);
  }

  function writeVariant(out: ByteWriter, value: VariantOf<F>): void {
    if ("$other" in value) {
      const { name, data } = (value as OtherVariant).$other;
      return put(out, name, data && (() => out.bytes(data)));
    }
    for (const name in value) {
      if (name === "$unknown") continue;
      const format = byName.get(name);
      if (format === undefined) throw new CodecError(`no format "${name}"`);
      try {
        return put(
          out,
          name,
          () => format.write(out, (value as Record<string, unknown>)[name]),
        );
      } catch (error) {
        throw error instanceof CodecError ? error.within(name) : error;
      }
    }
    throw new CodecError("a variant needs one key");
  }

  function readVariant(
    from: ByteWindow,
    name: string,
    payload: Uint8Array | undefined,
    end: number,
  ): Record<string, unknown> {
    const format = byName.get(name);
    if (format === undefined) {
      return {
        $other: payload === undefined ? { name } : { name, data: payload },
      };
    }
    const at = payload === undefined
      ? end
      : payload.byteOffset - from.bytes.byteOffset;
    try {
      return { [name]: format.read(from, at, at + (payload?.length ?? 0)) };
    } catch (error) {
      throw error instanceof CodecError ? error.within(name) : error;
    }
  }

  return {
    get type() {
      return `variant<${Object.keys(formats).join("|")}>`;
    },
    nested: true,
    write(out, value) {
      writeVariant(out, value);
      if (value.$unknown !== undefined) {
        table.write(out, { $unknown: value.$unknown });
      }
    },
    read(from, start, end) {
      const { selector = "", payload, $unknown } = table.read(from, start, end);
      const value = readVariant(from, selector, payload, end);
      if ($unknown !== undefined) value.$unknown = $unknown;
      return value as VariantOf<F>;
    },
    nameOf(id) {
      return id === selectorId ? "kind" : id === payloadId ? "data" : undefined;
    },
    *children(from, start, end) {
      let name = "";
      for (const child of table.children?.(from, start, end) ?? []) {
        if (child.name === "selector") {
          name = cstringCodec.read(from, child.payload, child.end);
        }
        yield child.name === "payload"
          ? { ...child, name, codec: byName.get(name) ?? rawBytes }
          : child;
      }
    },
  };
}
