/** What a diagnosis tells of the node itself, and that it touches nothing. */
import { assert, assertEquals, assertStringIncludes } from "@std/assert";
import {
  diagnose,
  isSandboxError,
  NetworkNamespace,
  removeNode,
} from "../../mod.ts";
import {
  BareNode,
  POD_CIDRS,
  rejects,
  resultOf,
  spawnFixture,
} from "../node/bare.ts";
import { sandboxRecord } from "../../src/sandbox/records/records.ts";
import { acquireLock } from "../../src/state/lock.ts";
import { readRecord, writeRecord } from "../../src/state/store.ts";
import { command } from "../support/command.ts";
import { Page } from "../support/page.ts";
import { temporaryDirectory } from "../support/temporary_directory.ts";
import { nft, Patient } from "./patient.ts";

Deno.test("diagnose() tells of the node what is there", async () => {
  await using patient = await Patient.admit();
  const { node, network, format } = await patient.diagnose();
  assertEquals([format, network.uplinks], [1, ["eth0"]]);
  assertEquals(node, {
    name: "node-1",
    stateDir: patient.host.node.stateDir,
    netnsId: patient.host.namespace.id,
    podCidrs: ["10.244.1.0/24", "fd00:10:244:1::/64"],
    gateways: ["10.244.1.1", "fd00:10:244:1::1"],
    mtu: 1500,
    masquerade: true,
    here: true,
    sandboxes: 1,
    pins: 1,
    pinsShared: true,
    table: "present",
    rules: node?.rules ?? 0,
    // A host port, its loopback and its hairpin, for each family.
    elements: 6,
    links: 1,
    routes: 2,
    hostPorts: [{ protocol: "tcp", port: 8080, sandbox: "default/web" }],
    differences: [],
    garbage: [],
  });
  assert((node?.rules ?? 0) > 20);
});

Deno.test("diagnose() is plain data", async () => {
  await using patient = await Patient.admit();
  const diagnosis = await patient.diagnose();
  assertEquals(JSON.parse(JSON.stringify(diagnosis)), diagnosis);
  assertEquals(Object.keys(diagnosis).sort(), [
    "findings",
    "format",
    "healthy",
    "kernel",
    "limits",
    "network",
    "node",
    "platform",
    "privileges",
    "stateDirectory",
    "unseen",
  ]);
  for (const finding of diagnosis.findings) {
    assertEquals(Object.keys(finding).sort(), [
      "about",
      "code",
      "message",
      "remedy",
      "severity",
    ]);
  }
});

Deno.test("diagnose() changes nothing", async () => {
  await using bare = new BareNode();
  await using node = await bare.open();
  await node.createSandbox({ name: "web" });
  const before = bare.state();
  await diagnose({ ...bare.reference });
  assertEquals(bare.state(), before);
});

Deno.test("diagnose() tells that the node's mount is private, and leaves it so", async () => {
  await using bare = new BareNode();
  await using _node = await bare.open();
  const directory = `${bare.stateDir}/${bare.reference.name}`;
  command(bare.namespace, `mount --make-private ${directory}`);
  const before = bare.state();
  const { findings } = await diagnose({ ...bare.reference });
  assertEquals(bare.state(), before);
  const [found] = findings.filter(({ code }) => code === "difference");
  assertEquals(found?.about, `mount ${directory}`);
});

Deno.test("diagnose() tells of a record that cannot be true on the node", async () => {
  await using patient = await Patient.admit();
  const { host: { node } } = patient;
  const { netnsPath } = await node.openSandbox("web");
  const path = netnsPath.replace(/netns$/, "record.cbor");
  const record = readRecord(sandboxRecord, path);
  assert(record !== undefined);
  writeRecord(sandboxRecord, path, { ...record, addresses: ["192.0.2.9"] });
  try {
    const found = await patient.findings("difference");
    assertStringIncludes(
      found.map(({ message }) => message).join("\n"),
      "192.0.2.9 is none of the node's for pods",
    );
  } finally {
    writeRecord(sandboxRecord, path, record);
  }
});

Deno.test("diagnose() fears nothing from a table that is dormant", async () => {
  await using patient = await Patient.admit();
  patient.run(nft(`table inet fw {
    chain forward { type filter hook forward priority filter; policy drop; }
  }`));
  await patient.finding("traffic-dropped");
  patient.run("nft add table inet fw '{ flags dormant; }'");
  assertEquals(await patient.findings("traffic-dropped"), []);
});

