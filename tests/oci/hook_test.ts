/** podnet's hook in the hands of crun and runc: containers get their network by it, and nothing is left of them. */
import { assert, assertEquals, assertStringIncludes } from "@std/assert";
import type { LabHost } from "../../src/testing/mod.ts";
import { assertAsBefore, snapshot } from "../support/node_state.ts";
import { exists, run, type Runtime, testRuntimes, withHook } from "./hooked.ts";
import { eventually } from "../support/patience.ts";

withHook();

const PORT = { "io.podnet.publish": "8080:80" };

/** What a server answers that sends back what it gets. */
async function echo(
  from: LabHost,
  hostname: string,
  port: number,
): Promise<string> {
  using connection = await from.connect({ hostname, port });
  await connection.write(new TextEncoder().encode("hello"));
  const buffer = new Uint8Array(16);
  const length = await connection.read(buffer);
  return new TextDecoder().decode(buffer.subarray(0, length ?? 0));
}

testRuntimes(
  "the hook gives a container its network, and takes it away",
  async (runtime) => {
    const { node, lab } = runtime;
    const before = await snapshot(node);
    const web = await runtime.run({
      args: ["socat", "TCP6-LISTEN:80,fork,reuseaddr", "PIPE"],
      annotations: { ...PORT, "other.annotation": "is nothing to podnet" },
    });
    const [sandbox] = await node.node.listSandboxes();
    assert(sandbox !== undefined);
    assertEquals([sandbox.name, sandbox.namespace], ["web", "default"]);
    assertEquals(sandbox.labels, {
      "oci.container": "web",
      "oci.bundle": web.bundle,
    });
    await eventually(() => echo(lab.outside, node.addresses[0] ?? "", 8080));
    for (const host of [lab.outside, node]) {
      for (const hostname of node.addresses) {
        assertEquals(await echo(host, hostname, 8080), "hello");
      }
    }
    for (const hostname of sandbox.addresses ?? []) {
      assertEquals(await echo(node, hostname, 80), "hello");
    }
    const client = await runtime.run({ id: "client" });
    for (const address of sandbox.addresses ?? []) {
      const target = address.includes(":")
        ? `TCP6:[${address}]:80`
        : `TCP4:${address}:80`;
      const said = await client.exec(
        "sh",
        "-c",
        `echo hello | socat - ${target}`,
      );
      assertEquals(said, "hello");
    }
    const seen = await web.exec("ip", "-o", "address", "show", "dev", "eth0");
    for (const address of sandbox.addresses ?? []) {
      assertStringIncludes(seen, ` ${address}/`);
    }
    const inside = await web.exec("readlink", "/proc/self/ns/net");
    assert(inside !== node.namespace.id);
    for (const container of [web, client]) {
      await container.kill();
      await container.ok("delete");
    }
    await assertAsBefore(node, before);
  },
);

testRuntimes("annotations say what the network is to be", async (runtime) => {
  const { node } = runtime;
  const web = await runtime.run({
    id: "c0ffee",
    annotations: {
      "io.podnet.name": "web-0",
      "io.podnet.namespace": "shop",
      "io.podnet.publish": "8080:80, 127.0.0.1:5353:53/udp",
      "io.podnet.ip": "10.244.1.77 fd00:10:244:1::77",
      "io.podnet.mac": "02:00:5e:10:00:01",
      "io.podnet.mtu": "1400",
      "io.podnet.uid": "u-1",
      "io.podnet.label.app": "shop, with spaces",
      "io.podnet.sysctl.net.ipv4.ip_local_port_range": "20000 20099",
      "io.podnet.ingress-bandwidth": "10M:1M",
      "io.podnet.egress-bandwidth": "20M",
      "io.podnet.interface-name": "net0",
      "io.podnet.route": "192.0.2.0/24",
    },
  });
  const sandbox = await node.node.openSandbox("web-0", { namespace: "shop" });
  assertEquals(sandbox.addresses, ["10.244.1.77", "fd00:10:244:1::77"]);
  assertEquals(sandbox.labels["app"], "shop, with spaces");
  assertEquals([sandbox.uid, sandbox.ports.length], ["u-1", 2]);
  assertEquals(sandbox.bandwidth, {
    ingress: 10_000_000,
    ingressBurst: 1_000_000,
    egress: 20_000_000,
  });
  const seen = await web.exec("ip", "-o", "link", "show", "dev", "net0");
  assertStringIncludes(seen, "mtu 1400");
  assertStringIncludes(seen, "02:00:5e:10:00:01");
  const file = "/proc/sys/net/ipv4/ip_local_port_range";
  assertEquals(await web.exec("cat", file), "20000\t20099");
  assertStringIncludes(await web.exec("ip", "route"), "192.0.2.0/24 via");
});

