import { assert, assertEquals } from "@std/assert";
import {
  SandboxError,
  type SandboxErrorCode,
  type SandboxErrorContexts,
  SyscallError,
  UnsupportedPlatformError,
} from "../../mod.ts";
import { causeChain, describe } from "../../src/cli/errors.ts";
import { OutputClosed } from "../../src/cli/output.ts";
import { sandboxOptions } from "../../src/cli/sandbox_options.ts";
import { UsageError } from "../../src/cli/usage.ts";

const contexts: {
  readonly [C in SandboxErrorCode]: readonly [
    exitCode: number,
    context: SandboxErrorContexts[C],
  ];
} = {
  InvalidSpec: [2, { problems: [{ path: "", message: "x" }] }],
  HostAddressUnknown: [2, { hostIP: "192.0.2.1" }],
  InvalidNamespace: [2, { path: "/x", reason: "y" }],
  SandboxNotFound: [3, { name: "web" }],
  NodeNotFound: [3, { name: "n", stateDir: "/x" }],
  NetworkNotFound: [3, { name: "n", confDir: "/x", known: [], problems: [] }],
  SandboxConflict: [4, { id: "1", name: "web", differences: ["MTU"] }],
  SandboxInUse: [4, { id: "1", containers: ["app"] }],
  DeviceLost: [4, { device: "eth1", interface: "net1" }],
  AddressInUse: [4, { address: "192.0.2.1" }],
  AddressPoolExhausted: [4, { cidr: "192.0.2.0/24", size: 254 }],
  HostPortInUse: [4, {
    protocol: "tcp",
    hostIP: "0.0.0.0",
    hostPort: 80,
    owner: "x",
  }],
  ContainerPortInUse: [4, {
    port: 80,
    protocol: "tcp",
    containers: ["a", "b"],
  }],
  ContainerConflict: [4, { name: "app" }],
  NodeConflict: [4, { name: "n", reason: "x" }],
  NotPermitted: [5, { operation: "x", capability: "CAP_NET_ADMIN" }],
  UnsupportedKernel: [6, { feature: "nf_tables" }],
  StateUnusable: [1, { path: "/x", reason: "y" }],
  RecordInvalid: [1, { path: "/x", reason: "y" }],
  Timeout: [1, { operation: "x", timeoutMs: 1 }],
  LimitReached: [1, { operation: "x", limit: "y", remedy: "z" }],
  AsyncInNamespace: [1, { operation: "x" }],
  NodeClosed: [1, { name: "node-a" }],
  LeaseEnded: [1, { name: "node-a", cluster: "c", reason: "etcd is silent" }],
  NotInCluster: [3, { name: "node-a", stateDir: "/run/podnet" }],
  ClusterConflict: [4, { cluster: "c", differences: ["backend"] }],
  NodeNameInUse: [4, { name: "node-a", cluster: "c", addresses: [] }],
  PodCidrsExhausted: [4, { cluster: "c", cidr: "10.244.0.0/30" }],
  PodCidrInUse: [4, { cluster: "c", podCidr: "10.244.1.0/24", owner: "b" }],
  MembershipInUse: [4, { name: "node-a" }],
  StoreUnreachable: [1, { store: "etcd", reason: "refused" }],
  StoreRefused: [1, { store: "etcd", reason: "no permission" }],
};

for (const [code, [exitCode, context]] of Object.entries(contexts)) {
  Deno.test(`describe() tells ${code} in one line with exit code ${exitCode}`, async () => {
    const error = new SandboxError(
      code as SandboxErrorCode,
      context as SandboxErrorContexts[SandboxErrorCode],
    );
    const failure = await describe(error);
    assertEquals(failure.exitCode, exitCode);
    assertEquals(failure.lines.length, 1);
    assert(!failure.lines[0]?.includes("\n"));
  });
}

Deno.test("describe() tells each problem of a spec by the option that caused it", async () => {
  const paths = [
    "ports[1].hostPort",
    'sysctls["kernel.shmmax"]',
    "sysctls.foo",
    "labels.app",
    "mtu",
    "dns.nameservers[0]",
    "dns.hostname",
    "podCidrs[0]",
    "portsmouth",
    "name",
    "",
  ];
  const error = new SandboxError("InvalidSpec", {
    problems: paths.map((path) => ({ path, message: "no" })),
  });
  const { lines, exitCode } = await describe(error, {
    table: sandboxOptions,
    values: {
      publish: ["80:80", "0:80"],
      sysctl: ["net.x=1", "kernel.shmmax=2"],
      label: ["app=web"],
      mtu: "1",
      dns: ["x"],
      hostname: "a b",
    },
  });
  assertEquals(exitCode, 2);
  assertEquals(lines, [
    "--publish 0:80: no",
    "--sysctl kernel.shmmax=2: no",
    "--sysctl: no",
    "--label app=web: no",
    "--mtu 1: no",
    "--dns x: no",
    "--hostname a b: no",
    "--pod-cidr: no",
    "portsmouth: no",
    "name: no",
    "no",
  ]);
});

for (
  const [error, exitCode] of [
    [new UsageError("write x"), 2],
    [new UnsupportedPlatformError("windows"), 6],
    [new SyscallError("open", 13, "/x"), 5],
    [new SyscallError("open", 2, "/x"), 1],
    [new Deno.errors.NotCapable("Requires ffi access"), 5],
    [new TypeError("two\nlines \x1b[31m"), 1],
    ["no error at all", 1],
  ] as const
) {
  Deno.test(`describe() tells ${error} in one line with exit code ${exitCode}`, async () => {
    const failure = await describe(error);
    assertEquals(failure.exitCode, exitCode);
    assertEquals(failure.lines.length, 1);
    // deno-lint-ignore no-control-regex
    assert(!/[\x00-\x1f]/.test(failure.lines[0] ?? ""));
  });
}

Deno.test("describe() says what to do when the kernel does not permit it", async () => {
  const { lines } = await describe(new SyscallError("unshare", 1));
  assert(lines[0]?.includes("run as root"));
});

Deno.test("describe() says nothing when nobody reads any more", async () => {
  assertEquals(await describe(new OutputClosed()), {
    lines: [],
    exitCode: 141,
  });
});

Deno.test("causeChain() goes down to the first cause", () => {
  const chain = causeChain(
    new Error("top", { cause: new TypeError("low", { cause: "text" }) }),
  );
  assertEquals(chain.length, 3);
  assert(chain[0]?.startsWith("Error: top"));
  assert(chain[1]?.startsWith("caused by TypeError: low"));
  assertEquals(chain[2], "caused by text");
});
