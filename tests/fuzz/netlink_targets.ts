/**
 * Everything that reads what the kernel sends.
 *
 * @module
 */
import { assert, assertEquals } from "@std/assert";
import fc from "fast-check";
import { SandboxError } from "../../src/errors.ts";
import { decode, encode } from "../../src/netlink/attrs.ts";
import { ByteWindow, ByteWriter } from "../../src/netlink/bytes.ts";
import { type Codec, CodecError } from "../../src/netlink/codec.ts";
import { Connection } from "../../src/netlink/connection.ts";
import { missingAt, pathAt } from "../../src/netlink/inspect.ts";
import { HEADER_SIZE, readMessages } from "../../src/netlink/message.ts";
import {
  IncompleteReplyError,
  NetlinkError,
} from "../../src/netlink/netlink_error.ts";
import { GenerationError } from "../../src/nftables/connection.ts";
import { formatKey } from "../../src/nftables/datatype.ts";
import { decodeElements } from "../../src/nftables/element.ts";
import type { NftSet } from "../../src/nftables/ruleset.ts";
import { setLink } from "../../src/rtnetlink/link.ts";
import {
  decodeComment,
  encodeComment,
  encodeElementUserdata,
} from "../../src/nftables/userdata.ts";
import { done, error, FakeKernel, together } from "../netlink/fake_kernel.ts";
import {
  arbitraryOf,
  exportedCodecs,
  type FoundCodec,
  headerSize,
  isWritable,
} from "./codecs.ts";
import { bodiesOf, type Recording, Replay } from "./kernel.ts";
import { joined, mutated, mutations } from "./mutation.ts";
import { attempt, type Target, target } from "./target.ts";

/** The errors that a question to the kernel may end with, whatever it answers. */
const ANSWER_ERRORS = [
  CodecError,
  NetlinkError,
  IncompleteReplyError,
  GenerationError,
  SandboxError,
] as const;

/** Random bytes, also such as attributes are made of. */
const noise = fc.oneof(
  fc.uint8Array({ maxLength: 96 }),
  fc.array(
    fc.record({
      size: fc.oneof(fc.nat({ max: 24 }), fc.nat({ max: 0xffff })),
      type: fc.oneof(fc.nat({ max: 64 }), fc.nat({ max: 0xffff })),
      payload: fc.uint8Array({ maxLength: 24 }),
      header: fc.boolean(),
    }),
    { maxLength: 8 },
  ).map((attributes) => {
    const out = new ByteWriter();
    for (const { size, type, payload, header } of attributes) {
      if (header) out.bytes(payload.subarray(0, 8));
      out.u16(size, true);
      out.u16(type, true);
      out.bytes(payload);
    }
    return out.finish();
  }),
);

/** Reads in every way that bytes are read; nothing but CodecError comes out. */
function readAll(codec: Codec<unknown>, bytes: Uint8Array): void {
  attempt(() => decode(codec, bytes), CodecError);
  for (const at of [0, 1, 4, bytes.length, -16, 0xffffffff]) {
    pathAt(codec, bytes, at);
    missingAt(codec, bytes, at, at);
  }
}

/** One of the codecs, chosen by fast-check, and something of it. */
function ofAny<T>(
  codecs: readonly FoundCodec[],
  part: (found: FoundCodec) => fc.Arbitrary<T>,
): fc.Arbitrary<readonly [FoundCodec, T]> {
  return fc.oneof(
    ...codecs.map((found) =>
      fc.tuple(
        fc.constant(found).map((f) => ({ ...f, toString: () => f.name })),
        part(found),
      )
    ),
  );
}

/** Counts what is read of a datagram: numbers by the view, bytes by the searches and copies. */
class CountingBytes extends Uint8Array<ArrayBuffer> {
  static work = 0;
  override indexOf(value: number, from = 0): number {
    const found = super.indexOf(value, from);
    CountingBytes.work += (found === -1 ? this.length : found + 1) - from;
    return found;
  }
}
class CountingView extends DataView<ArrayBuffer> {
  override getUint8(at: number): number {
    CountingBytes.work++;
    return super.getUint8(at);
  }
  override getUint16(at: number, little?: boolean): number {
    CountingBytes.work++;
    return super.getUint16(at, little);
  }
  override getUint32(at: number, little?: boolean): number {
    CountingBytes.work++;
    return super.getUint32(at, little);
  }
}

