/**
 * The rules of the architecture, checked on the real module graph: which layer
 * may import which, and what only some layers may touch.
 */
import { fail } from "@std/assert";
import { effects } from "./support/effects.ts";

const root = new URL("../", import.meta.url);

/** What a layer may import besides itself, and `src/shape.ts`. */
const layers: Record<
  string,
  { layers: readonly string[]; packages?: readonly string[] }
> = {
  "ffi": { layers: [] },
  "src/shape.ts": { layers: [] },
  "src/steps.ts": { layers: [] },
  "src/text.ts": { layers: [] },
  "src/errors.ts": { layers: ["src/text.ts"] },
  "src/net": { layers: [], packages: ["ip-bigint"] },
  "src/netlink": { layers: ["ffi"] },
  "src/rtnetlink": { layers: ["ffi", "src/net", "src/netlink"] },
  "src/nftables": {
    layers: ["ffi", "src/errors.ts", "src/net", "src/netlink"],
  },
  "src/conntrack": { layers: ["ffi", "src/net", "src/netlink"] },
  "src/sockdiag": { layers: ["ffi", "src/net", "src/netlink"] },
  "src/namespace": { layers: ["ffi", "src/errors.ts", "src/net"] },
  "src/state": {
    layers: ["ffi", "src/errors.ts"],
    packages: ["cbor-x", "valibot"],
  },
  "src/ipam": { layers: ["src/errors.ts", "src/net"] },
  "src/hostport": {
    layers: [
      "ffi",
      "src/conntrack",
      "src/errors.ts",
      "src/net",
      "src/netlink",
      "src/nftables",
      "src/sockdiag",
      "src/steps.ts",
      "src/text.ts",
    ],
  },
  "src/attachment": {
    layers: [
      "ffi",
      "src/errors.ts",
      "src/namespace",
      "src/net",
      "src/netlink",
      "src/rtnetlink",
    ],
  },
  "src/cni/model": { layers: ["src/net"] },
  "src/spec": {
    layers: [
      "src/cni/model",
      "src/errors.ts",
      "src/hostport",
      "src/ipam",
      "src/namespace",
      "src/net",
      "src/text.ts",
    ],
    packages: ["valibot"],
  },
  "src/cni/runtime": {
    layers: [
      "ffi",
      "src/cni/model",
      "src/errors.ts",
      "src/namespace",
      "src/state",
      "src/text.ts",
    ],
  },
  "src/sandbox": {
    layers: [
      "ffi",
      "src/attachment",
      "src/cni/model",
      "src/cni/runtime",
      "src/conntrack",
      "src/errors.ts",
      "src/hostport",
      "src/ipam",
      "src/namespace",
      "src/net",
      "src/netlink",
      "src/nftables",
      "src/rtnetlink",
      "src/sockdiag",
      "src/spec",
      "src/state",
      "src/steps.ts",
      "src/text.ts",
    ],
    packages: ["@noble/hashes", "valibot"],
  },
  "src/diagnosis": {
    layers: [
      "ffi",
      "src/cni/model",
      "src/conntrack",
      "src/errors.ts",
      "src/hostport",
      "src/ipam",
      "src/namespace",
      "src/net",
      "src/netlink",
      "src/nftables",
      "src/rtnetlink",
      "src/sandbox",
      "src/sockdiag",
      "src/spec",
      "src/state",
    ],
  },
  "src/cluster": {
    layers: [
      "ffi",
      "src/errors.ts",
      "src/hostport",
      "src/namespace",
      "src/net",
      "src/netlink",
      "src/nftables",
      "src/rtnetlink",
      "src/sandbox",
      "src/spec",
      "src/state",
      "src/steps.ts",
      "src/text.ts",
    ],
    packages: ["valibot"],
  },
  "mod.ts": {
    layers: [
      "ffi",
      "src/cluster",
      "src/cni/model",
      "src/cni/runtime",
      "src/diagnosis",
      "src/errors.ts",
      "src/hostport",
      "src/namespace",
      "src/net",
      "src/netlink",
      "src/sandbox",
      "src/spec",
    ],
  },
  "src/testing": {
    layers: [
      "ffi",
      "mod.ts",
      "src/cluster",
      "src/errors.ts",
      "src/namespace",
      "src/net",
      "src/netlink",
      "src/rtnetlink",
      "src/sandbox",
    ],
  },
  "src/cni/plugin": {
    layers: [
      "ffi",
      "src/attachment",
      "src/cni/model",
      "src/errors.ts",
      "src/hostport",
      "src/ipam",
      "src/namespace",
      "src/net",
      "src/netlink",
      "src/sandbox",
      "src/spec",
      "src/text.ts",
    ],
    packages: ["@noble/hashes", "valibot"],
  },
  "src/install": {
    layers: ["ffi", "src/spec", "src/state", "src/text.ts"],
    packages: ["@noble/hashes"],
  },
  "src/cni/install": { layers: ["src/install"] },
  "src/oci": {
    layers: [
      "ffi",
      "src/errors.ts",
      "src/install",
      "src/namespace",
      "src/sandbox",
      "src/spec",
    ],
    packages: ["valibot"],
  },
  // Measured: the rest of the public API takes as long to load as all that a pod needs.
  "src/cli/library.ts": {
    layers: [
      "ffi",
      "src/errors.ts",
      "src/hostport",
      "src/net",
      "src/netlink",
      "src/sandbox",
    ],
  },
  "src/cli": {
    layers: [
      "deno.json",
      "ffi",
      "mod.ts",
      "src/cni/install",
      "src/cni/model",
      "src/cni/plugin",
      "src/cni/runtime",
      "src/cli/library.ts",
      "src/install",
      "src/oci",
      "src/state",
      "src/testing",
      "src/text.ts",
    ],
    packages: ["@std/cli"],
  },
  "deno.json": { layers: [] },
};