testRuntimes(
  "a container may have a sysctl that no annotation can ask for",
  async (runtime) => {
    const name = "net.core.somaxconn";
    const web = await runtime.run({ sysctl: { [name]: "77" } });
    const file = `/proc/sys/${name.replaceAll(".", "/")}`;
    assertEquals(await web.exec("cat", file), "77");
  },
);

testRuntimes(
  "a namespace that a container joins by a path has the network as long as the container is there",
  async (runtime) => {
    const { node } = runtime;
    const owner = node.spawn("unshare", {
      args: ["--net", "sh", "-c", "echo; cat"],
      stdin: "piped",
      stdout: "piped",
    });
    const reader = owner.stdout.getReader();
    await reader.read();
    const path = `/proc/${owner.pid}/ns/net`;
    const look = async () => {
      const command = ["ip", "-o", "address", "show", "scope", "global"];
      return (await run(node, ["nsenter", `--net=${path}`, ...command])).stdout;
    };
    try {
      const before = await snapshot(node);
      const web = await runtime.run({
        namespaces: ["pid", "ipc", "uts"],
        more: [{ type: "network", path }],
      });
      const [sandbox] = await node.node.listSandboxes();
      const addresses = sandbox?.addresses ?? [];
      assertEquals(addresses.length, 2);
      const seen = await look();
      for (const address of addresses) {
        assertStringIncludes(seen, ` ${address}/`);
      }
      await web.ok("delete --force");
      assertEquals(await look(), "");
      await assertAsBefore(node, before);
    } finally {
      await owner.stdin.close();
      await reader.cancel();
      await owner.status;
    }
  },
);

testRuntimes("names go into files that the bundle mounts", async (runtime) => {
  const { node } = runtime;
  const before = await snapshot(node);
  const annotations = {
    "io.podnet.hostname": "web-0.example",
    "io.podnet.dns": "10.96.0.10, fd00:96::a",
    "io.podnet.dns-search": "default.svc.cluster.local",
    "io.podnet.dns-option": "ndots:5",
  };
  const lacking = await runtime.bundle({ annotations, files: ["hosts"] });
  assert((await lacking.attempt("create")).code !== 0);
  const state = { ociVersion: "1.0.2", id: "web", status: "created", pid: 1 };
  const { code, stderr } = await lacking.callHook({
    ...state,
    bundle: lacking.bundle,
    annotations,
  });
  assertEquals(code, 2);
  assertStringIncludes(stderr, "mount it at /etc/resolv.conf in config.json");
  // A link is not what is mounted.
  const elsewhere = `${runtime.directory}/elsewhere`;
  await Deno.writeTextFile(elsewhere, "kept");
  await Deno.symlink(elsewhere, `${lacking.bundle}/resolv.conf`);
  assert((await lacking.attempt("create")).code !== 0);
  assertEquals(await Deno.readTextFile(elsewhere), "kept");
  await assertAsBefore(node, before);

  const files = ["resolv.conf", "hosts"];
  const web = await runtime.run({ annotations, files });
  assertEquals(
    await web.exec("cat", "/etc/resolv.conf"),
    "nameserver 10.96.0.10\nnameserver fd00:96::a\nsearch default.svc.cluster.local\noptions ndots:5",
  );
  const [sandbox] = await node.node.listSandboxes();
  const hosts = await web.exec("cat", "/etc/hosts");
  for (const address of sandbox?.addresses ?? []) {
    assert(
      new RegExp(`^${address}\\s+web-0\\.example`, "m").test(hosts),
      hosts,
    );
  }
  // Again, with less in it.
  await web.ok("delete --force");
  await web.ok("create");
  await web.ok("start");
  assertEquals(await web.exec("cat", "/etc/hosts"), hosts);
  await web.ok("delete --force");
  await assertAsBefore(node, before);
});

