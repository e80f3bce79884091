/**
 * Line charts as SVG, readable on light and dark ground.
 *
 * @module
 */

/** One line of a chart. */
export interface ChartLine {
  readonly name: string;
  /** In ascending order of x. */
  readonly points: readonly (readonly [x: number, y: number])[];
}

/** What a chart shows. */
export interface Chart {
  readonly title: string;
  readonly xAxis: string;
  readonly yAxis: string;
  readonly lines: readonly ChartLine[];
  /**
   * Whether y is on a logarithmic scale, for values that lie orders of magnitude apart.
   * @default false
   */
  readonly logarithmic?: boolean;
}

const WIDTH = 720;
const HEIGHT = 400;
const LEFT = 70;
const RIGHT = 190;
const TOP = 46;
const BOTTOM = 52;

/** Told apart by people who see colours differently, on light and dark (after Okabe and Ito). */
const COLOURS = [
  "#0072b2",
  "#e69f00",
  "#009e73",
  "#d55e00",
  "#cc79a7",
  "#56b4e9",
  "#8a8a8a",
];

const STYLE =
  `text{font:13px system-ui,sans-serif;fill:#333}.title{font-size:16px;font-weight:600}` +
  `.grid{stroke:#8884;stroke-width:1}.axis{stroke:#888}.line{fill:none;stroke-width:2.5}` +
  `@media(prefers-color-scheme:dark){text{fill:#ddd}}`;

function escape(text: string): string {
  return text.replaceAll("&", "&amp;").replaceAll("<", "&lt;");
}

/** Short: 1500 is 1.5k. */
export function tickText(value: number): string {
  const text = (value: number) =>
    value.toLocaleString("en", { maximumSignificantDigits: 3 });
  return value >= 1e6
    ? `${text(value / 1e6)}M`
    : value >= 1e3
    ? `${text(value / 1e3)}k`
    : text(value);
}

/** Round numbers from 0 to at least `max`, about five of them: steps of 1, 2 or 5 times a power of ten. */
export function linearTicks(max: number): number[] {
  const rough = (max > 0 ? max : 1) / 5;
  const power = 10 ** Math.floor(Math.log10(rough));
  const step = power * ([1, 2, 5, 10].find((k) => k * power >= rough) ?? 10);
  const count = Math.ceil((max > 0 ? max : 1) / step - 1e-9);
  return Array.from({ length: count + 1 }, (_, at) => at * step);
}

/** The powers of ten that enclose the range. */
export function logarithmicTicks(min: number, max: number): number[] {
  const first = Math.floor(Math.log10(min));
  const last = Math.max(first + 1, Math.ceil(Math.log10(max)));
  return Array.from(
    { length: last - first + 1 },
    (_, at) => 10 ** (first + at),
  );
}

interface Scale {
  readonly ticks: readonly number[];
  /** Where on the page a value is. */
  place(value: number): number;
}

function scale(
  ticks: readonly number[],
  from: number,
  to: number,
  transform: (value: number) => number = (value) => value,
): Scale {
  const low = transform(ticks[0] ?? 0);
  const high = transform(ticks.at(-1) ?? 1);
  return {
    ticks,
    place: (value) =>
      from + (transform(value) - low) / (high - low) * (to - from),
  };
}

/** Labels of lines at their ends, moved apart where they would cover each other. */
function labelPlaces(wanted: readonly number[]): number[] {
  const apart = 17;
  const order = wanted.map((_, at) => at).sort((a, b) =>
    (wanted[a] ?? 0) - (wanted[b] ?? 0)
  );
  const places = [...wanted];
  let last = -Infinity;
  for (const at of order) {
    last = Math.max(places[at] ?? 0, last + apart);
    places[at] = last;
  }
  return places;
}

function* axes(
  { xAxis, yAxis, title }: Chart,
  x: Scale,
  y: Scale,
): Generator<string> {
  const right = WIDTH - RIGHT;
  const bottom = HEIGHT - BOTTOM;
  yield `<text class="title" x="${LEFT}" y="22">${escape(title)}</text>`;
  for (const tick of y.ticks) {
    const at = y.place(tick).toFixed(1);
    yield `<line class="grid" x1="${LEFT}" x2="${right}" y1="${at}" y2="${at}"/>`;
    yield `<text x="${LEFT - 8}" y="${at}" dy="4" text-anchor="end">${
      tickText(tick)
    }</text>`;
  }
  for (const tick of x.ticks) {
    const at = x.place(tick).toFixed(1);
    yield `<text x="${at}" y="${bottom + 20}" text-anchor="middle">${
      tickText(tick)
    }</text>`;
  }
  yield `<line class="axis" x1="${LEFT}" x2="${right}" y1="${bottom}" y2="${bottom}"/>`;
  yield `<text x="${(LEFT + right) / 2}" y="${
    HEIGHT - 12
  }" text-anchor="middle">${escape(xAxis)}</text>`;
  yield `<text x="8" y="${TOP - 8}">${escape(yAxis)}</text>`;
}

/** Draws it. Lines without points are left out. */
export function svgChart(chart: Chart): string {
  const lines = chart.lines.filter(({ points }) => points.length > 0);
  const xs = lines.flatMap(({ points }) => points.map(([x]) => x));
  const ys = lines.flatMap(({ points }) => points.map(([, y]) => y));
  const x = scale(linearTicks(Math.max(...xs)), LEFT, WIDTH - RIGHT);
  const y = chart.logarithmic === true
    ? scale(
      logarithmicTicks(Math.min(...ys), Math.max(...ys)),
      HEIGHT - BOTTOM,
      TOP,
      Math.log10,
    )
    : scale(linearTicks(Math.max(...ys)), HEIGHT - BOTTOM, TOP);
  const ends = labelPlaces(
    lines.map(({ points }) => y.place(points.at(-1)?.[1] ?? 0)),
  );
  const drawn = lines.flatMap(({ name, points }, at) => {
    const colour = COLOURS[at % COLOURS.length];
    const places = points.map(([px, py]) =>
      `${x.place(px).toFixed(1)},${y.place(py).toFixed(1)}`
    );
    const dots = places.map((place) => {
      const [cx, cy] = place.split(",");
      return `<circle cx="${cx}" cy="${cy}" r="3.5" fill="${colour}"/>`;
    });
    return [
      `<polyline class="line" stroke="${colour}" points="${
        places.join(" ")
      }"/>`,
      ...dots,
      `<circle cx="${WIDTH - RIGHT + 14}" cy="${
        ends[at]?.toFixed(1)
      }" r="4" fill="${colour}"/>`,
      `<text x="${WIDTH - RIGHT + 24}" y="${ends[at]?.toFixed(1)}" dy="4">${
        escape(name)
      }</text>`,
    ];
  });
  return [
    `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 ${WIDTH} ${HEIGHT}" width="${WIDTH}" height="${HEIGHT}" role="img">`,
    `<title>${escape(chart.title)}</title>`,
    `<style>${STYLE}</style>`,
    ...axes(chart, x, y),
    ...drawn,
    "</svg>",
    "",
  ].join("\n");
}
