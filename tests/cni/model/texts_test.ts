/** Names, versions, errors, CNI_ARGS, runtimeConfig and the cache's files. */
import { assert, assertEquals, assertThrows } from "@std/assert";
import {
  cacheFileName,
  CniError,
  CniErrorCode,
  deletesWithResult,
  formatArguments,
  formatCachedAttachment,
  hasCommand,
  isContainerId,
  isInterfaceName,
  isNetworkName,
  isPluginType,
  parseArguments,
  parseCachedAttachment,
  parseResult,
  readRuntimeConfig,
  requireKnown,
  versionDocument,
} from "../../../src/cni/model/mod.ts";

Deno.test("R10: names that would lead elsewhere are none", () => {
  for (const good of ["a", "Web-0.1_x", "0", "x".repeat(255)]) {
    assert(isContainerId(good) && isNetworkName(good), good);
  }
  for (
    const bad of ["", "-a", ".a", "../a", "a/b", "a b", "a\n", "x".repeat(256)]
  ) {
    assert(!isContainerId(bad) && !isNetworkName(bad), JSON.stringify(bad));
  }
  for (const good of ["eth0", "a".repeat(15), "..a", "x@y", "ü"]) {
    assert(isInterfaceName(good), good);
  }
  for (
    const bad of [
      "",
      ".",
      "..",
      "a/b",
      "a:1",
      "a b",
      "a\u00a0b",
      "a\0",
      "ü".repeat(8),
      "a".repeat(16),
    ]
  ) {
    assert(!isInterfaceName(bad), JSON.stringify(bad));
  }
  for (const bad of ["", ".", "..", "a/b", "a\0b", "/bin/sh"]) {
    assert(!isPluginType(bad), JSON.stringify(bad));
  }
});

Deno.test("CHECK came with 0.4.0, GC and STATUS with 1.1.0", () => {
  assert(!hasCommand("0.3.1", "CHECK") && hasCommand("0.4.0", "CHECK"));
  assert(!hasCommand("1.0.0", "GC") && hasCommand("1.1.0", "GC"));
  assert(!hasCommand("1.0.0", "STATUS") && hasCommand("1.1.0", "STATUS"));
  assert(hasCommand("0.1.0", "ADD") && hasCommand("0.1.0", "DEL"));
  assert(!deletesWithResult("0.3.1") && deletesWithResult("0.4.0"));
  assertEquals(versionDocument(), {
    cniVersion: "1.1.0",
    supportedVersions: [
      "0.1.0",
      "0.2.0",
      "0.3.0",
      "0.3.1",
      "0.4.0",
      "1.0.0",
      "1.1.0",
    ],
  });
});

Deno.test("an error becomes a document and back", () => {
  const error = new CniError(CniErrorCode.TRY_AGAIN_LATER, "busy", {
    details: "a lock",
  });
  const document = error.toDocument("1.0.0");
  assertEquals(document, {
    cniVersion: "1.0.0",
    code: 11,
    msg: "busy",
    details: "a lock",
  });
  const again = CniError.fromDocument(document);
  assertEquals([again?.code, again?.message, again?.details], [
    11,
    "busy",
    "a lock",
  ]);
  assertEquals(
    new CniError(4, "x").toDocument("0.1.0"),
    { cniVersion: "0.1.0", code: 4, msg: "x" },
  );
  for (const none of [null, 7, {}, { code: 0 }, { code: "7" }, [1]]) {
    assertEquals(CniError.fromDocument(none), undefined);
  }
});

Deno.test("P19: CNI_ARGS are pairs, and IgnoreUnknown says what to do with the others", () => {
  const args = parseArguments(
    "IgnoreUnknown=1;K8S_POD_NAMESPACE=default;K8S_POD_NAME=web;IP=10.1.2.3;",
  );
  assertEquals(args.ignoreUnknown, true);
  assertEquals(args.pairs.get("K8S_POD_NAME"), "web");
  requireKnown(args, []);
  const strict = parseArguments("MAC=02:00:00:00:00:01;X=");
  assertEquals(strict.pairs.get("X"), "");
  requireKnown(strict, ["MAC", "X"]);
  const error = assertThrows(() => requireKnown(strict, ["MAC"]), CniError);
  assertEquals(error.code, CniErrorCode.INVALID_ENVIRONMENT);
  assertEquals(parseArguments("").pairs.size, 0);
  for (const bad of ["x", "=1", "a=b=c", "IgnoreUnknown=yes"]) {
    assertThrows(() => parseArguments(bad), CniError, "CNI_ARGS must have");
  }
});