/** Reads, and compares the work with the length: it must not grow faster than that. */
function assertLinear(codec: Codec<unknown>, bytes: Uint8Array): void {
  CountingBytes.work = 0;
  const counted = new CountingBytes(new Uint8Array(bytes).buffer);
  const from = {
    bytes: counted,
    view: new CountingView(counted.buffer),
  } as unknown as ByteWindow;
  attempt(() => codec.read(from, 0, bytes.length), CodecError);
  // Each level of a nest may look at each byte once.
  const bound = 10 * bytes.length + 100;
  assert(CountingBytes.work <= bound, `${CountingBytes.work} > ${bound}`);
}

/** Targets that need no kernel: every exported codec. */
export async function codecTargets(): Promise<Target[]> {
  const codecs = await exportedCodecs();
  return codecs.flatMap((found): Target[] => {
    const { name, codec } = found;
    const random = target(
      `${name} reads noise`,
      noise,
      (bytes) => readAll(codec, bytes),
      { runs: 60 },
    );
    if (!isWritable(codec)) return [random];
    const value = arbitraryOf(codec);
    return [
      random,
      target(`${name} gives back what it was given`, value, (value) => {
        const bytes = encode(codec, value);
        assertEquals<unknown>(decode(codec, bytes), value);
        assertEquals(encode(codec, decode(codec, bytes)), bytes);
      }, { runs: 25 }),
      target(
        `${name} reads in linear time`,
        fc.tuple(value, mutations),
        ([value, damage]) => {
          const bytes = mutated(encode(codec, value), damage);
          // Behind a fixed header the same attributes again and again.
          const skip = headerSize(codec);
          const repeated = Array(200).fill(bytes.subarray(skip));
          assertLinear(codec, joined(bytes.subarray(0, skip), ...repeated));
        },
        { runs: 4 },
      ),
      target(
        `${name} reads its own bytes damaged`,
        fc.tuple(value, mutations),
        ([value, damage]) =>
          readAll(codec, mutated(encode(codec, value), damage)),
        { runs: 40 },
      ),
    ];
  });
}

/** Messages and their headers, and the answers that are errors. */
export function messageTargets(): Target[] {
  const request = setLink({ index: 7, mtu: 1400, ipv4: { rpFilter: 1 } });
  const words = fc.record({
    msg: fc.string({ unit: "grapheme-ascii", maxLength: 40 }),
    offs: fc.oneof(fc.nat({ max: 120 }), fc.nat({ max: 0xffffffff })),
    missType: fc.nat({ max: 0xffffffff }),
    missNest: fc.oneof(fc.nat({ max: 120 }), fc.nat({ max: 0xffffffff })),
  }, { requiredKeys: [], noNullPrototype: true });
  const answer = fc.tuple(
    fc.constantFrom(1, 2),
    fc.integer({ min: -(2 ** 31), max: 2 ** 31 - 1 }),
    words,
    fc.option(fc.uint8Array({ maxLength: 40 }), { nil: undefined }),
    fc.boolean(),
    fc.option(fc.oneof(fc.nat({ max: 80 }), fc.nat({ max: 0xffffffff }))),
  ).map(([sequence, errno, words, echo, isDone, echoed]) => {
    if (isDone) return done(sequence, errno, words);
    const datagram = error(sequence, errno, words, echo);
    // The length that the echoed request claims to have.
    if (echoed !== null) {
      new DataView(datagram.buffer).setUint32(HEADER_SIZE + 4, echoed, true);
    }
    return datagram;
  });
  return [
    target("messages are cut", noise, (bytes) => {
      const messages = attempt(() =>
        readMessages(new ByteWindow(bytes)), CodecError) ?? [];
      let end = 0;
      for (const message of messages) {
        assert(
          message.body >= end + HEADER_SIZE && message.end <= bytes.length,
        );
        assert(message.end >= message.body);
        end = message.end;
      }
    }, { runs: 2000 }),
    target(
      "answers that are errors",
      fc.tuple(
        fc.array(answer, { minLength: 1, maxLength: 3 }),
        fc.oneof(fc.constant([]), mutations),
      ),
      ([answers, damage]) => {
        const datagram = mutated(together(...answers), damage);
        const connection = new Connection(new FakeKernel(() => [datagram]));
        attempt(
          () => connection.execute([request, request]),
          ...ANSWER_ERRORS,
        );
        attempt(() => connection.dump(request), ...ANSWER_ERRORS);
      },
      { runs: 1500 },
    ),
  ];
}

