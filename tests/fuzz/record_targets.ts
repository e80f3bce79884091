/**
 * What lies on disk: records, and the CBOR that they are.
 *
 * @module
 */
import { assert, assertEquals } from "@std/assert";
import { Encoder } from "cbor-x/encode";
import fc from "fast-check";
import { isSandboxError } from "../../src/errors.ts";
import { networksRecord } from "../../src/sandbox/records/network_notes.ts";
import {
  nodeRecord,
  peersRecord,
  sandboxRecord,
} from "../../src/sandbox/records/records.ts";
import {
  CborError,
  decodeCbor,
  decodeCborSequence,
} from "../../src/state/cbor.ts";
import { decodeRecord } from "../../src/state/record.ts";
import { mutated, mutations } from "./mutation.ts";
import { attempt, type Target, target } from "./target.ts";

const cbor = new Encoder({ useRecords: false, tagUint8Array: false });
const plain = fc.letrec<{ value: unknown }>((tie) => ({
  value: fc.oneof(
    { maxDepth: 4 },
    fc.constantFrom(true, false, null, undefined),
    fc.integer(),
    fc.maxSafeInteger(),
    fc.double({ noNaN: true }).filter((n) => !Object.is(n, -0)),
    fc.string({ unit: "grapheme" }).filter((text) => text.isWellFormed()),
    fc.uint8Array({ maxLength: 8 }),
    fc.array(tie("value"), { maxLength: 4 }),
    fc.dictionary(
      fc.string({ unit: "grapheme-ascii", maxLength: 8 }).filter((key) =>
        !["__proto__", "constructor", "prototype"].includes(key)
      ),
      tie("value"),
      { maxKeys: 4, noNullPrototype: true },
    ),
  ),
})).value;

/** Records: CBOR against a second implementation, and what is made of it. */
export function recordTargets(): readonly Target[] {
  const good = cbor.encode({
    podnet: "sandbox",
    version: 1,
    body: { id: "x", state: "ready", addresses: ["10.0.0.1"], mtu: 1400 },
  });
  const read = (bytes: Uint8Array) => {
    attempt(() => decodeCbor(bytes), CborError);
    attempt(() => decodeCborSequence(bytes), CborError);
    for (
      const kind of [sandboxRecord, nodeRecord, peersRecord, networksRecord]
    ) {
      try {
        decodeRecord<unknown>(kind as typeof sandboxRecord, bytes, "/the/path");
      } catch (error) {
        assert(isSandboxError(error, "RecordInvalid"), `${error}`);
        assertEquals(error.context.path, "/the/path");
      }
    }
  };
  return [
    target("CBOR that another program wrote", plain, (value) => {
      assertEquals(decodeCbor(new Uint8Array(cbor.encode(value))), value);
    }, { runs: 800 }),
    target(
      "CBOR in a row, cut off",
      fc.tuple(fc.array(plain, { minLength: 1, maxLength: 4 }), fc.nat()),
      ([values, cut]) => {
        const items = values.map((value) => [...cbor.encode(value)]);
        const first = items[0]?.length ?? 0;
        const bytes = new Uint8Array(items.flat());
        const size = first + cut % (bytes.length - first + 1);
        let whole = 0;
        for (let at = 0; at < size; whole++) at += items[whole]?.length ?? 0;
        const ends = items.slice(0, whole).flat().length === size;
        assertEquals(
          decodeCborSequence(bytes.subarray(0, size)),
          values.slice(0, ends ? whole : whole - 1),
        );
      },
    ),
    target("records of noise", fc.uint8Array({ maxLength: 64 }), read, {
      runs: 1500,
    }),
    target(
      "records damaged",
      fc.tuple(
        fc.oneof(
          fc.constant(new Uint8Array(good)),
          plain.map((change) =>
            new Uint8Array([...good, ...cbor.encode({ mtu: change })])
          ),
          plain.map((value) => new Uint8Array(cbor.encode(value))),
          plain.map((body) =>
            new Uint8Array(cbor.encode({ podnet: "sandbox", version: 1, body }))
          ),
        ),
        fc.oneof(fc.constant([]), mutations),
      ),
      ([bytes, damage]) => read(mutated(bytes, damage)),
      { runs: 1500 },
    ),
  ];
}