Deno.test("diagnose() changes nothing where no node is set up, not even the state directory", async () => {
  await using bare = new BareNode();
  const stateDir = `${bare.stateDir}/never/made`;
  const before = bare.state();
  const { findings, node } = await diagnose({
    ...bare.reference,
    stateDir,
    podCidrs: POD_CIDRS,
  });
  assertEquals(bare.state(), before);
  assertEquals(node, undefined);
  assert(findings.some(({ code }) => code === "node-not-set-up"));
});

Deno.test("diagnose() judges pod CIDRs before a node has them", async () => {
  await using patient = await Patient.admit();
  patient.run("ip addr add 10.99.0.7/16 dev eth0");
  const { healthy, findings } = await diagnose({
    name: "other",
    netns: patient.host.namespace,
    stateDir: patient.host.node.stateDir,
    podCidrs: POD_CIDRS,
  });
  const codes = findings.map(({ code }) => code);
  assertEquals(healthy, false);
  assert(codes.includes("pod-cidr-overlap"));
  // Of the node that has the namespace.
  assert(codes.includes("other-nodes"));
});

Deno.test("diagnose() tells every difference that check() finds", async () => {
  await using patient = await Patient.admit();
  patient.run("nft flush map inet podnet hostports4; ip addr flush dev lo");
  const { findings, healthy } = await patient.diagnose();
  const found = findings.filter(({ code }) => code === "difference");
  const expected = await patient.host.node.check();
  assertEquals(healthy, false);
  assertEquals(found.length, expected.length);
  await patient.host.node.repair();
  assertEquals(await patient.findings("difference"), []);
});

Deno.test("diagnose() tells of garbage and leaves it", async () => {
  await using patient = await Patient.admit();
  const { host: { node } } = patient;
  const directory = `${node.stateDir}/${node.name}/sandboxes/00000000deadbeef`;
  Deno.mkdirSync(directory, { mode: 0o700 });
  const { message, remedy } = await patient.finding("garbage");
  assertStringIncludes(message, "00000000deadbeef");
  assertStringIncludes(remedy, "podnet gc");
  assert(Deno.statSync(directory).isDirectory);
  await node.collectGarbage();
});

Deno.test("diagnose() tells of a process that has the port of a pod", async () => {
  await using patient = await Patient.admit();
  using _socket = patient.host.namespace.run(() =>
    Deno.listen({ hostname: "192.168.50.1", port: 8080 }) as never
  ) as Disposable;
  const { about } = await patient.finding("host-port-has-listener");
  assertEquals(about, "host port 8080/tcp of default/web");
});

Deno.test("diagnose() bears a socket by which a runtime keeps a port for the pod's container, and no other's", async () => {
  const container = crypto.randomUUID();
  const labels = {
    "cni.network": "podnet",
    "cni.containerID": container,
    "cni.ifname": "eth0",
  };
  await using patient = await Patient.admit({ labels });
  for (const keptFor of [container, crypto.randomUUID()]) {
    // Like podman's conmon: the container's id is among its arguments.
    const [pid] = patient.run(`
      busybox nc -l -p 8080 -e ${keptFor} < /dev/null > /dev/null 2>&1 &
      while ! ss -Hltn sport = :8080 | grep -q .; do
        kill -0 $!
        sleep 0.01
      done
      echo $!`).trim().split("\n");
    try {
      const found = await patient.findings("host-port-has-listener");
      assertEquals(found.length, keptFor === container ? 0 : 1);
    } finally {
      // The next one needs the port.
      patient.run(`kill ${pid}
        while ss -Hltn sport = :8080 | grep -q .; do sleep 0.01; done`);
    }
  }
});

Deno.test("diagnose() tells of a host port that Docker has published too", async () => {
  await using patient = await Patient.admit();
  const publish = (port: number) =>
    patient.run(`
      iptables -t nat -N DOCKER
      iptables -t nat -A PREROUTING -m addrtype --dst-type LOCAL -j DOCKER
      iptables -t nat -A DOCKER -i docker0 -j RETURN
      iptables -t nat -A DOCKER ! -i docker0 -p tcp -m tcp --dport ${port} -j DNAT --to-destination 172.17.0.2:80`);
  publish(8081);
  assertEquals(await patient.findings("host-port-caught"), []);
  patient.run("nft delete table ip nat");
  publish(8080);
  const { about, message } = await patient.finding("host-port-caught");
  assertEquals(about, "chain ip nat PREROUTING");
  assertStringIncludes(message, "8080/tcp of default/web");
});

