/**
 * Every codec of the netlink families, found by looking, and generators of values made from the codec itself: a table
 * that is added tomorrow is fuzzed tomorrow.
 *
 * @module
 */
import fc from "fast-check";
import { ByteWindow, ByteWriter } from "../../src/netlink/bytes.ts";
import type { Codec } from "../../src/netlink/codec.ts";
import { ipv4DevconfAttrs } from "../../src/rtnetlink/devconf.ts";

/** Folders whose modules may export codecs. */
const FOLDERS = ["netlink", "rtnetlink", "nftables", "conntrack", "sockdiag"];

/** A codec and where it was found. */
export interface FoundCodec {
  readonly name: string;
  readonly codec: Codec<unknown>;
}

/** Whether a value is a codec that can be read by itself: those of repeated attributes are expanded by their table. */
function isCodec(value: unknown): value is Codec<unknown> {
  return typeof value === "object" && value !== null && "type" in value &&
    "read" in value && typeof value.read === "function" &&
    "write" in value && typeof value.write === "function" &&
    !("repeated" in value);
}

/** Every codec that a module of the netlink families exports, also inside plain objects. */
export async function exportedCodecs(): Promise<FoundCodec[]> {
  const found = new Map<Codec<unknown>, string>();
  const search = (where: string, holder: object) => {
    for (const [name, value] of Object.entries(holder)) {
      if (isCodec(value)) {
        if (!found.has(value)) found.set(value, `${where}${name}`);
      } else if (
        typeof value === "object" && value !== null &&
        Object.getPrototypeOf(value) === Object.prototype
      ) search(`${where}${name}.`, value);
    }
  };
  for (const folder of FOLDERS) {
    const directory = new URL(`../../src/${folder}/`, import.meta.url);
    for (const { name } of [...Deno.readDirSync(directory)]) {
      if (!name.endsWith(".ts")) continue;
      const module = await import(new URL(name, directory).href);
      search(`${folder}/${name.replace(/ts$/, "")}`, module);
    }
  }
  return [...found].map(([codec, name]) => ({ codec, name }))
    .sort((a, b) => a.name < b.name ? -1 : 1);
}

/** Whether values can be written: codecs of replies make something friendlier of what they read. */
export function isWritable(codec: Codec<unknown>): boolean {
  try {
    codec.write(new ByteWriter(), undefined);
    return true;
  } catch (error) {
    return !(error instanceof TypeError && /for reading only/.test(`${error}`));
  }
}

/** The highest attribute number of any table, and some. */
const MAX_ID = 96;

/** A named part of a container. */
interface Part {
  readonly name: string;
  readonly codec: Codec<unknown>;
  readonly repeated: boolean;
}

/** The names of the formats that `variant<a|b>` has. */
function formatsOf({ type }: Codec<unknown>): string[] {
  return /^variant<(.*)>$/.exec(type)?.[1]?.split("|") ?? [];
}

/** Bytes of the fixed header of a body. */
export function headerSize(codec: Codec<unknown>): number {
  return "header" in codec
    ? ((codec.header as { size: number }).size + 3) & ~3
    : 0;
}

/** Asks a container what it makes of an attribute, by showing it one without payload. */
function probe(
  codec: Codec<unknown>,
  id: number,
  selector = "",
): Part | undefined {
  const out = new ByteWriter();
  out.reserve(headerSize(codec));
  if (selector !== "") {
    const mark = out.begin(1);
    out.text(selector);
    out.u8(0);
    out.end(mark);
  }
  const at = out.length;
  out.end(out.begin(id));
  const children = codec.children?.(
    new ByteWindow(out.written()),
    0,
    out.length,
  ) ?? [];
  const child = [...children].find(({ start, payload }) =>
    start === at && payload === at + 4
  );
  if (child === undefined || child.name === `#${id}`) return undefined;
  return {
    name: child.name.replace(/\[0\]$/, ""),
    codec: child.codec,
    repeated: child.name.endsWith("[0]"),
  };
}

/** The attributes of a table or of the table of a body. */
function partsOf(codec: Codec<unknown>): Part[] {
  // The sysctls of a device are attributes on the way in only.
  const table = codec.type === "ipv4_devconf" ? ipv4DevconfAttrs : codec;
  if ("rows" in table) {
    return Object.entries(
      table.rows as Record<string, [number, Codec<unknown>]>,
    )
      .map(([name, [, { repeated, ...own }]]) => ({
        name,
        codec: repeated ?? own,
        repeated: repeated !== undefined,
      }));
  }
  return Array.from({ length: MAX_ID }, (_, id) => probe(codec, id))
    .filter((part) => part !== undefined);
}

/** Every codec inside a codec, and itself. */
export function* allInside(codec: Codec<unknown>): Generator<Codec<unknown>> {
  yield codec;
  for (const format of formatsOf(codec)) {
    const part = probe(codec, 2, format);
    if (part !== undefined) yield* allInside(part.codec);
  }
  if (formatsOf(codec).length === 0) {
    for (const part of partsOf(codec)) yield* allInside(part.codec);
  }
}