/** A file past 400 lines has two subjects; a few lines more are no reason to cut. */
const MAX_LINES = 450;

interface Module {
  readonly specifier: string;
  readonly dependencies?: readonly {
    readonly specifier: string;
    readonly isDynamic?: boolean;
    readonly code?: { readonly specifier?: string };
    readonly type?: { readonly specifier?: string };
  }[];
}

function* sourceFiles(path: string): Generator<string> {
  for (const { name, isDirectory } of Deno.readDirSync(new URL(path, root))) {
    if (isDirectory) yield* sourceFiles(`${path}/${name}`);
    else if (name.endsWith(".ts")) yield `${path}/${name}`;
  }
}

const sources = ["mod.ts", ...sourceFiles("ffi"), ...sourceFiles("src")].sort();

function layerOf(path: string): string | undefined {
  return Object.keys(layers).find((layer) =>
    path === layer || path.startsWith(`${layer}/`)
  );
}

/** The path within the repository. */
function pathOf(url: string): string {
  return url.startsWith(root.href) ? url.slice(root.href.length) : url;
}

/** The package a bare specifier names: "cbor-x" of "cbor-x/encode". */
function packageOf(specifier: string): string {
  return /^(?:@[^/]+\/)?[^/]+/.exec(specifier)?.[0] ?? specifier;
}

interface Import {
  readonly from: string;
  readonly to: string;
  readonly isDynamic: boolean;
}

/** Every import of every source file, as Deno resolves it. */
function imports(): Import[] {
  const all = sources.map((path) => `import "${new URL(path, root)}";`);
  const entry = Deno.makeTempFileSync({ suffix: ".ts" });
  try {
    Deno.writeTextFileSync(entry, all.join("\n"));
    const { stdout, success } = new Deno.Command(Deno.execPath(), {
      args: [
        "info",
        "--json",
        "--config",
        new URL("deno.json", root).pathname,
        entry,
      ],
      stderr: "inherit",
    }).outputSync();
    if (!success) throw new Error("deno info failed");
    const { modules }: { modules: readonly Module[] } = JSON.parse(
      new TextDecoder().decode(stdout),
    );
    return modules.flatMap(({ specifier: from, dependencies = [] }) =>
      dependencies.map(({ specifier, isDynamic = false, code, type }) => ({
        from: pathOf(from),
        to: specifier.startsWith(".")
          ? pathOf(code?.specifier ?? type?.specifier ?? specifier)
          : packageOf(specifier),
        isDynamic,
      }))
    ).filter(({ from }) => sources.includes(from));
  } finally {
    Deno.removeSync(entry);
  }
}

const graph = imports();

/** Fails with one line per violation. */
function assertNone(violations: readonly string[]): void {
  if (violations.length > 0) fail(`\n  ${violations.join("\n  ")}`);
}

Deno.test("every source file belongs to a layer", () => {
  assertNone(sources.filter((path) => layerOf(path) === undefined));
});

