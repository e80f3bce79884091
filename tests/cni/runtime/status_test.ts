/** STATUS, VERSION, and podnet as the plugin that podnet runs. */
import { assert, assertEquals, assertRejects } from "@std/assert";
import { CniError, CniPluginError } from "../../../src/cni/runtime/mod.ts";
import { NetworkNamespace } from "../../../src/namespace/network_namespace.ts";
import { ask, FAMILIES, serve } from "../../support/ask.ts";
import { PEERS, Site } from "./site.ts";

Deno.test("networkStatus() finds the plugins, and what they know of versions", async () => {
  await using site = await Site.create();
  site.plugin("one");
  const found = await site.node.networkStatus(
    site.network([{ type: "one" }, { type: "bridge" }]),
  );
  assertEquals(found.map(({ plugin, path }) => [plugin, path]), [
    ["one", `${site.directory}/bin/one`],
    ["bridge", `${PEERS}/bridge`],
  ]);
  assert(found[1]?.supportedVersions.includes("1.0.0"));
  // STATUS is younger than version 1.0.0.
  assertEquals(site.said(), ["one VERSION"]);
  const tooNew = await assertRejects(
    () =>
      site.node.networkStatus(
        site.network([{ type: "bridge" }], { cniVersion: "1.1.0" }),
      ),
    CniError,
  );
  assertEquals(tooNew.code, 1);
});

Deno.test("networkStatus() is the plugins' own word where they have one", async () => {
  await using site = await Site.create();
  site.plugin("one", {
    STATUS: `echo '{"code":50,"msg":"no addresses left"}'; exit 1`,
  });
  const network = site.network([{ type: "one" }], { cniVersion: "1.1.0" });
  const full = await assertRejects(
    () => site.node.networkStatus(network),
    CniPluginError,
  );
  assertEquals([full.code, full.reported], [50, "no addresses left"]);
  const [, { input } = { input: {} }] = site.runs();
  assertEquals(input, { type: "one", name: "net", cniVersion: "1.1.0" });
  site.plugin("one", { VERSION: "echo '{}'" });
  const mute = await assertRejects(
    () => site.node.networkStatus(network),
    CniPluginError,
  );
  assertEquals([mute.command, mute.reason], ["VERSION", "unreadable"]);
});

Deno.test("podnet, run by podnet: a second interface on the same node", async () => {
  await using site = await Site.create();
  const root = new URL("../../../", import.meta.url).pathname;
  const path = `${site.directory}/bin/podnet`;
  await Deno.writeTextFile(
    path,
    `#!/bin/sh
exec ${Deno.execPath()} run --quiet --no-check --cached-only --no-prompt --allow-ffi --allow-env --config=${root}deno.json ${root}src/cli/cni_plugin.ts
`,
  );
  await Deno.chmod(path, 0o755);
  const sandbox = await site.pod("web");
  const network = site.network([{
    type: "podnet",
    node: site.node.name,
    stateDir: site.node.stateDir,
    podCidrs: site.node.podCidrs,
  }], { cniVersion: "1.1.0" });
  assertEquals((await site.node.networkStatus(network)).length, 1);
  const { result, containerId } = await sandbox.attach(network);
  using pod = NetworkNamespace.open(sandbox.netnsPath);
  for (const [at] of FAMILIES.entries()) {
    const address = result.ips[at]?.address.split("/")[0] ?? "";
    assert(!sandbox.addresses.includes(address));
    using server = serve("web", pod, { transport: "tcp", address, port: 80 });
    const got = ask("tcp", site.host.namespace, { address, port: 80 }, [
      server,
    ]);
    assert(typeof got === "object", `${got}`);
  }
  await sandbox.checkAttachment("net1");
  assertEquals((await site.node.listSandboxes()).length, 2);
  // What the plugin keeps is what podnet, the runtime, calls valid.
  const { deleted, failures } = await site.node.collectNetworkGarbage(network);
  assertEquals([deleted, failures], [[], []]);
  assertEquals((await site.node.listSandboxes()).length, 2);
  assert(site.cached().includes(`net-${containerId}-net1`));
  await sandbox.remove();
  assertEquals(await site.node.listSandboxes(), []);
  assertEquals(site.cached(), []);
});
