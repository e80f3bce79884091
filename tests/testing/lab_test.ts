/**
 * Labs: what they are made of, and that nothing stays of them.
 *
 * @module
 */
import {
  assert,
  assertEquals,
  assertMatch,
  assertRejects,
  assertThrows,
} from "@std/assert";
import {
  createLab,
  type LabHost,
  type LabOptions,
} from "../../src/testing/mod.ts";
import { leavesNothing } from "../namespace/helpers.ts";
import { spawnFixture } from "../node/bare.ts";
import { ask, FAMILIES, serve, TRANSPORTS } from "../support/ask.ts";
import { familyOf } from "../support/sockets.ts";

const LAB = new URL("./fixtures/lab.ts", import.meta.url);

function labDirectories(): string[] {
  return [...Deno.readDirSync("/tmp")].map(({ name }) => name)
    .filter((name) => name.startsWith("podnet-lab-")).sort();
}

function mounts(): string {
  return Deno.readTextFileSync("/proc/thread-self/mountinfo");
}

Deno.test("createLab() is one node and an outside host of both families unless told otherwise", async () => {
  await using lab = await createLab();
  assertEquals(lab.nodes.length, 1);
  assertEquals(lab.node, lab.nodes[0].node);
  assertEquals(lab.node.name, "node-1");
  assertEquals(lab.outside.name, "outside");
  assertEquals(lab.nodes[0].addresses, ["192.168.50.1", "fd50::1"]);
  assertEquals(lab.outside.addresses, ["192.168.50.254", "fd50::fe"]);
  assertEquals(lab.node.podCidrs, ["10.244.1.0/24", "fd00:10:244:1::/64"]);
  assertEquals(await lab.node.check(), []);
});

Deno.test("createLab() connects all machines by all of their addresses from the first packet on", async () => {
  await using lab = await createLab({ nodes: 3 });
  const machines: readonly LabHost[] = [...lab.nodes, lab.outside];
  for (const server of machines) {
    for (const client of machines) {
      if (client === server) continue;
      for (const [i, address] of server.addresses.entries()) {
        for (const transport of TRANSPORTS) {
          const to = { address, port: 7000 };
          using waiting = serve(server.name, server.namespace, {
            transport,
            ...to,
          });
          const answer = ask(transport, client.namespace, to, [waiting]);
          assert(typeof answer === "object", `${client.name} to ${address}`);
          assertEquals(answer.client, client.addresses[i]);
        }
      }
    }
  }
});

for (
  const [families, cidrs] of [
    [[4], ["10.244.1.0/24"]],
    [[6], ["fd00:10:244:1::/64"]],
    [[6, 4], ["fd00:10:244:1::/64", "10.244.1.0/24"]],
  ] as const
) {
  Deno.test(`createLab() has families [${families}] in this order`, async () => {
    await using lab = await createLab({ families });
    assertEquals(lab.node.podCidrs, cidrs);
    assertEquals(lab.outside.addresses.map(familyOf), [...families]);
    await using pod = await lab.node.createSandbox({ name: "pod" });
    assertEquals(pod.addresses.map(familyOf), [...families]);
  });
}

Deno.test("createLab() has segments with a router between them, which nodes take turns on; nodes of other IP versions than their pods", async () => {
  await using lab = await createLab({ nodes: 3, segments: 2, underlay: [6] });
  assertEquals(lab.nodes.map(({ addresses }) => addresses), [
    ["fd50::1"],
    ["fd51::2"],
    ["fd50::3"],
  ]);
  assertEquals(lab.nodes[1].node.podCidrs.length, 2);
  for (const server of [...lab.nodes, lab.outside]) {
    for (const client of [...lab.nodes, lab.outside]) {
      if (client === server) continue;
      const [address = ""] = server.addresses;
      using waiting = serve(server.name, server.namespace, {
        transport: "tcp",
        address,
        port: 7000,
      });
      const to = { address, port: 7000 };
      const answer = ask("tcp", client.namespace, to, [waiting]);
      assert(typeof answer === "object", `${client.name} to ${address}`);
    }
  }
  assertThrows(() => lab.nodes[0].paths, TypeError, "without paths");
});

Deno.test("createLab() leaves masquerading out when told so", async () => {
  await using lab = await createLab({ masquerade: false, families: [4] });
  assertEquals(lab.node.masquerade, false);
  await using masquerading = await createLab();
  assertEquals(masquerading.node.masquerade, true);
});

