/**
 * Limits of bandwidth as values, and as Kubernetes writes them.
 *
 * @module
 */

/** Limits of a pod's bandwidth; a direction without one is not limited. */
export interface Bandwidth {
  /** Of what goes into the pod, in bits a second, 1000–10^15. */
  readonly ingress?: number;
  /** Of what comes out of the pod, in bits a second, 1000–10^15. */
  readonly egress?: number;
  /**
   * Bits that may go into the pod at once after a pause; less than a packet counts as one.
   * @default what goes in 20 ms, at least 16 KiB
   */
  readonly ingressBurst?: number;
  /**
   * Bits that may come out of the pod at once after a pause; less than a packet counts as one.
   * @default what comes in 20 ms, at least 16 KiB
   */
  readonly egressBurst?: number;
}

/** Of apimachinery, pkg/api/resource/quantity.go. */
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
