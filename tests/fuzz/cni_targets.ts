/**
 * Documents of the Container Network Interface, from runtimes, plugins and files.
 *
 * @module
 */
import { assert, assertEquals } from "@std/assert";
import fc from "fast-check";
import {
  CNI_VERSIONS,
  CniError,
  formatArguments,
  formatCachedAttachment,
  isInterfaceName,
  isPluginType,
  parseArguments,
  parseCachedAttachment,
  parseNetworkList,
  parsePluginRequest,
  parseResult,
  readRuntimeConfig,
  resultDocument,
} from "../../src/cni/model/mod.ts";
import { isSandboxError } from "../../src/errors.ts";
import {
  type NormalisedNetworkAttachment,
  parseNetworkAttachment,
} from "../../src/spec/network_attachment.ts";
import { documents } from "./documents.ts";
import { damaged } from "./spec_targets.ts";
import { attempt, type Target, target } from "./target.ts";

const FULL_LIST = {
  cniVersion: "1.0.0",
  cniVersions: ["0.4.0", "1.1.0"],
  name: "net",
  disableCheck: "true",
  disableGC: false,
  loadOnlyInlinedPlugins: true,
  plugins: [
    { type: "bridge", ipam: { type: "host-local" }, unknown: [1] },
    { type: "portmap", capabilities: { portMappings: true, x: false } },
  ],
};
const FULL_RESULT = {
  cniVersion: "1.1.0",
  interfaces: [{ name: "eth0", mac: "02:00:00:00:00:01", sandbox: "/x" }],
  ips: [{ address: "10.1.2.3/24", gateway: "10.1.2.1", interface: 0 }],
  routes: [{ dst: "0.0.0.0/0", gw: "10.1.2.1", mtu: 1400 }],
  dns: { nameservers: ["192.0.2.53"], domain: "x", search: [], options: [] },
};
const FULL_RUNTIME_CONFIG = {
  portMappings: [{ HostPort: 8080, ContainerPort: 80, Protocol: "TCP" }],
  ipRanges: [[{ subnet: "10.1.0.0/16", rangeStart: "10.1.0.4" }]],
  bandwidth: { ingressRate: 1000, ingressBurst: 1000 },
  dns: { servers: ["192.0.2.53"], searches: [], options: [] },
  ips: ["10.1.2.3/24"],
  mac: "02:00:00:00:00:01",
  aliases: { net: ["web"] },
  cgroupPath: "/x",
  "io.kubernetes.cri.pod-annotations": { a: "b" },
};
const FULL_CACHE = {
  kind: "cniCacheV1",
  containerId: "c",
  config: "e30=",
  ifName: "eth0",
  networkName: "net",
  netns: "/run/netns/x",
  cniArgs: [["A", "B"]],
  capabilityArgs: { mac: "02:00:00:00:00:01" },
  result: FULL_RESULT,
};

/** What can be read can be written, in every version that has a place for it, and is then the same. */
function checkResult(text: string): void {
  const result = attempt(() => parseResult(text), CniError);
  if (result === undefined) return;
  assertEquals(parseResult(JSON.stringify(resultDocument(result, "1.1.0"))), {
    ...result,
  });
  for (const version of CNI_VERSIONS) {
    const older = attempt(() => resultDocument(result, version), CniError);
    if (older === undefined) continue;
    const again = parseResult(older);
    assertEquals(resultDocument(again, version), older);
  }
}

/** Taken, and then noted as what can be read again; or refused with problems that say what to write. */
function checkAttachment(input: unknown): void {
  let wanted: NormalisedNetworkAttachment;
  try {
    wanted = parseNetworkAttachment(input);
  } catch (error) {
    assert(isSandboxError(error, "InvalidSpec"), `${error}`);
    assert(error.context.problems.length > 0);
    for (const { message } of error.context.problems) {
      assert(message.length > 5, message);
    }
    return;
  }
  const { list, config, args, runtimeConfig } = wanted;
  const again = parseNetworkList(config);
  assertEquals([again.name, again.cniVersion], [list.name, list.cniVersion]);
  assertEquals(again.plugins, list.plugins);
  assertEquals(
    [...parseArguments(formatArguments(args)).pairs],
    args.map(([key, value]) => [key, value]),
  );
  assertEquals(JSON.parse(JSON.stringify(runtimeConfig)), runtimeConfig);
  assert(!/\\ud[89a-f]/.test(JSON.stringify(args)), "half a character");
  assertEquals(Reflect.get({}, "polluted"), undefined);
}

