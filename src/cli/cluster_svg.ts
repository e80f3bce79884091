/**
 * A cluster as SVG, readable on light and dark ground.
 *
 * @module
 */
import type { ClusterView } from "../../mod.ts";
import { printable, shortened } from "../text.ts";
import {
  ownLines,
  type PicturedNode,
  picturedNodes,
  pictureTitle,
} from "./cluster_picture.ts";

const WIDTH = 300;
const GAP_X = 40;
const GAP_Y = 24;
const LINE = 17;
const PADDING = 12;
const TOP = 56;
/** Boxes beside each other right of this node. */
const COLUMNS = 3;
/** More are counted: nobody could read them. */
const MAX_NODES = 120;

const STYLE =
  `text{font:12px ui-monospace,monospace;fill:#333}.name{font-weight:600}.title{font:14px system-ui,sans-serif}` +
  `rect{fill:#8881;stroke:#888;rx:6}.own{stroke-width:2.5}path{fill:none;stroke-width:2}` +
  // Told apart by people who see colours differently (after Okabe and Ito), and by their dashes.
  `.route{stroke:#009e73}.vxlan{stroke:#0072b2;stroke-dasharray:8 4}.wireguard{stroke:#cc79a7;stroke-dasharray:2 3}` +
  `.none{stroke:#d55e00;stroke-dasharray:2 6}@media(prefers-color-scheme:dark){text{fill:#ddd}}`;

function escape(text: string): string {
  return printable(text).replaceAll("&", "&amp;").replaceAll("<", "&lt;");
}

interface Box {
  readonly x: number;
  readonly y: number;
  readonly height: number;
}

function heightOf(lines: readonly string[]): number {
  return 2 * PADDING + LINE * (lines.length + 1);
}

/** Letters in a line of a box. */
const ROOM = Math.floor((WIDTH - 2 * PADDING) / 7.3);

function drawBox(
  { x, y, height }: Box,
  name: string,
  lines: readonly string[],
  kind = "",
): string {
  const text = (row: number, line: string, style: string) =>
    `<text${style} x="${x + PADDING}" y="${y + PADDING + LINE * (row + 0.8)}">${
      escape(shortened(line, ROOM))
    }</text>`;
  return [
    `<g><title>${escape([name, ...lines].join("\n"))}</title>`,
    `<rect${kind} x="${x}" y="${y}" width="${WIDTH}" height="${height}"/>`,
    text(0, name, ' class="name"'),
    ...lines.map((line, i) => text(i + 1, line, "")),
    "</g>",
  ].join("");
}

/** The picture. */
export function clusterSvg(view: ClusterView): string {
  const all = picturedNodes(view);
  const nodes: readonly PicturedNode[] = all.length > MAX_NODES
    ? [...all.slice(0, MAX_NODES), {
      name: `${all.length - MAX_NODES} more`,
      path: "none",
      lines: [],
    }]
    : all;
  const rowHeight = Math.max(
    0,
    ...nodes.map(({ path, lines }) => heightOf([path, ...lines])),
  );
  const boxes = nodes.map((_, i): Box => ({
    x: GAP_X + (WIDTH + GAP_X) * (1 + i % COLUMNS),
    y: TOP + (rowHeight + GAP_Y) * Math.floor(i / COLUMNS),
    height: rowHeight,
  }));
  const own = ownLines(view);
  const bottom = Math.max(
    TOP + heightOf(own),
    ...boxes.map(({ y, height }) => y + height),
  );
  const self: Box = {
    x: GAP_X / 2,
    y: TOP + (bottom - TOP - heightOf(own)) / 2,
    height: heightOf(own),
  };
  const lines = nodes.map(({ path }, i) => {
    const { x, y } = boxes[i] ?? self;
    const [fromX, fromY] = [self.x + WIDTH, self.y + self.height / 2];
    // Into the gap above the row, so that no line crosses a box.
    const gap = y - GAP_Y / 2;
    const middle = fromX + GAP_X / 2;
    return `<path class="${path}" d="M${fromX} ${fromY}L${middle} ${gap}H${
      x + WIDTH / 2
    }V${y}"/>`;
  });
  const width = GAP_X +
    (WIDTH + GAP_X) * (1 + Math.min(COLUMNS, Math.max(1, nodes.length)));
  return [
    `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 ${width} ${
      bottom + GAP_Y
    }">`,
    `<style>${STYLE}</style>`,
    `<text class="title" x="${GAP_X / 2}" y="28">${
      escape(pictureTitle(view))
    }</text>`,
    ...lines,
    drawBox(self, view.status.node, own, ' class="own"'),
    ...nodes.map(({ name, path, lines }, i) =>
      drawBox(boxes[i] ?? self, name, [path, ...lines])
    ),
    "</svg>\n",
  ].join("\n");
}