Deno.test("diagnose() tells of a node that belongs to another namespace", async () => {
  await using bare = new BareNode();
  await using _node = await bare.open();
  using elsewhere = NetworkNamespace.create();
  const { findings } = await diagnose({ ...bare.reference, netns: elsewhere });
  const [first] = findings;
  assertEquals(first?.code, "node-elsewhere");
  assertStringIncludes(first?.message ?? "", bare.namespace.id);
});

Deno.test("diagnose() tells of a record of the node that is damaged, and what helps does", async () => {
  await using bare = new BareNode();
  await using node = await bare.open();
  await node.createSandbox({ name: "web" });
  Deno.writeTextFileSync(`${bare.stateDir}/${node.name}/node.cbor`, "xx\n");
  await rejects("RecordInvalid", () => node.createSandbox({ name: "more" }));
  const { healthy, findings } = await diagnose({ ...bare.reference });
  assertEquals([healthy, findings[0]?.code], [false, "node-record-invalid"]);
  assertStringIncludes(findings[0]?.remedy ?? "", "podnet node down --force");
  await removeNode({ ...bare.reference, force: true });
  await using again = await bare.open();
  await again.createSandbox({ name: "web" });
});

Deno.test("diagnose() tells of a table that another node signed", async () => {
  await using bare = new BareNode();
  await using node = await bare.open();
  const { findings } = await diagnose({
    ...bare.reference,
    name: "nobody",
  });
  assert(!findings.some(({ code }) => code === "node-table-foreign"));
  Deno.copyFileSync(
    `${bare.stateDir}/${node.name}/node.cbor`,
    `${bare.stateDir}/record`,
  );
  const other = `${bare.stateDir}/twin`;
  Deno.mkdirSync(`${other}/${node.name}`, { recursive: true, mode: 0o700 });
  Deno.renameSync(
    `${bare.stateDir}/record`,
    `${other}/${node.name}/node.cbor`,
  );
  Deno.writeFileSync(`${other}/${node.name}/lock`, new Uint8Array());
  const diagnosis = await diagnose({ ...bare.reference, stateDir: other });
  assertEquals(
    diagnosis.findings.filter(({ severity }) => severity === "error")
      .map(({ code }) => code),
    ["node-table-foreign"],
  );
});

Deno.test("diagnose() does not wait for a lock that somebody keeps", async () => {
  await using patient = await Patient.admit();
  const { host: { node } } = patient;
  const [{ id = "" } = {}] = await node.listSandboxes();
  using _lock = await acquireLock(
    `${node.stateDir}/${node.name}/sandboxes/${id}`,
    "exclusive",
  );
  const diagnosis = await patient.diagnose();
  assertEquals(diagnosis.node?.differences, undefined);
  const [unseen] = diagnosis.unseen;
  assertStringIncludes(unseen?.reason ?? "", "lock");
});

Deno.test("diagnose() refuses options that lead nowhere", async () => {
  for (
    const [options, code] of [
      [{ stateDir: "relative" }, "InvalidSpec"],
      [{ netns: "/proc/version" }, "InvalidNamespace"],
    ] as const
  ) {
    try {
      await diagnose(options);
      assert(false, "nothing was thrown");
    } catch (error) {
      assert(isSandboxError(error, code), `${error}`);
    }
  }
});

const fixture = new URL("fixtures/diagnose.ts", import.meta.url);

/** What a diagnosis by another user comes to. */
interface Seen {
  readonly codes: readonly string[];
  readonly unseen: readonly string[];
  readonly outcomes: readonly string[];
}

Deno.test("diagnose() works without any capability, and says what it could not see", async () => {
  await using patient = await Patient.admit();
  const { node, namespace } = patient.host;
  // Root without capabilities is like any user, but for its own files.
  const directory = `${node.stateDir}/${node.name}`;
  Deno.chownSync(directory, 65534, 65534);
  const seen = await resultOf(
    spawnFixture(fixture, [node.stateDir, node.name], {
      through: [
        "nsenter",
        `--net=/proc/${Deno.pid}/fd/${namespace.fd}`,
        "setpriv",
        "--bounding-set=-all",
        "--inh-caps=-all",
      ],
    }),
  ) as Seen;
  Deno.chownSync(directory, 0, 0);
  assert(seen.codes.includes("not-permitted"), `${seen.codes}`);
  assert(seen.unseen.includes("nf_tables"), `${seen.unseen}`);
  assert(seen.unseen.some((about) => about.includes(node.name)));
  assert(!seen.codes.includes("other-nodes"), `${seen.codes}`);
  assertEquals(new Set(seen.outcomes), new Set(["refused", "untried"]));
});

