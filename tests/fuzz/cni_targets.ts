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
import { isSandboxError, SandboxError } from "../../src/errors.ts";
import {
  type NormalisedNetworkAttachment,
  parseNetworkAttachment,
} from "../../src/spec/network_attachment.ts";
import { documents } from "./documents.ts";
import type { Invocation } from "../../src/cni/plugin/invocation.ts";
import { readWish } from "../../src/cni/plugin/wish.ts";
import { Cidr } from "../../src/net/cidr.ts";
import { parseNodeOptions } from "../../src/spec/node_options.ts";
import { parseSandboxSpec } from "../../src/spec/parse.ts";
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
const FULL_PLUGIN = {
  ...FULL_LIST.plugins[0],
  type: "podnet",
  cniVersion: "1.1.0",
  name: "net",
  node: "a",
  stateDir: "/run/x",
  podCidrs: ["10.1.0.0/16", "fd00:1::/64"],
  ipMasq: true,
  masquerade: true,
  nonMasqueradeCidrs: ["10.0.0.0/8"],
  maxConnectionsPerPod: 1,
  mtu: 1400,
  isDefaultGateway: true,
  routes: [{ dst: "10.9.0.0/16", gw: "10.1.0.1" }, { dst: "0.0.0.0/0" }],
  ingressRate: 1_000_000,
  ingressBurst: 1,
  sysctl: { "net/ipv4/conf/IFNAME/arp_filter": "1" },
  ipam: {
    type: "host-local",
    subnet: "10.1.0.0/16",
    ranges: [[{ subnet: "fd00:1::/64", gateway: "fd00:1::1" }]],
    routes: [{ dst: "fd00:9::/64" }],
  },
  dns: { nameservers: ["192.0.2.53"], domain: "x", search: [], options: [] },
  runtimeConfig: FULL_RUNTIME_CONFIG,
  args: {
    cni: { ips: ["10.1.0.9"], mac: "", labels: [{ key: "a", value: "b" }] },
  },
};
const FULL_WIRED_PLUGIN = {
  ...FULL_PLUGIN,
  bridge: "br0",
  isGateway: true,
  hairpinMode: true,
  portIsolation: true,
  macspoofchk: true,
  mode: "bridge",
  vlan: 0,
  ipam: {
    type: "host-local",
    ranges: [[{
      subnet: "10.1.0.0/16",
      rangeStart: "10.1.0.5",
      rangeEnd: "10.1.0.9",
      gateway: "10.1.0.1",
    }]],
    addresses: [{ address: "fd00:1::9/64", gateway: "fd00:1::1" }],
    routes: [{ dst: "0.0.0.0/0" }],
  },
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

/** What is not understood is told as such; what is understood has all that the library asks for. */
function checkWish(text: string, args: string): void {
  const request = attempt(() => parsePluginRequest(text), CniError);
  if (request === undefined) return;
  const invocation: Invocation = {
    command: "ADD",
    containerID: "c",
    netns: "/run/netns/c",
    ifname: "eth0",
    args,
    mayBeOwnNamespace: false,
  };
  try {
    const { spec, node } = readWish(invocation, request, {
      hasDefaultRoute: false,
    });
    assertEquals(spec.netns, invocation.netns);
    for (const { hostPort } of spec.ports ?? []) assert(Number(hostPort) > 0);
    attempt(() => parseNodeOptions(node, () => "name"), SandboxError);
    const podCidrs = ["10.1.0.0/16", "fd00:1::/64"].map(Cidr.parse);
    attempt(() => parseSandboxSpec(spec, { podCidrs }), SandboxError);
  } catch (error) {
    const isTold = error instanceof CniError ||
      isSandboxError(error, "InvalidSpec");
    if (!isTold) throw error;
  }
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
  target(
    "CNI wishes",
    fc.tuple(
      documents(FULL_PLUGIN),
      documents(FULL_WIRED_PLUGIN),
      fc.dictionary(
        fc.constantFrom("IP", "MAC", "K8S_POD_NAME", "K8S_POD_UID", "OTHER"),
        fc.oneof(fc.constantFrom("10.1.0.9", "web"), fc.string()),
      ),
    ),
    ([own, wired, pairs]) => {
      const args = Object.entries(pairs).map(([key, value]) =>
        `${key}=${value}`
      );
      for (const text of [own, wired]) checkWish(text, args.join(";"));
    },
    { runs: 600 },
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