testRuntimes(
  "a hook that fails makes the runtime fail, and nothing is left",
  async (runtime) => {
    const { node } = runtime;
    const owner = await node.node.createSandbox({
      name: "owner",
      ports: [{ hostPort: 8080, containerPort: 80 }],
    });
    const joined = { type: "network", path: owner.netnsPath };
    const before = await snapshot(node);
    const failures: readonly [
      code: number,
      said: string,
      options: Parameters<Runtime["bundle"]>[0],
    ][] = [
      [4, "sandbox default/owner", { annotations: PORT }],
      [2, "did you mean", { annotations: { "io.podnet.publsh": "1:1" } }],
      [2, "io.podnet.ip", { annotations: { "io.podnet.ip": "10.99.0.1" } }],
      [2, "io.podnet.mtu", { annotations: { "io.podnet.mtu": "big" } }],
      [2, "into linux.sysctl of config.json", {
        annotations: { "io.podnet.sysctl.net.core.somaxconn": "77" },
      }],
      [2, "linux.namespaces", { namespaces: ["pid", "ipc", "uts"] }],
      [2, "it has an interface eth0 already", {
        namespaces: ["pid", "ipc", "uts"],
        more: [joined],
      }],
      [4, "it differs in pod CIDRs", {
        hookArgs: ["--pod-cidr", "10.9.0.0/16"],
      }],
    ];
    for (const [code, said, options = {}] of failures) {
      const log = `${runtime.directory}/hook.log`;
      // The one way to make crun show what a hook says.
      const annotations = {
        ...options.annotations,
        "run.oci.hooks.stderr": log,
      };
      const container = await runtime.bundle({ ...options, annotations });
      const created = await container.attempt("create");
      assert(created.code !== 0, said);
      const text = runtime.name === "crun"
        ? `${created.stderr}${await Deno.readTextFile(log)}`
        : created.stderr;
      assertStringIncludes(text, said);
      assert(
        new RegExp(`exit (?:code: |status )${code}\\b`).test(text),
        `${code}: ${text}`,
      );
      assert((await container.attempt("state")).code !== 0);
      await assertAsBefore(node, before);
      if (runtime.name === "crun") await Deno.remove(log);
    }
    await owner.remove();
  },
);

testRuntimes(
  "a container that is killed keeps its network until the runtime deletes it",
  async (runtime) => {
    const { node, lab } = runtime;
    const before = await snapshot(node);
    const web = await runtime.run({ annotations: PORT });
    Deno.kill(await web.pid(), "SIGKILL");
    await web.untilStopped();
    // Host port and address are still its own.
    const [sandbox] = await node.node.listSandboxes();
    assertEquals(sandbox?.labels?.["oci.container"], "web");
    await lab.outside.connect({ hostname: node.addresses[0] ?? "", port: 8080 })
      .then((connection) => {
        connection.close();
        throw new Error("somebody answers");
      }, (error) => assert(error instanceof Deno.errors.ConnectionRefused));
    await web.ok("delete");
    await assertAsBefore(node, before);

    const forced = await runtime.run({ id: "forced", annotations: PORT });
    await forced.ok("delete --force");
    await assertAsBefore(node, before);
  },
);

testRuntimes(
  "poststop hooks may run as often as they like, and on a node that never was",
  async (runtime) => {
    const { node } = runtime;
    const before = await snapshot(node);
    const web = await runtime.run({ annotations: PORT });
    const other = await runtime.run({ id: "other" });
    await web.kill();
    const stopped = {
      ociVersion: "1.0.2",
      id: web.id,
      status: "stopped",
      bundle: web.bundle,
    };
    for (const state of [stopped, { ...stopped, pid: 0 }, stopped]) {
      assertEquals(await web.callHook(state), {
        code: 0,
        stdout: "",
        stderr: "",
      });
    }
    const left = await node.node.listSandboxes();
    assertEquals(left.map(({ name }) => name), ["other"]);
    await web.ok("delete");
    await other.ok("delete --force");
    await assertAsBefore(node, before);
    const nowhere = await runtime.bundle({
      id: "nowhere",
      hookArgs: ["--state-dir", `${runtime.directory}/none`],
    });
    assertEquals((await nowhere.callHook(stopped)).code, 0);
    assertEquals(await exists(`${runtime.directory}/none`), false);
  },
);