/** The targets. */
export const cniTargets: readonly Target[] = [
  target("CNI configuration lists", documents(FULL_LIST), (text) => {
    const list = attempt(() => parseNetworkList(text), CniError);
    if (list === undefined) return;
    for (const { type } of list.plugins) assert(isPluginType(type));
    assertEquals(parseNetworkList(JSON.stringify(list.raw)), list);
    assertEquals(Reflect.get({}, "polluted"), undefined);
  }, { runs: 800 }),
  target(
    "CNI plugin requests",
    documents({
      ...FULL_LIST.plugins[0],
      cniVersion: "1.1.0",
      name: "net",
      runtimeConfig: FULL_RUNTIME_CONFIG,
      prevResult: FULL_RESULT,
      args: { cni: { ips: ["10.1.2.3"] } },
      "cni.dev/valid-attachments": [{ containerID: "c", ifname: "eth0" }],
    }),
    (text) => {
      const request = attempt(() => parsePluginRequest(text), CniError);
      if (request === undefined) return;
      attempt(() => readRuntimeConfig(request.runtimeConfig), CniError);
      attempt(() => parseResult(request.prevResult ?? {}), CniError);
    },
    { runs: 800 },
  ),
  target("CNI results", documents(FULL_RESULT), checkResult, { runs: 1000 }),
  target(
    "CNI results of 0.2.0",
    documents({
      cniVersion: "0.2.0",
      ip4: { ip: "10.1.2.3/24", gateway: "10.1.2.1", routes: [] },
      ip6: { ip: "fd00::3/64", routes: [{ dst: "::/0", gw: "fd00::1" }] },
      dns: { nameservers: ["192.0.2.53"] },
    }),
    checkResult,
    { runs: 600 },
  ),
  target("CNI errors", fc.jsonValue(), (value) => {
    const error = CniError.fromDocument(value);
    if (error !== undefined) assert(error.code > 0);
  }),
  target("CNI runtimeConfig", documents(FULL_RUNTIME_CONFIG), (text) => {
    const raw = attempt(() => JSON.parse(text), SyntaxError);
    if (typeof raw !== "object" || raw === null || Array.isArray(raw)) return;
    const config = attempt(() => readRuntimeConfig(raw), CniError);
    for (const { hostPort, containerPort } of config?.portMappings ?? []) {
      assert(hostPort > 0 && hostPort < 65536);
      assert(containerPort > 0 && containerPort < 65536);
    }
  }, { runs: 800 }),
  target(
    "CNI_ARGS",
    fc.oneof(
      fc.stringMatching(/^[A-Z=;]{0,16}$/),
      fc.string({ unit: "binary" }),
    ),
    (text) => {
      const args = attempt(() => parseArguments(text), CniError);
      if (args === undefined || text.includes("\0")) return;
      const again = parseArguments(formatArguments([...args.pairs]));
      assertEquals(again, args);
    },
    { runs: 500 },
  ),
  target(
    "CNI attachments",
    damaged({
      conflist: FULL_LIST,
      name: "net1",
      args: { IgnoreUnknown: "1", K8S_POD_NAME: "web" },
      runtimeConfig: FULL_RUNTIME_CONFIG,
      pluginDirs: ["/opt/cni/bin"],
      cacheDir: "/var/lib/cni",
      timeoutMs: 60_000,
    }),
    checkAttachment,
    { runs: 800 },
  ),
  target("CNI caches", documents(FULL_CACHE), (text) => {
    const cached = attempt(() => parseCachedAttachment(text), CniError);
    if (cached === undefined) return;
    assert(isInterfaceName(cached.ifName));
    const again = parseCachedAttachment(formatCachedAttachment(cached));
    assertEquals(again, cached);
  }, { runs: 600 }),
];
