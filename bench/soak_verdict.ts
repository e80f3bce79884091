/**
 * What a soak's samples say.
 *
 * @module
 */
import type { Sample, SoakResult } from "./soak.ts";
import { fitLine } from "./statistics.ts";

/** One thing that was looked at. */
export interface Finding {
  readonly name: string;
  readonly first: number;
  readonly last: number;
  /** Growth over the whole run, by the line that fits best; undefined where every difference counts. */
  readonly growth?: number;
  /** How much of that may be noise. */
  readonly noise?: number;
  readonly fine: boolean;
}

/** A change below this share of the value is none, however sure. */
const TOLERANCE = 0.05;
/** So many standard errors are noise. */
const ERRORS = 3;

function exactFindings(
  { before, after, samples }: SoakResult,
): Finding[] {
  const [start] = samples;
  if (start === undefined) throw new RangeError("no samples");
  const among = Object.keys(start.exact).map((name): Finding => {
    const values = samples.map(({ exact }) => exact[name] ?? 0);
    const first = values[0] ?? 0;
    const last = values.find((value) => value !== first) ?? first;
    return { name, first, last, fine: last === first };
  });
  const ends = Object.keys(before.exact).map((name): Finding => {
    const first = before.exact[name] ?? 0;
    const last = after.exact[name] ?? 0;
    const what = `${name}, before and after all`;
    return { name: what, first, last, fine: last === first };
  });
  return [...among, ...ends];
}

function trend(
  name: string,
  points: readonly (readonly [number, number])[],
): Finding {
  const first = points[0]?.[1] ?? 0;
  const last = points.at(-1)?.[1] ?? 0;
  const range = (points.at(-1)?.[0] ?? 0) - (points[0]?.[0] ?? 0);
  const mean = points.reduce((sum, [, y]) => sum + y, 0) / points.length;
  const { slope, slopeError } = fitLine(points);
  const growth = slope * range;
  const noise = ERRORS * slopeError * range;
  const fine = growth <= Math.max(noise, TOLERANCE * mean);
  return { name, first, last, growth, noise, fine };
}

/** What may vary, but not grow: the line through its samples says whether it does. */
function trends(
  later: readonly Sample[],
  values: (sample: Sample) => Readonly<Record<string, number>>,
): Finding[] {
  const [first] = later;
  if (first === undefined || later.length < 3) return [];
  return Object.keys(values(first)).map((name) =>
    trend(
      name,
      later.map((sample) => [sample.cycles, values(sample)[name] ?? 0]),
    )
  );
}

/**
 * One finding for everything that was looked at. Trends need some samples.
 *
 * Times count from the first cycle on. Memory counts in the second half only: a heap finds its size in steps, and where
 * something leaks it does so to the end.
 */
export function findings(result: SoakResult): Finding[] {
  const { samples } = result;
  const secondHalf = samples.slice(Math.floor(samples.length / 2));
  return [
    ...exactFindings(result),
    ...trends(secondHalf, ({ flat }) => flat),
    ...trends(samples.slice(1), ({ times }) => times),
  ];
}
