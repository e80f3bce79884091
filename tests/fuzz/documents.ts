/**
 * JSON documents that are nearly right.
 *
 * @module
 */
import fc from "fast-check";
import { damaged } from "./spec_targets.ts";

/** The document as text, with damage that JSON can carry, or as text that is none. */
export function documents(full: Record<string, unknown>): fc.Arbitrary<string> {
  const texts = damaged(full).map((value) => {
    try {
      return JSON.stringify(value) ?? "";
    } catch {
      return ""; // nothing that JSON has
    }
  });
  return fc.oneof(
    { weight: 8, arbitrary: texts },
    { weight: 1, arbitrary: fc.string({ unit: "binary" }) },
    { weight: 1, arbitrary: texts.map((text) => text + text) },
    {
      weight: 1,
      arbitrary: fc.nat({ max: 300 }).map((n) => "[".repeat(n) + "]".repeat(n)),
    },
  );
}
