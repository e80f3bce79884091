/**
 * What is said about a series of measurements.
 *
 * @module
 */

/** A series in a few numbers, in the unit of its values. */
export interface Summary {
  /** How many values. */
  readonly n: number;
  readonly min: number;
  readonly median: number;
  readonly p99: number;
  readonly mean: number;
  readonly max: number;
}

/**
 * The value below which a share of the values lies: that of the nearest rank.
 *
 * @param sorted in ascending order, at least one
 * @param share 0 to 1
 */
export function percentile(sorted: readonly number[], share: number): number {
  const at = Math.min(
    sorted.length - 1,
    Math.max(0, Math.ceil(share * sorted.length) - 1),
  );
  const value = sorted[at];
  if (value === undefined) throw new RangeError("no values");
  return value;
}

/** @throws {RangeError} when there are no values */
export function summarise(values: readonly number[]): Summary {
  const sorted = [...values].sort((a, b) => a - b);
  return {
    n: sorted.length,
    min: percentile(sorted, 0),
    median: percentile(sorted, 0.5),
    p99: percentile(sorted, 0.99),
    mean: sorted.reduce((sum, value) => sum + value, 0) / sorted.length,
    max: percentile(sorted, 1),
  };
}

/** A straight line through points, by least squares. */
export interface Line {
  readonly slope: number;
  readonly intercept: number;
  /** Standard error of the slope: how far noise alone may turn the line. */
  readonly slopeError: number;
}

/**
 * The line that fits best.
 *
 * @throws {RangeError} with fewer than three points, which have no noise to tell from a slope
 */
export function fitLine(
  points: readonly (readonly [x: number, y: number])[],
): Line {
  const n = points.length;
  if (n < 3) throw new RangeError(`${n} points are too few for a line`);
  const meanX = points.reduce((sum, [x]) => sum + x, 0) / n;
  const meanY = points.reduce((sum, [, y]) => sum + y, 0) / n;
  const spread = points.reduce((sum, [x]) => sum + (x - meanX) ** 2, 0);
  const slope =
    points.reduce((sum, [x, y]) => sum + (x - meanX) * (y - meanY), 0) / spread;
  const intercept = meanY - slope * meanX;
  const residual = points.reduce(
    (sum, [x, y]) => sum + (y - intercept - slope * x) ** 2,
    0,
  );
  return {
    slope,
    intercept,
    slopeError: Math.sqrt(residual / (n - 2) / spread),
  };
}