Deno.test("CNI_ARGS cannot be made to say more than their pairs", () => {
  assertEquals(formatArguments([["A", "1"], ["B", ""]]), "A=1;B=");
  for (const pair of [["A", "1;B=2"], ["A=B", "1"], ["", "1"], ["A", "\0"]]) {
    assertThrows(() => formatArguments([pair as [string, string]]), CniError);
  }
});

Deno.test("P18: runtimeConfig may have its keys in any letter case", () => {
  assertEquals(
    readRuntimeConfig({
      portMappings: [
        { HostPort: 8080, ContainerPort: 80, Protocol: "TCP", HostIP: "" },
        { hostPort: 53, containerPort: 53, protocol: "udp", hostIP: "::1" },
        { hostPort: 0, containerPort: 80 },
        { hostPort: -1, containerPort: 0 },
      ],
      bandwidth: { IngressRate: 1000, EgressBurst: 4294967295 },
      dns: { Servers: ["192.0.2.53"], Searches: ["x"], Options: null },
      ipRanges: [[{ Subnet: "10.1.0.0/16", RangeStart: "" }]],
      MAC: "",
      aliases: { net: ["web"] },
      "io.kubernetes.cri.pod-annotations": { a: "b" },
      unknown: { x: 1 },
    }),
    {
      portMappings: [
        { hostPort: 8080, containerPort: 80, protocol: "tcp" },
        { hostPort: 53, containerPort: 53, protocol: "udp", hostIP: "::1" },
      ],
      bandwidth: {
        ingressRate: 1000,
        ingressBurst: 0,
        egressRate: 0,
        egressBurst: 4294967295,
      },
      dns: { servers: ["192.0.2.53"], searches: ["x"], options: [] },
      ipRanges: [[{ subnet: "10.1.0.0/16" }]],
      aliases: { net: ["web"] },
      podAnnotations: { a: "b" },
    },
  );
  for (
    const bad of [
      { portMappings: {} },
      { portMappings: [{ hostPort: 70000, containerPort: 80 }] },
      { portMappings: [{ hostPort: 80 }] },
      { portMappings: [{ hostPort: "80", containerPort: 80 }] },
      { bandwidth: { ingressRate: -1 } },
      { ips: "10.1.2.3" },
      { ipRanges: [[{}]] },
    ]
  ) {
    const error = assertThrows(() => readRuntimeConfig(bad), CniError);
    assertEquals(error.code, CniErrorCode.INVALID_NETWORK_CONFIG);
  }
});

Deno.test("a cached attachment has the form that others read", () => {
  const cached = {
    containerId: "c",
    ifName: "eth0",
    networkName: "net",
    config: '{"name":"net","ü":1}',
    netns: "/run/netns/blue",
    cniArgs: [["IgnoreUnknown", "1"]] as const,
    capabilityArgs: { mac: "02:00:00:00:00:01" },
    result: { cniVersion: "1.0.0", ips: [{ address: "10.1.2.3/24" }] },
  };
  const text = formatCachedAttachment(cached);
  assertEquals(JSON.parse(text), {
    kind: "cniCacheV1",
    containerId: "c",
    config: btoa('{"name":"net","\xc3\xbc":1}'),
    ifName: "eth0",
    networkName: "net",
    netns: "/run/netns/blue",
    cniArgs: [["IgnoreUnknown", "1"]],
    capabilityArgs: { mac: "02:00:00:00:00:01" },
    result: cached.result,
  });
  const again = parseCachedAttachment(text);
  assertEquals(again, { ...cached, cniArgs: [["IgnoreUnknown", "1"]] });
  assertEquals(parseResult(again.result ?? {}).ips.length, 1);
  assertEquals(cacheFileName(cached), "net-c-eth0");
});

Deno.test("a cached attachment with a forged name is none", () => {
  const forge = (change: Record<string, unknown>) =>
    JSON.stringify({
      kind: "cniCacheV1",
      containerId: "c",
      ifName: "eth0",
      networkName: "net",
      config: "e30=",
      ...change,
    });
  parseCachedAttachment(forge({}));
  for (
    const change of [
      { kind: "cniCacheV2" },
      { containerId: "../c" },
      { networkName: "/etc" },
      { ifName: ".." },
      { config: "%" },
      { config: "/w==" },
      { cniArgs: [["a"]] },
      { result: 7 },
    ]
  ) {
    const error = assertThrows(
      () => parseCachedAttachment(forge(change)),
      CniError,
    );
    assertEquals(error.code, CniErrorCode.DECODING_FAILURE);
  }
});
