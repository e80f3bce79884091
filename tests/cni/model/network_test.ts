/** Configurations: one plugin's, lists, and what plugins are given. */
import { assert, assertEquals, assertThrows } from "@std/assert";
import {
  CNI_VERSIONS,
  CniError,
  CniErrorCode,
  parseNetworkList,
  parsePluginRequest,
  pluginInput,
  requirePlugins,
  runtimeConfigFor,
} from "../../../src/cni/model/mod.ts";

const plugins = [{ type: "bridge" }];

Deno.test("a list keeps what it does not know", () => {
  const list = parseNetworkList(
    '{"name":"net","cniVersion":"1.0.0","x":{"y":[1]},"plugins":[{"type":"bridge","z":null}]}',
  );
  assertEquals(list.raw["x"], { y: [1] });
  const [plugin] = list.plugins;
  assert(plugin !== undefined);
  assertEquals(pluginInput(list, plugin), {
    type: "bridge",
    z: null,
    name: "net",
    cniVersion: "1.0.0",
  });
});

Deno.test("flags of a list may be words", () => {
  const list = parseNetworkList({
    name: "net",
    disableCheck: "True",
    disableGC: "false",
    loadOnlyInlinedPlugins: true,
    plugins,
  });
  assertEquals(list.disableCheck, true);
  assertEquals(list.disableGC, false);
  assertEquals(list.loadOnlyInlinedPlugins, true);
  for (const wrong of ["1", 1, "", []]) {
    assertThrows(
      () => parseNetworkList({ name: "net", plugins, disableCheck: wrong }),
      CniError,
      "disableCheck must be",
    );
  }
});

Deno.test("R5: the highest version that is offered and known counts", () => {
  for (
    const [given, version] of [
      [{}, "0.1.0"],
      [{ cniVersion: "" }, "0.1.0"],
      [{ cniVersion: "0.4.0" }, "0.4.0"],
      [{ cniVersions: ["0.3.1", "1.1.0", "1.0.0"] }, "1.1.0"],
      [{ cniVersions: ["0.3.1", "9.0.0"] }, "0.3.1"],
      [{ cniVersion: "1.0.0", cniVersions: ["0.4.0"] }, "1.0.0"],
      [{ cniVersion: "0.4.0", cniVersions: ["1.1.0"] }, "1.1.0"],
      [{ cniVersion: "9.9.9", cniVersions: ["0.4.0"] }, "0.4.0"],
    ] as const
  ) {
    const list = parseNetworkList({ name: "net", plugins, ...given });
    assertEquals(list.cniVersion, version, JSON.stringify(given));
  }
});

for (
  const given of [
    { cniVersion: "9.9.9" },
    { cniVersion: "1.1" },
    { cniVersions: ["9.9.9"] },
    { cniVersions: ["newest"] },
  ]
) {
  Deno.test(`${JSON.stringify(given)} is a version that is not supported`, () => {
    const error = assertThrows(
      () => parseNetworkList({ name: "net", plugins, ...given }),
      CniError,
    );
    assertEquals(error.code, CniErrorCode.INCOMPATIBLE_VERSION);
    assertEquals(error.details, `supported: ${CNI_VERSIONS.join(", ")}`);
  });
}

for (
  const [given, place] of [
    [{ plugins }, "name"],
    [{ name: "../net", plugins }, "name"],
    [{ name: 7, plugins }, "name"],
    [{ name: "net", plugins: [] }, "plugins"],
    [{ name: "net", plugins: {} }, "plugins"],
    [{ name: "net", plugins: [7] }, "plugins[0]"],
    [{ name: "net", plugins: [{}] }, "plugins[0].type"],
    [{ name: "net", plugins: [{ type: "../bridge" }] }, "plugins[0].type"],
    [{ name: "net", plugins: [{ type: ".." }] }, "plugins[0].type"],
    [{ name: "net", loadOnlyInlinedPlugins: true }, "plugins"],
    [
      { name: "net", plugins: [{ type: "x", capabilities: [] }] },
      "plugins[0].capabilities",
    ],
  ] as const
) {
  Deno.test(`R10: the list ${JSON.stringify(given)} is refused`, () => {
    const error = assertThrows(
      () => parseNetworkList(JSON.stringify(given)),
      CniError,
      `${place} must be`,
    );
    assertEquals(error.code, CniErrorCode.INVALID_NETWORK_CONFIG);
  });
}

