/**
 * Numbers as Kubernetes writes them (apimachinery, pkg/api/resource/quantity.go).
 *
 * @module
 */

const SUFFIXES: Readonly<Record<string, number>> = {
  "": 1,
  k: 1e3,
  M: 1e6,
  G: 1e9,
  T: 1e12,
  P: 1e15,
  E: 1e18,
  Ki: 2 ** 10,
  Mi: 2 ** 20,
  Gi: 2 ** 30,
  Ti: 2 ** 40,
  Pi: 2 ** 50,
  Ei: 2 ** 60,
};

/**
 * Reads bits a second as people and Kubernetes' annotations write them: `10M`, `1.5G`, `512Ki`, `1e6`.
 *
 * @throws {RangeError} when the text is none, or is no whole number of bits
 */
export function parseBandwidth(text: string): number {
  const [, digits, exponent, suffix = ""] =
    /^([0-9]+(?:\.[0-9]+)?)(?:[eE]([+-]?[0-9]{1,2})|([kMGTPE]|[KMGTPE]i))?$/
      .exec(text) ?? [];
  const factor = exponent === undefined
    ? SUFFIXES[suffix] ?? NaN
    : 10 ** Number(exponent);
  const bits = Math.round(Number(digits) * factor * 1e3) / 1e3;
  if (digits === undefined || !Number.isSafeInteger(bits)) {
    throw new RangeError(
      `${
        JSON.stringify(text)
      } is no bandwidth: write bits a second like "10M", "1.5G" or "64000"`,
    );
  }
  return bits;
}