testRuntimes(
  "what a runtime forgot goes when the container comes again",
  async (runtime) => {
    const { node } = runtime;
    const before = await snapshot(node);
    const web = await runtime.run({ annotations: PORT });
    const [old] = await node.node.listSandboxes();
    await web.forget();
    await web.ok("create");
    await web.ok("start");
    const [sandbox, ...others] = await node.node.listSandboxes();
    assertEquals([sandbox?.addresses, others], [old?.addresses, []]);
    const seen = await web.exec("ip", "-o", "address");
    for (const address of sandbox?.addresses ?? []) {
      assertStringIncludes(seen, ` ${address}/`);
    }
    await web.ok("delete --force");
    await assertAsBefore(node, before);
  },
);

testRuntimes(
  "containers of one id in the care of different directories have networks of their own",
  async (runtime) => {
    const { node } = runtime;
    const before = await snapshot(node);
    const web = await runtime.run({ annotations: PORT });
    const twin = await runtime.run({ root: "elsewhere" });
    const look = ["ip", "-o", "-4", "address", "show", "dev", "eth0"];
    const [seen, seenByTwin] = [
      await web.exec(...look),
      await twin.exec(...look),
    ];
    assert(seen !== seenByTwin);
    assertEquals((await node.node.listSandboxes()).length, 2);
    await twin.ok("delete --force");
    assertEquals(await web.exec(...look), seen);
    // Not even one that cannot begin, and whose hooks of the end runc runs all the same, takes the other's away.
    const late = await runtime.bundle({ root: "third", annotations: PORT });
    assert((await late.attempt("create")).code !== 0);
    const [left, ...others] = await node.node.listSandboxes();
    assertEquals([left?.labels?.["oci.bundle"], others], [web.bundle, []]);
    await web.ok("delete --force");
    await assertAsBefore(node, before);
  },
);

testRuntimes("containers begin and end side by side", async (runtime) => {
  const { node } = runtime;
  const before = await snapshot(node);
  const ids = Array.from({ length: 6 }, (_, i) => `web-${i}`);
  const containers = await Promise.all(
    ids.map((id, i) =>
      runtime.run({
        id,
        annotations: { "io.podnet.publish": `${8080 + i}:80` },
      })
    ),
  );
  const sandboxes = await node.node.listSandboxes();
  assertEquals(sandboxes.map(({ name }) => name).sort(), ids);
  const addresses = sandboxes.flatMap(({ addresses }) => addresses ?? []);
  assertEquals(new Set(addresses).size, 2 * ids.length);
  await Promise.all(
    containers.map((container) => container.ok("delete --force")),
  );
  await assertAsBefore(node, before);
});

testRuntimes(
  "the hook gives up before its runtime kills it",
  async (runtime) => {
    const { node } = runtime;
    const before = await snapshot(node);
    const { stateDir, name } = node.node;
    // Somebody works on the node, and does not come to an end.
    const holder = new Deno.Command("flock", {
      args: [
        "--exclusive",
        `${stateDir}/${name}/lock`,
        "sh",
        "-c",
        "echo; cat",
      ],
      stdin: "piped",
      stdout: "piped",
    }).spawn();
    const reader = holder.stdout.getReader();
    await reader.read();
    try {
      const web = await runtime.bundle({ hookArgs: ["--timeout", "1"] });
      const { code, stderr } = await web.callHook({
        ociVersion: "1.0.2",
        id: "web",
        status: "stopped",
        bundle: web.bundle,
      });
      assertEquals(code, 1);
      assertStringIncludes(stderr, "not done after 1 s");
      assert((await web.attempt("create")).code !== 0);
    } finally {
      await holder.stdin.close();
      await reader.cancel();
      await holder.status;
    }
    await assertAsBefore(node, before);
  },
);
