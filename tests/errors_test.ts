import { assert, assertEquals, assertStringIncludes } from "@std/assert";
import {
  isSandboxError,
  SandboxError,
  type SandboxErrorCode,
  type SandboxErrorContexts,
} from "../src/errors.ts";

/** One context of each code. A new code does not compile until it is here. */
const EXAMPLES: { readonly [C in SandboxErrorCode]: SandboxErrorContexts[C] } =
  {
    InvalidSpec: {
      problems: [
        { path: "name", message: "is missing" },
        { path: "", message: "write an object", received: 4 },
      ],
    },
    SandboxNotFound: { name: "web-0", namespace: "shop" },
    SandboxConflict: {
      id: "1f2e",
      name: "web-0",
      differences: ["MTU", "labels"],
    },
    SandboxInUse: { id: "1f2e", containers: ["app", "sidecar"] },
    AddressInUse: { address: "10.244.1.7", owner: "default/web-1 (ab)" },
    AddressPoolExhausted: { cidr: "10.244.1.0/30", size: 1 },
    HostPortInUse: {
      protocol: "udp",
      hostIP: "::1",
      hostPort: 53,
      owner: "default/dns (cd)",
    },
    ContainerPortInUse: {
      port: 80,
      protocol: "tcp",
      containers: ["app", "proxy"],
    },
    ContainerConflict: { name: "app" },
    HostAddressUnknown: { hostIP: "192.0.2.1" },
    DeviceLost: { device: "eth1", interface: "net1" },
    InvalidNamespace: { path: "/run/netns/x", reason: "it is a directory" },
    NodeConflict: { name: "node-a", reason: "its pod CIDR is another" },
    NodeNotFound: { name: "node-a", stateDir: "/run/podnet" },
    NetworkNotFound: {
      name: "storage",
      confDir: "/etc/cni/net.d",
      known: ["lan", "wan"],
      problems: ["/etc/cni/net.d/1.conf: is no JSON"],
    },
    NotPermitted: {
      operation: "make a namespace",
      capability: "CAP_SYS_ADMIN",
    },
    UnsupportedKernel: { feature: "nf_tables" },
    StateUnusable: { path: "/run/podnet", reason: "it is a symbolic link" },
    RecordInvalid: {
      path: "/run/podnet/n/node.cbor",
      reason: "it is truncated",
    },
    Timeout: {
      operation: "waiting for the lock",
      timeoutMs: 5000,
      holder: "process 7 (deno), which is stopped",
    },
    LimitReached: {
      operation: "make a namespace",
      limit: "user.max_net_namespaces",
      remedy: "raise it",
    },
    AsyncInNamespace: { operation: "run()" },
    NodeClosed: { name: "node-a" },
    LeaseEnded: { name: "node-a", cluster: "c", reason: "etcd is silent" },
    NotInCluster: { name: "node-a", stateDir: "/run/podnet" },
    ClusterConflict: { cluster: "c", differences: ["backend"] },
    NodeNameInUse: {
      name: "node-a",
      cluster: "c",
      addresses: ["192.0.2.1"],
    },
    PodCidrsExhausted: { cluster: "c", cidr: "10.244.0.0/30" },
    PodCidrInUse: { cluster: "c", podCidr: "10.244.1.0/24", owner: "b" },
    MembershipInUse: { name: "node-a", holder: "process 7 (deno)" },
    StoreUnreachable: { store: "etcd", reason: "refused" },
    StoreRefused: { store: "etcd", reason: "no permission" },
  };

const codes = Object.keys(EXAMPLES) as SandboxErrorCode[];

/** Every string and number in a context, but the raw input of a problem. */
function* leaves(value: unknown, key = ""): Iterable<string> {
  if (key === "received") return;
  if (typeof value === "object" && value !== null) {
    for (const [k, member] of Object.entries(value)) yield* leaves(member, k);
  } else yield String(value);
}

for (const code of codes) {
  Deno.test(`SandboxError makes a message of all of ${code}'s context`, () => {
    const error = new SandboxError(code, EXAMPLES[code]);
    for (const leaf of leaves(EXAMPLES[code])) {
      assertStringIncludes(error.message, leaf);
    }
    assertEquals(error.message.split("\n").length, 1);
  });
}

Deno.test("SandboxError keeps its message on one line when a value holds control characters", () => {
  const { message } = new SandboxError("SandboxNotFound", {
    name: "a\nb\u001b[31m\u2028",
  });
  assertStringIncludes(message, "a\\u000ab\\u001b[31m\\u2028");
});

Deno.test("SandboxError puts an IPv6 address in brackets before a port", () => {
  const { message } = new SandboxError("HostPortInUse", EXAMPLES.HostPortInUse);
  assertStringIncludes(message, "[::1]:53 is taken by default/dns (cd)");
});

Deno.test("SandboxError carries cause and undo failures when it is given them", () => {
  const cause = new RangeError("low");
  const undoFailure = new TypeError("undo");
  const error = new SandboxError("ContainerConflict", { name: "app" }, {
    cause,
    undoFailures: [undoFailure],
  });
  assertEquals([error.cause, error.undoFailures], [cause, [undoFailure]]);
  const plain = new SandboxError("ContainerConflict", { name: "app" });
  assertEquals([plain.undoFailures, Object.hasOwn(plain, "cause")], [
    [],
    false,
  ]);
});

Deno.test("isSandboxError() narrows the context when a code is given", () => {
  const error: unknown = new SandboxError(
    "AddressInUse",
    EXAMPLES.AddressInUse,
  );
  assert(isSandboxError(error, "AddressInUse"));
  assertEquals(error.context.address satisfies string, "10.244.1.7");
  assert(!isSandboxError(error, "HostPortInUse"));
});

Deno.test("isSandboxError() narrows to a union that switch tells apart when no code is given", () => {
  const errors: unknown[] = [
    new SandboxError("Timeout", EXAMPLES.Timeout),
    new SandboxError("ContainerConflict", EXAMPLES.ContainerConflict),
    new RangeError("10"),
    null,
  ];
  const seen = errors.map((error) => {
    if (!isSandboxError(error)) return undefined;
    switch (error.code) {
      case "Timeout":
        return error.context.timeoutMs satisfies number;
      case "ContainerConflict":
        return error.context.name satisfies string;
      default:
        return "another";
    }
  });
  assertEquals(seen, [5000, "app", undefined, undefined]);
});