Deno.test("a file imports only the layers below its own", () => {
  const violations = graph.flatMap(({ from, to }) => {
    const own = layerOf(from) ?? "";
    const rule = layers[own];
    if (rule === undefined || to.startsWith("node:")) return [];
    const target = layerOf(to);
    const allowed = target === undefined
      ? rule.packages?.includes(to) ?? false
      : [own, "src/shape.ts", ...rule.layers].includes(target);
    return allowed ? [] : [
      `${from} imports ${to}; ${own} may import ${
        [...rule.layers, ...rule.packages ?? []].join(", ") || "nothing"
      }`,
    ];
  });
  assertNone(violations);
});

/** The folders of src/sandbox, each of which may import those before it; its own files come last. */
const PARTS = [
  "records",
  "node",
  "pod",
  "networks",
  "check",
  "garbage",
  "watch",
  "",
];

/** Its place among them; -1 of a file elsewhere. */
function partOf(path: string): number {
  const part = /^src\/sandbox\/(?:(\w+)\/)?\w+\.ts$/.exec(path);
  return part === null ? -1 : PARTS.indexOf(part[1] ?? "");
}

Deno.test("a part of src/sandbox imports only those before it; what is loaded when it is asked for comes from upkeep.ts", () => {
  const inside = sources.filter((path) => path.startsWith("src/sandbox/"));
  assertNone(inside.filter((path) => partOf(path) === -1));
  assertNone(
    graph.filter(({ from, to, isDynamic }) =>
      partOf(from) >= 0 && partOf(to) >= 0 &&
      (isDynamic ? to !== "src/sandbox/upkeep.ts" : partOf(to) > partOf(from))
    ).map(({ from, to }) => `${from} imports ${to}`),
  );
});

Deno.test("the layers have no cycle", () => {
  const ordered: string[] = [];
  function visit(layer: string, path: readonly string[]): void {
    if (path.includes(layer)) {
      throw new Error(`cycle: ${[...path, layer].join(" -> ")}`);
    }
    if (ordered.includes(layer)) return;
    for (const below of layers[layer]?.layers ?? []) {
      visit(below, [...path, layer]);
    }
    ordered.push(layer);
  }
  for (const layer of Object.keys(layers)) visit(layer, []);
});

Deno.test("no file imports itself through others", () => {
  const next = new Map<string, string[]>();
  for (const { from, to, isDynamic } of graph) {
    if (isDynamic) continue;
    next.set(from, [...next.get(from) ?? [], to]);
  }
  const done = new Set<string>();
  const cycles: string[] = [];
  function visit(file: string, path: readonly string[]): void {
    if (path.includes(file)) {
      cycles.push([...path.slice(path.indexOf(file)), file].join(" -> "));
      return;
    }
    if (done.has(file)) return;
    for (const to of next.get(file) ?? []) visit(to, [...path, file]);
    done.add(file);
  }
  for (const file of sources) visit(file, []);
  assertNone(cycles);
});

Deno.test("every source file is reachable from an export", () => {
  const { exports } = JSON.parse(
    Deno.readTextFileSync(new URL("deno.json", root)),
  ) as { exports: Record<string, string> };
  const reached = new Set<string>();
  const queue = Object.values(exports).map((path) => path.slice(2));
  for (let file = queue.pop(); file !== undefined; file = queue.pop()) {
    if (reached.has(file)) continue;
    reached.add(file);
    queue.push(
      ...graph.filter(({ from }) => from === file).map(({ to }) => to),
    );
  }
  assertNone(sources.filter((path) => !reached.has(path)));
});

/** The code without its comments; a "//" in a string ends the line too early. */
function withoutComments(code: string): string {
  return code.replace(/\/\*[\s\S]*?\*\//g, "").replace(/(?<!:)\/\/.*$/gm, "");
}

Deno.test("effects happen only in the layers made for them", () => {
  const violations = sources.flatMap((path) => {
    const code = withoutComments(Deno.readTextFileSync(new URL(path, root)));
    return effects.flatMap(({ pattern, in: allowed, why }) =>
      allowed.includes(layerOf(path) ?? "")
        ? []
        : [...code.matchAll(pattern)].map(([found]) =>
          `${path}: ${found} (${why})`
        )
    );
  });
  assertNone(violations);
});

Deno.test(`no file is longer than ${MAX_LINES} lines`, () => {
  const everywhere = ["ffi", "src", "scripts", "tests"]
    .flatMap((directory) => [...sourceFiles(directory)]);
  const long = everywhere.flatMap((path) => {
    const lines = Deno.readTextFileSync(new URL(path, root)).split("\n").length;
    return lines > MAX_LINES ? [`${path}: ${lines}`] : [];
  });
  assertNone(long);
});