for (
  const [options, message] of [
    [{ nodes: 0 }, /^a lab has 1 to 200 nodes, not 0$/],
    [{ nodes: 201 }, /not 201$/],
    [{ nodes: -1 }, /not -1$/],
    [{ nodes: 1.5 }, /not 1\.5$/],
    [{ nodes: NaN }, /not NaN$/],
    [{ nodes: "2" }, /^a lab has 1 to 200 nodes, not 2$/],
    [{ families: [] }, /^write families \[4\], \[6\], .* not \[\]$/],
    [{ families: [4, 4] }, /not \[4, 4\]$/],
    [{ families: [5] }, /not \[5\]$/],
    [{ families: ["4"] }, /^write families/],
    [{ underlay: [] }, /^write families/],
    [{ segments: 0 }, /^a lab has 1 to 8 segments, not 0$/],
    [{ segments: 9 }, /not 9$/],
  ] as unknown as readonly (readonly [LabOptions, RegExp])[]
) {
  Deno.test(`createLab(${JSON.stringify(options)}) is a RangeError and makes nothing`, async () => {
    const before = labDirectories();
    const error = await assertRejects(() => createLab(options), RangeError);
    assertMatch(error.message, message);
    assertEquals(labDirectories(), before);
  });
}

Deno.test("a lab leaves nothing, with sandboxes and ports in it, and an exception on the way", async () => {
  const before = [labDirectories(), mounts()];
  await leavesNothing(async () => {
    await assertRejects(
      async () => {
        await using lab = await createLab({ nodes: 2 });
        for (const { node } of lab.nodes) {
          await node.createSandbox({
            name: "pod",
            ports: [{ hostPort: 80, containerPort: 80 }],
            containers: [{ name: "app" }],
          });
        }
        assert(labDirectories().length > 0);
        throw new RangeError("a test failed");
      },
      RangeError,
      "a test failed",
    );
  });
  assertEquals([labDirectories(), mounts()], before);
});

Deno.test("two labs at once are worlds of their own", async () => {
  await using one = await createLab();
  const two = await createLab();
  const spec = { name: "web", ports: [{ hostPort: 8080, containerPort: 80 }] };
  const pod = await one.node.createSandbox(spec);
  const same = await two.node.createSandbox(spec);
  assertEquals(pod.addresses, same.addresses);
  assert(pod.netnsPath !== same.netnsPath);
  await two[Symbol.asyncDispose]();
  assertEquals(await one.node.check(), []);
  for (const family of FAMILIES) {
    const [address = ""] = one.nodes[0].addresses
      .filter((text) => familyOf(text) === family);
    const outcome = ask(
      "tcp",
      one.outside.namespace,
      { address, port: 8080 },
      [],
    );
    // The way leads to the pod, where nobody listens.
    assertEquals(outcome, "refused");
  }
});

Deno.test("createLab() without privileges is NotPermitted, by the capability's name, and leaves nothing", async () => {
  const before = [labDirectories(), mounts()];
  const child = spawnFixture(LAB, [], {
    through: ["setpriv", "--bounding-set=-sys_admin", "--inh-caps=-sys_admin"],
    permissions: ["-A"],
  });
  const { code, stderr } = await child.output();
  assertEquals(code, 1);
  assertMatch(
    new TextDecoder().decode(stderr),
    /SandboxError: .*CAP_SYS_ADMIN/,
  );
  assertEquals([labDirectories(), mounts()], before);
});

/** Where a lab of another process has its files; it is killed at the end of the block. */
async function otherLab(): Promise<
  AsyncDisposable & {
    readonly name: string;
    readonly kill: () => Promise<void>;
  }
> {
  const child = spawnFixture(LAB, ["die"], { permissions: ["-A"] });
  const output = child.stdout.getReader();
  const { value } = await output.read();
  const [, name = ""] = /^\/tmp\/([^/\n]+)/.exec(
    new TextDecoder().decode(value),
  ) ?? [];
  const kill = async () => {
    child.kill("SIGKILL");
    await child.status;
  };
  return {
    name,
    kill,
    async [Symbol.asyncDispose]() {
      await child.status;
      await output.cancel();
      await child.stderr.cancel();
    },
  };
}

Deno.test("createLab() sweeps what a lab that was killed with SIGKILL left, and nothing of one that lives", async () => {
  const before = labDirectories();
  await using dying = await otherLab();
  await using living = await otherLab();
  await dying.kill();
  assertEquals(
    labDirectories(),
    [...before, dying.name, living.name].sort(),
  );
  assert(mounts().includes(`/tmp/${dying.name}/`));
  {
    await using _lab = await createLab();
    assert(!labDirectories().includes(dying.name));
    assert(!mounts().includes(`/tmp/${dying.name}/`));
    assert(labDirectories().includes(living.name));
    assert(mounts().includes(`/tmp/${living.name}/`));
  }
  await living.kill();
  await using _last = await createLab();
  assert(!labDirectories().includes(living.name));
});