Deno.test("two documents, half a document and none are no configuration", () => {
  for (const text of ["", "{", "{}{}", "[]", "7", "null", "[".repeat(1e5)]) {
    const error = assertThrows(() => parseNetworkList(text), CniError);
    assertEquals(error.code, CniErrorCode.DECODING_FAILURE);
  }
  const deep = `{"x":${"[".repeat(300)}${"]".repeat(300)}}`;
  assertThrows(() => parseNetworkList(deep), CniError, "too deeply");
});

Deno.test("the configuration of a single plugin is a list of one", () => {
  const list = parseNetworkList({ name: "net", type: "bridge", bridge: "b" });
  assertEquals(list.plugins.map(({ type }) => type), ["bridge"]);
  assertEquals(list.loadOnlyInlinedPlugins, true);
});

Deno.test("a list without plugins has to find some", () => {
  const list = parseNetworkList({ name: "net" });
  assertThrows(() => requirePlugins(list), CniError, "no plugins");
});

Deno.test("R4: plugins get name, version, runtimeConfig and prevResult, and none of the runtime's own keys", () => {
  const list = parseNetworkList({
    name: "net",
    cniVersion: "1.1.0",
    plugins: [{
      type: "portmap",
      name: "other",
      cniVersion: "0.1.0",
      snat: true,
      capabilities: { portMappings: true, bandwidth: false, x: true },
      runtimeConfig: { forged: true },
      prevResult: { forged: true },
      "cni.dev/valid-attachments": [],
      args: { cni: { mac: "02:00:00:00:00:01" } },
    }],
  });
  const [plugin] = list.plugins;
  assert(plugin !== undefined);
  const runtimeConfig = runtimeConfigFor(plugin, {
    portMappings: [{ hostPort: 80, containerPort: 80 }],
    bandwidth: { ingressRate: 1 },
    mac: "02:00:00:00:00:01",
  });
  assertEquals(runtimeConfig, {
    portMappings: [{ hostPort: 80, containerPort: 80 }],
  });
  const input = pluginInput(list, plugin, {
    runtimeConfig,
    prevResult: { cniVersion: "1.1.0" },
  });
  assertEquals(input, {
    type: "portmap",
    name: "net",
    cniVersion: "1.1.0",
    snat: true,
    args: { cni: { mac: "02:00:00:00:00:01" } },
    runtimeConfig,
    prevResult: { cniVersion: "1.1.0" },
  });
  assertEquals(
    pluginInput(list, plugin, { runtimeConfig: {} })["runtimeConfig"],
    undefined,
  );
});

Deno.test("GC tells a missing list of attachments from an empty one", () => {
  const list = parseNetworkList({ name: "net", cniVersion: "1.1.0", plugins });
  const [plugin] = list.plugins;
  assert(plugin !== undefined);
  const given = (attachments?: { containerID: string; ifname: string }[]) =>
    parsePluginRequest(
      JSON.stringify(pluginInput(list, plugin, {
        ...attachments !== undefined && { validAttachments: attachments },
      })),
    ).validAttachments;
  assertEquals(given(), undefined);
  assertEquals(given([]), []);
  assertEquals(given([{ containerID: "c", ifname: "eth0" }]), [
    { containerID: "c", ifname: "eth0" },
  ]);
});

Deno.test("a request has its parts", () => {
  const request = parsePluginRequest({
    cniVersion: "1.0.0",
    name: "net",
    type: "podnet",
    args: { cni: { ips: ["10.1.2.3"] } },
    runtimeConfig: { mac: "02:00:00:00:00:01" },
    prevResult: { cniVersion: "1.0.0" },
  });
  assertEquals(request.cniVersion, "1.0.0");
  assertEquals(request.args, { ips: ["10.1.2.3"] });
  assertEquals(request.runtimeConfig, { mac: "02:00:00:00:00:01" });
  assertEquals(request.prevResult, { cniVersion: "1.0.0" });
  assertEquals(
    parsePluginRequest({ name: "n", type: "t" }).cniVersion,
    "0.1.0",
  );
});
