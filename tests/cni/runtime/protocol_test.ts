/** R2–R5, R8, R10, R12: what plugins are given, shown by plugins that note it. */
import { assertEquals, assertRejects } from "@std/assert";
import { isSandboxError, type JsonObject } from "../../../mod.ts";
import { CNI_VERSIONS } from "../../../src/cni/model/mod.ts";
import { CniError } from "../../../src/cni/runtime/mod.ts";
import { Site } from "./site.ts";

/** A result of its own of each plugin, as text for a script. */
function result(name: string, version = "1.1.0"): string {
  return JSON.stringify({
    cniVersion: version,
    interfaces: [{ name, sandbox: "/x" }],
    ips: [{ address: "10.1.2.3/24", interface: 0 }],
    own: { kept: [name] },
  });
}

Deno.test("R3: each plugin of ADD gets the result of the one before; CHECK and DEL the last one's, DEL in reverse", async () => {
  await using site = await Site.create();
  for (const name of ["one", "two", "three"]) {
    site.plugin(name, { ADD: `echo '${result(name)}'` });
  }
  const sandbox = await site.pod("web");
  const network = site.network(
    ["one", "two", "three"].map((type) => ({ type, mine: type })),
    { cniVersion: "1.1.0" },
  );
  const { result: last, containerId } = await sandbox.attach(network);
  assertEquals(last.interfaces, [{ name: "three", sandbox: "/x" }]);
  const prevResult = (input: JsonObject) => input["prevResult"];
  const parsed = (name: string) => JSON.parse(result(name));
  const added = site.runs();
  assertEquals(added.map(({ command }) => command), ["ADD", "ADD", "ADD"]);
  assertEquals(added.map(({ input }) => prevResult(input)), [
    undefined,
    parsed("one"),
    parsed("two"),
  ]);
  assertEquals(added[1]?.input, {
    type: "two",
    mine: "two",
    name: "net",
    cniVersion: "1.1.0",
    prevResult: parsed("one"),
  });
  await sandbox.checkAttachment("net1");
  const checked = site.runs();
  assertEquals(checked.map(({ plugin, command }) => [plugin, command]), [
    ["one", "CHECK"],
    ["two", "CHECK"],
    ["three", "CHECK"],
  ]);
  await sandbox.detach("net1");
  const deleted = site.runs();
  assertEquals(deleted.map(({ plugin, command }) => [plugin, command]), [
    ["three", "DEL"],
    ["two", "DEL"],
    ["one", "DEL"],
  ]);
  for (const run of [...checked, ...deleted]) {
    assertEquals(prevResult(run.input), parsed("three"));
  }
  for (const run of [...added, ...checked, ...deleted]) {
    assertEquals(run, {
      ...run,
      containerId,
      netns: sandbox.netnsPath,
      ifName: "net1",
      args: "",
      path: network.pluginDirs?.join(":") ?? "",
      // R2: where the node is, wherever the program may be.
      bornIn: site.node.netnsId,
    });
  }
});

Deno.test("R4, R8: runtimeConfig is what the pod has and the plugin wants; what ADD was told is told again", async () => {
  await using site = await Site.create();
  site.plugin("one");
  site.plugin("two");
  const sandbox = await site.pod("web");
  const network = site.network([
    {
      type: "one",
      capabilities: { mac: true, ips: false, nothing: true },
      runtimeConfig: { forged: true },
      prevResult: { forged: true },
      "cni.dev/forged": true,
      args: { cni: { kept: true } },
    },
    { type: "two" },
  ]);
  await sandbox.attach({
    ...network,
    name: "lan",
    args: { IgnoreUnknown: "1", K8S_POD_NAME: "web" },
    runtimeConfig: { mac: "02:00:00:00:00:01", ips: ["10.1.2.3/24"] },
  });
  await sandbox.checkAttachment("lan");
  await sandbox.detach("lan");
  for (const { plugin, command, args, input } of site.runs()) {
    assertEquals(args, "IgnoreUnknown=1;K8S_POD_NAME=web", command);
    const { prevResult: _, ...rest } = input;
    assertEquals(
      rest,
      plugin === "one"
        ? {
          type: "one",
          args: { cni: { kept: true } },
          name: "net",
          cniVersion: "1.0.0",
          runtimeConfig: { mac: "02:00:00:00:00:01" },
        }
        : { type: "two", name: "net", cniVersion: "1.0.0" },
      command,
    );
  }
});