Deno.test("diagnose() tries the kernel in a user namespace", async () => {
  const seen = await resultOf(
    spawnFixture(fixture, ["/run/podnet", "nobody"], {
      through: ["unshare", "-Urnm"],
    }),
  ) as Seen;
  assertEquals(seen.codes.filter((code) => code.startsWith("not-")), []);
  assert(seen.codes.includes("user-namespace"));
  assert(seen.outcomes.includes("works"));
  assert(!seen.outcomes.includes("refused"));
});

for (const flags of ["-Ur", "-Urn", "-Urm"]) {
  Deno.test(`diagnose() tells that pods cannot be made after unshare ${flags}`, async () => {
    const seen = await resultOf(
      spawnFixture(fixture, ["/run/podnet", "nobody"], {
        through: ["unshare", flags],
      }),
    ) as Seen;
    assert(seen.codes.includes("not-permitted"), `${seen.codes}`);
    assert(!seen.codes.includes("system-calls-filtered"), `${seen.codes}`);
    assertEquals(seen.outcomes.includes("works"), flags === "-Urn");
  });
}

for (
  const [flags, mode] of [
    ["-Urnm", 0o755],
    ["-Urnm", 0o700],
    ["-nm", 0o755],
  ] as const
) {
  Deno.test(`diagnose() tells after unshare ${flags} whether the state directory can be made in one of mode ${mode.toString(8)}`, async () => {
    using directory = temporaryDirectory();
    const { path } = directory;
    // Nobody of that number is in the user namespace, so that its root may not write there either.
    Deno.chownSync(path, 65534, 65534);
    Deno.chmodSync(path, mode);
    const seen = await resultOf(
      spawnFixture(fixture, [`${path}/in/there`, "nobody"], {
        through: ["unshare", flags],
      }),
    ) as Seen;
    assertEquals(
      seen.codes.filter((code) => code.startsWith("state-directory")),
      flags === "-Urnm" ? ["state-directory-unusable"] : [],
    );
  });
}

Deno.test("diagnose() tells of sysctls that are read-only, until the page's cure", async () => {
  const cure = Page.read("troubleshooting.md").scriptAfter(
    "\n`sysctls-read-only`:",
  );
  const make = `sysctl -qw net.ipv4.ip_forward=0
    mount --bind /proc/sys /proc/sys
    mount -o remount,bind,ro /proc/sys`;
  for (const lines of [make, make + "\n" + cure]) {
    const seen = await resultOf(
      spawnFixture(fixture, ["/run/podnet", "nobody"], {
        through: ["unshare", "-nm", "sh", "-ec", `${lines}\nexec "$0" "$@"`],
      }),
    ) as Seen;
    assertEquals(seen.codes.includes("sysctls-read-only"), lines === make);
  }
});

Deno.test("diagnose() tells of a limit that leaves no namespace to try in", async () => {
  const limit = "echo 0 >/proc/sys/user/max_net_namespaces";
  const seen = await resultOf(
    spawnFixture(fixture, ["/run/podnet", "nobody"], {
      through: ["unshare", "-Urnm", "sh", "-c", `${limit}; exec "$0" "$@"`],
    }),
  ) as Seen;
  assert(seen.codes.includes("namespaces-limit"), `${seen.codes}`);
  assert(seen.codes.includes("kernel-feature-missing"));
  assertEquals(new Set(seen.outcomes), new Set(["absent", "untried"]));
});

Deno.test("diagnose() tells capabilities that are refused all the same", async () => {
  // With CAP_SYS_ADMIN and without CAP_NET_ADMIN, a namespace can be made, and nothing be done in it.
  const seen = await resultOf(
    spawnFixture(fixture, ["/run/podnet", "nobody"], {
      through: ["unshare", "-n", "setpriv", "--bounding-set=-net_admin"],
    }),
  ) as Seen;
  assert(seen.codes.includes("not-permitted"));
  assert(seen.outcomes.includes("refused"));
});