/** What is read out of nf_tables' opaque bytes. */
export function nftTargets(): Target[] {
  const key = fc.constantFrom<NftSet>(
    { name: "one", key: ["ipv4_addr"] },
    { name: "ranges", key: ["inet_service"], interval: true },
    { name: "pair", key: ["inet_proto", "inet_service"], interval: true },
    { name: "name", key: ["ifname"], data: ["ipv6_addr"] },
  );
  const value = fc.option(
    fc.oneof(
      fc.record({ value: fc.uint8Array({ maxLength: 20 }) }),
      fc.constant({}),
    ),
    { nil: undefined },
  );
  const elements = fc.array(
    fc.record({
      key: value,
      keyEnd: value,
      data: value,
      flags: fc.nat({ max: 0xffffffff }),
      userdata: fc.uint8Array({ maxLength: 20 }),
    }, { requiredKeys: [] }),
    { maxLength: 6 },
  );
  const comment = fc.string({ unit: "grapheme", maxLength: 40 }).filter((
    text,
  ) => !/["\0]/.test(text));
  return [
    target("nf_tables elements", fc.tuple(key, elements), ([set, elements]) => {
      const read = attempt(
        // What a damaged message may hold: fields that are there without a value.
        () =>
          decodeElements(set, elements as Parameters<typeof decodeElements>[1]),
        CodecError,
      );
      for (const { key } of read ?? []) formatKey(set.key, key);
    }, { runs: 1500 }),
    target(
      "nf_tables userdata",
      fc.uint8Array({ maxLength: 40 }),
      (bytes) => void decodeComment(bytes),
      { runs: 1000 },
    ),
    target(
      "nf_tables comments",
      fc.tuple(comment, fc.boolean()),
      ([text, open]) => {
        if (new TextEncoder().encode(text).length > 127) return;
        assertEquals(decodeComment(encodeComment(text)), text);
        assertEquals(decodeComment(encodeElementUserdata(text, open)), text);
      },
      { runs: 500 },
    ),
  ];
}

/** What a kernel answered, damaged: through the whole of the library that asks, and through every codec. */
export async function kernelTargets(
  recordings: readonly Recording[],
): Promise<Target[]> {
  const bodies = bodiesOf(recordings);
  const codecs = await exportedCodecs();
  const body = fc.nat({ max: bodies.length - 1 });
  const at = (index: number) => bodies[index] ?? new Uint8Array();
  return [
    ...recordings.map(({ question, exchanges }) =>
      target(
        `${question.name} of a kernel, damaged`,
        fc.tuple(mutations, body),
        ([damage, other]) => {
          const transport = new Replay(
            exchanges,
            (answer) => mutated(answer, damage, at(other)),
          );
          attempt(
            () => question.ask(new Connection(transport)),
            ...ANSWER_ERRORS,
          );
        },
        { runs: 150 },
      )
    ),
    target(
      "messages of a kernel, damaged, by every codec",
      ofAny(codecs, () => fc.tuple(body, body, mutations)),
      ([{ codec }, [one, other, damage]]) =>
        readAll(codec, mutated(at(one), damage, at(other))),
      { runs: 2000 },
    ),
  ];
}