Deno.test("R5: the highest version that both know is spoken, and each result read", async () => {
  await using site = await Site.create();
  const sandbox = await site.pod("web");
  for (const version of CNI_VERSIONS) {
    const old = version === "0.1.0" || version === "0.2.0";
    const document = old
      ? {
        cniVersion: version,
        ip4: { ip: "10.1.2.3/24", gateway: "10.1.2.1" },
        ip6: { ip: "fd00::3/64", routes: [{ dst: "::/0" }] },
      }
      : {
        cniVersion: version,
        interfaces: [{ name: "net1", sandbox: "/x" }],
        ips: [
          { version: "4", address: "10.1.2.3/24", gateway: "10.1.2.1" },
          { version: "6", address: "fd00::3/64" },
        ],
        routes: [{ dst: "::/0" }],
      };
    site.plugin("one", { ADD: `echo '${JSON.stringify(document)}'` });
    const { cniVersion, result } = await sandbox.attach({
      ...site.network([{ type: "one" }], {
        cniVersion: "0.1.0",
        cniVersions: [version, "0.1.0", "9.0.0"],
      }),
    });
    assertEquals(cniVersion, version);
    assertEquals(result.ips.map(({ address, gateway }) => [address, gateway]), [
      ["10.1.2.3/24", "10.1.2.1"],
      ["fd00::3/64", undefined],
    ]);
    assertEquals(result.routes, [{ dst: "::/0" }]);
    await sandbox.detach("net1");
    const runs = site.runs();
    assertEquals(runs.map(({ input }) => input["cniVersion"]), [
      version,
      version,
    ]);
    // Before 0.4.0 DEL gets no result.
    const has = runs.at(-1)?.input["prevResult"] !== undefined;
    assertEquals(has, !old && !version.startsWith("0.3."), version);
  }
});

Deno.test("a result in another version than the list's goes on in the list's; one without a version means that one", async () => {
  await using site = await Site.create();
  const sandbox = await site.pod("web");
  const { cniVersion: _, ...unnamed } = JSON.parse(result("a"));
  site.plugin("one", { ADD: `echo '${JSON.stringify(unnamed)}'` });
  site.plugin("two", {
    ADD: `echo '{"cniVersion":"0.2.0","ip4":{"ip":"10.1.2.3/24"}}'`,
  });
  site.plugin("three");
  await sandbox.attach(
    site.network([{ type: "one" }, { type: "two" }, { type: "three" }]),
  );
  assertEquals(site.runs().map(({ input }) => input["prevResult"]), [
    undefined,
    { ...unnamed, cniVersion: "1.0.0" },
    { cniVersion: "1.0.0", ips: [{ address: "10.1.2.3/24" }] },
  ]);
});

Deno.test("R9, R11: CHECK is not run when the list says so, its version has none, or nothing was attached", async () => {
  await using site = await Site.create();
  const sandbox = await site.pod("web");
  site.plugin("one", { CHECK: "exit 1" });
  const attach = (name: string, more: JsonObject) =>
    sandbox.attach({ ...site.network([{ type: "one" }], more), name });
  await attach("disabled", { disableCheck: "true" });
  await attach("old", { cniVersion: "0.3.1" });
  site.runs();
  await sandbox.checkAttachment("disabled");
  const old = await assertRejects(
    () => sandbox.checkAttachment("old"),
    CniError,
  );
  assertEquals(old.code, 1);
  const none = await assertRejects(() => sandbox.checkAttachment("other"));
  assertEquals(isSandboxError(none, "InvalidSpec"), true);
  assertEquals(site.runs(), []);
});

Deno.test("R10: what cannot be is refused before anything is run, every problem at once", async () => {
  await using site = await Site.create();
  const sandbox = await site.pod("web");
  site.plugin("one");
  const refused = async (spec: unknown): Promise<string[]> => {
    const error = await assertRejects(() =>
      // deno-lint-ignore no-explicit-any
      sandbox.attach(spec as any)
    );
    if (!isSandboxError(error, "InvalidSpec")) throw error;
    return error.context.problems.map(({ path }) => path).sort();
  };
  const { conflist } = site.network([{ type: "one" }]);
  assertEquals(
    await refused({
      conflist: { name: "../x", plugins: [{ type: "one" }] },
      name: "a/b",
      args: { a: "1;b=2" },
      runtimeConfig: 1,
      pluginDirs: ["bin", "/a:b"],
      cacheDir: "",
      timeoutMs: 0,
      other: 1,
    }),
    [
      "cacheDir",
      "conflist",
      "name",
      "other",
      "pluginDirs[0]",
      "pluginDirs[1]",
      "runtimeConfig",
      "timeoutMs",
    ],
  );
  assertEquals(await refused({ conflist, args: { a: "1;b=2" } }), ["args"]);
  assertEquals(await refused({ conflist, args: { "a=b": "1" } }), ["args"]);
  assertEquals(await refused({ conflist, args: { IgnoreUnknown: "" } }), [
    "args",
  ]);
  for (
    const bad of [
      undefined,
      "{",
      {},
      { name: "net", plugins: [] },
      { name: "net", plugins: [{ type: "../one" }] },
      { name: "net", plugins: [{ type: "" }] },
      { name: "net" },
      { name: "net", cniVersion: "9.9.9", plugins: [{ type: "one" }] },
      { name: "n".repeat(256), plugins: [{ type: "one" }] },
    ]
  ) {
    assertEquals(await refused({ conflist: bad }), ["conflist"]);
  }
  // Names that podnet has given.
  assertEquals(await refused({ conflist, name: "eth0" }), ["name"]);
  assertEquals(await refused({ conflist, name: "lo" }), ["name"]);
  // A network that the pod has, as another one.
  await sandbox.attach({ ...site.network([{ type: "one" }]), name: "lan" });
  assertEquals(
    await refused({
      ...site.network([{ type: "one", more: 1 }]),
      name: "lan",
    }),
    ["name"],
  );
  assertEquals(site.said(), ["one ADD"]);
});
