/** R13: networks are found where administrators put them, in the order in which runtimes look. */
import { assert, assertEquals, assertThrows } from "@std/assert";
import { isSandboxError, type JsonObject } from "../../../mod.ts";
import { findNetwork, listNetworks } from "../../../src/cni/runtime/mod.ts";

/** A directory with these files. */
function directory(files: Readonly<Record<string, unknown>>): string {
  const path = Deno.makeTempDirSync({ prefix: "podnet-conf-" });
  for (const [name, contents] of Object.entries(files)) {
    const [folder] = name.split("/");
    if (name.includes("/")) {
      Deno.mkdirSync(`${path}/${folder}`, { recursive: true });
    }
    Deno.writeTextFileSync(
      `${path}/${name}`,
      typeof contents === "string" ? contents : JSON.stringify(contents),
    );
  }
  return path;
}

const list = (name: string, from: string): JsonObject => ({
  cniVersion: "1.0.0",
  name,
  plugins: [{ type: "bridge", from }],
});

Deno.test("lists come first, then single plugins, each by the names of their files; the first of a name counts", () => {
  const confDir = directory({
    "20-b.conflist": list("b", "20"),
    "10-b.conflist": list("b", "10"),
    "00-b.conf": { cniVersion: "1.0.0", name: "b", type: "ptp" },
    "05-c.json": { cniVersion: "1.0.0", name: "c", type: "ptp" },
    "03-a.conf": { cniVersion: "1.0.0", name: "a", type: "ptp" },
    "01-notes.txt": "no network",
    "15-bad.conflist": "{",
    "16-empty.conflist": { name: "empty", plugins: [] },
    "17-folder.conflist/x": "no file",
  });
  try {
    assertEquals(
      listNetworks({ confDir }).map(({ path, name }) => [
        path.slice(confDir.length + 1),
        name,
      ]),
      [
        ["10-b.conflist", "b"],
        ["15-bad.conflist", undefined],
        ["16-empty.conflist", undefined],
        ["20-b.conflist", "b"],
        ["00-b.conf", "b"],
        ["03-a.conf", "a"],
        ["05-c.json", "c"],
      ],
    );
    assertEquals(findNetwork("b", { confDir }), list("b", "10"));
    assertEquals(findNetwork("a", { confDir })["type"], "ptp");
    const error = assertThrows(() => findNetwork("x", { confDir }));
    assert(isSandboxError(error, "NetworkNotFound"));
    assertEquals(error.context.known, ["b", "b", "b", "a", "c"]);
    assertEquals(error.context.problems.length, 2);
  } finally {
    Deno.removeSync(confDir, { recursive: true });
  }
});

Deno.test("plugins of the directory that is named after the network are appended, unless it says otherwise", () => {
  const confDir = directory({
    "a.conflist": list("a", "list"),
    "a/20.conf": { type: "tuning" },
    "a/10.conf": { type: "portmap" },
    "a/30.json": { type: "ignored" },
    "b.conflist": { ...list("b", "list"), loadOnlyInlinedPlugins: true },
    "b/10.conf": { type: "portmap" },
    "c.conflist": { cniVersion: "1.0.0", name: "c" },
    "c/10.conf": { type: "portmap" },
    "d.conflist": { cniVersion: "1.0.0", name: "d" },
  });
  try {
    const types = (name: string) =>
      (findNetwork(name, { confDir })["plugins"] as readonly JsonObject[])
        .map(({ type }) => type);
    assertEquals(types("a"), ["bridge", "portmap", "tuning"]);
    assertEquals(types("b"), ["bridge"]);
    assertEquals(types("c"), ["portmap"]);
    assertEquals(
      listNetworks({ confDir }).at(-1)?.problem,
      "network d has no plugins",
    );
  } finally {
    Deno.removeSync(confDir, { recursive: true });
  }
});

Deno.test("a directory that is not there has no networks", () => {
  assertEquals(listNetworks({ confDir: "/nonexistent" }), []);
});
