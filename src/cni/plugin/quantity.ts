/**
 * Quantities as Kubernetes writes them: `10M`, `512Ki`, `1e6`, `0.5G`.
 *
 * @module
 */

/** The number that a quantity stands for; undefined when it is none. */
export function parseQuantity(text: string): number | undefined {
  const [, digits, exponent, unit] =
    /^([0-9]+(?:\.[0-9]*)?|\.[0-9]+)(?:[eE]([+-]?[0-9]{1,2})|(m|[kMGTPE]|[KMGTPE]i))?$/
      .exec(text.trim()) ?? [];
  if (digits === undefined) return undefined;
  const scale = unit === undefined
    ? 10 ** Number(exponent ?? 0)
    : unit === "m"
    ? 1 / 1000
    : unit.endsWith("i")
    ? 1024 ** (1 + "KMGTPE".indexOf(unit.slice(0, 1)))
    : 1000 ** (1 + "kMGTPE".indexOf(unit));
  return Number(digits) * scale;
}
