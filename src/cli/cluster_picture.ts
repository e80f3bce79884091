/**
 * A cluster as a terminal shows it.
 *
 * @module
 */
import type { ClusterView } from "../../mod.ts";

/** A node as a picture shows it. */
export interface PicturedNode {
  /** Its name. */
  readonly name: string;
  /** How its pods are reached; `none` when they are not. */
  readonly path: "route" | "vxlan" | "wireguard" | "none";
  /** What stands beside the name. */
  readonly lines: readonly string[];
}

/** The other nodes, and those that are refused. */
export function picturedNodes(
  { members, routes, status }: ClusterView,
): PicturedNode[] {
  const reasons = new Map(
    status.refused.filter(({ name }) => name !== status.node)
      .map(({ name, reason }) => [name, reason]),
  );
  const nodes = members.map(({ name, podCidrs, addresses }): PicturedNode => {
    const ways = routes.filter(({ node }) => node === name);
    const way = ways.find(({ path }) => path !== "unreachable");
    const reason = reasons.get(name);
    reasons.delete(name);
    return {
      name,
      path: way === undefined || way.path === "unreachable" ? "none" : way.path,
      lines: [
        podCidrs.join(", "),
        `${addresses.join(", ")}${
          way?.link === undefined ? "" : ` by ${way.link}`
        }`,
        ...reason === undefined ? [] : [reason],
      ],
    };
  });
  const strangers = [...reasons].map(([name, reason]): PicturedNode => ({
    name,
    path: "none",
    lines: [reason],
  }));
  return [...nodes, ...strangers];
}

/** The cluster's name, networks and store, as one line. */
export function pictureTitle({ status }: ClusterView): string {
  const { cluster, settings, store } = status;
  return `cluster ${cluster}  ${
    settings.podCidrs.join(", ")
  }  backend ${settings.backend}  kept in ${store}`;
}

/** This node's box. */
export function ownLines({ status }: ClusterView): string[] {
  return [
    status.state,
    ...status.self.podCidrs,
    ...status.self.addresses,
  ];
}

/** The lines of the picture. */
export function drawCluster(view: ClusterView): string[] {
  const { status: { node } } = view;
  const own = ownLines(view);
  const title = `─ ${node} `;
  const width = Math.max(title.length + 1, ...own.map((l) => l.length + 2));
  const others = picturedNodes(view);
  const isLast = (i: number) => i === others.length - 1;
  return [
    pictureTitle(view),
    "",
    `┌${title.padEnd(width, "─")}┐`,
    ...own.map((line) => `│ ${line.padEnd(width - 2)} │`),
    `└─${others.length > 0 ? "┬" : "─"}${"─".repeat(width - 2)}┘`,
    ...others.flatMap(({ name, path, lines: [first = "", ...more] }, i) => {
      const stem = `  ${isLast(i) ? "└" : "├"}── ${path.padEnd(9, " ")} ── `;
      const beside = `  ${isLast(i) ? " " : "│"}`.padEnd(
        stem.length + name.length + 2,
      );
      return [
        `${stem}${name}  ${first}`,
        ...more.map((line) => `${beside}${line}`),
      ];
    }),
  ];
}