/** Plain objects, as codecs make them. */
function record<T>(model: { [K in keyof T]: fc.Arbitrary<T[K]> }) {
  return fc.record<T>(model, { noNullPrototype: true });
}

const text = (max: number) =>
  fc.oneof(
    fc.string({ unit: "grapheme-ascii", maxLength: Math.min(max - 1, 64) }),
    fc.constant("x".repeat(max - 1)),
    fc.string({ unit: "binary", maxLength: 12 }),
    fc.constantFrom("", "\ufeffx", "__proto__", "constructor", "\u202ex"),
  ).filter((text) =>
    !text.includes("\0") && new TextEncoder().encode(text).length < max
  );

const payload = fc.uint8Array({ maxLength: 24 });

/** Attributes that no table has, for the round trip of what is unknown. */
const unknown = fc.array(
  record({ type: fc.integer({ min: 0x2000, max: 0x3fff }), payload }),
  { minLength: 1, maxLength: 2 },
);

/** Values that the codec can write, as far as it can be seen from outside. */
export function arbitraryOf(codec: Codec<unknown>): fc.Arbitrary<unknown> {
  const { type } = codec;
  const choices = /^(\w+)\((.*)\)$/s.exec(type);
  if (choices !== null) {
    const names = choices[2]?.split("|") ?? [];
    const of = { type: choices[1] ?? "" } as Codec<unknown>;
    // A number that has a name comes back as the name.
    return fc.oneof(fc.constantFrom(...names), arbitraryOf(of))
      .filter((value) => typeof value === "string" || isUnnamed(codec, value));
  }
  const integer = /^(s?be|[ui])(\d+)$/.exec(type);
  if (integer !== null) {
    const bits = Number(integer[2]);
    if (bits === 64) return fc.bigInt({ min: 0n, max: 2n ** 64n - 1n });
    return integer[1] === "i" || integer[1] === "sbe"
      ? fc.integer({ min: -(2 ** (bits - 1)), max: 2 ** (bits - 1) - 1 })
      : fc.integer({ min: 0, max: 2 ** bits - 1 });
  }
  const sized = /^(cstring|bytes)<(\d+)>$/.exec(type);
  if (sized !== null) {
    const size = Number(sized[2]);
    return sized[1] === "cstring"
      ? text(size)
      : fc.uint8Array({ minLength: size, maxLength: size });
  }
  if (type === "flag") return fc.constant(true);
  if (type === "bytes") return payload;
  if (type.startsWith("list<")) {
    const item = partsOf(codec)[0];
    if (item === undefined) throw new TypeError(`${type} has no item`);
    return fc.array(arbitraryOf(item.codec), { maxLength: 3 });
  }
  const formats = formatsOf(codec);
  if (formats.length > 0) {
    return fc.oneof(
      ...formats.map((format) =>
        record({
          [format]: arbitraryOf(
            probe(codec, 2, format)?.codec ?? unreachable(type),
          ),
        })
      ),
      record({ $other: record({ name: text(64), data: payload }) })
        .filter(({ $other: { name } }) => !formats.includes(name)),
    );
  }
  if ("layout" in codec) return structArbitrary(codec);
  if ("header" in codec) {
    return record({
      header: arbitraryOf(codec.header as Codec<unknown>),
      attrs: attributesArbitrary(codec),
    });
  }
  if (codec.nameOf !== undefined) return attributesArbitrary(codec);
  throw new TypeError(`no generator for a codec of type ${type}`);
}

function unreachable(type: string): never {
  throw new TypeError(`${type} does not tell its formats`);
}

function isUnnamed(codec: Codec<unknown>, value: unknown): boolean {
  const out = new ByteWriter();
  codec.write(out, value);
  return codec.read(new ByteWindow(out.written()), 0, out.length) === value;
}

function attributesArbitrary(codec: Codec<unknown>): fc.Arbitrary<unknown> {
  const model: Record<string, fc.Arbitrary<unknown>> = {};
  for (const { name, codec: part, repeated } of partsOf(codec)) {
    model[name] = repeated
      ? fc.array(arbitraryOf(part), { minLength: 1, maxLength: 3 })
      : arbitraryOf(part);
  }
  // The sysctls of a device are no attributes in a reply, so nothing of them is unknown.
  if (codec.type !== "ipv4_devconf") model["$unknown"] = unknown;
  return fc.record(model, { requiredKeys: [], noNullPrototype: true });
}

/** A C layout says its names by what it makes of zeros. */
function structArbitrary(codec: Codec<unknown>): fc.Arbitrary<unknown> {
  const { layout, size } = codec as unknown as {
    readonly layout: readonly string[];
    readonly size: number;
  };
  const zero = codec.read(new ByteWindow(new Uint8Array(size)), 0, size);
  return record(Object.fromEntries(
    Object.keys(zero as object).map((name, i) => [
      name,
      arbitraryOf({ type: layout[i] } as Codec<unknown>),
    ]),
  ));
}
