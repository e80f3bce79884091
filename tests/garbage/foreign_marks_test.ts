/**
 * What others write into the kernel where podnet keeps its marks is no path, and nothing that is known without asking.
 *
 * @module
 */
import { assert, assertEquals, assertRejects } from "@std/assert";
import { isSandboxError, SandboxError } from "../../mod.ts";
import { directoryOf, Scene } from "./scene.ts";

const MARKS = ["../victim", "..", "", "a/../../victim", "x y"];

for (const mark of MARKS) {
  Deno.test(`collectGarbage() takes an element with the comment ${JSON.stringify(mark)} and no file of anybody`, async () => {
    await using scene = await Scene.create();
    const victim = `${scene.directory}/victim`;
    Deno.mkdirSync(victim);
    try {
      Deno.writeTextFileSync(`${victim}/file`, "precious");
      const sandbox = await scene.node.createSandbox({ name: "web" });
      scene.run(
        `nft 'add element inet podnet loopback4 { tcp . 9999 comment "${mark}" }'`,
      );
      const found = await scene.node.collectGarbage();
      assertEquals(found.map(({ kind, id }) => [kind, id]), [[
        "element",
        mark,
      ]]);
      assertEquals(Deno.readTextFileSync(`${victim}/file`), "precious");
      await scene.node.repair();
      assertEquals(await scene.node.check(), []);
      await sandbox.remove();
    } finally {
      Deno.removeSync(victim, { recursive: true });
    }
  });
}

Deno.test("collectGarbage() leaves a link alone whose alias leads out of the state directory", async () => {
  await using scene = await Scene.create();
  scene.run(
    "ip link add pn-000000000001 type bridge; ip link set pn-000000000001 alias podnet:bare/../victim",
  );
  assertEquals(await scene.node.collectGarbage(), []);
  assertEquals(await scene.node.check(), []);
  scene.run("ip link del pn-000000000001");
});

Deno.test("a port that somebody has claimed for one address since is not claimed for all, whatever was removed in between", async () => {
  await using scene = await Scene.create();
  const ports = [{ hostPort: 9200, containerPort: 80 }];
  // From here on the table is known without asking.
  const first = await scene.node.createSandbox({
    name: "first",
    ports: [{ hostPort: 8999, containerPort: 80 }],
  });
  const host = await scene.node.createSandbox({
    name: "host",
    hostNetwork: true,
  });
  await host.remove();
  const [gateway = ""] = scene.node.gateways;
  const [address = ""] = first.addresses;
  scene.run(
    `nft 'add element inet podnet hostports4_ip { ${gateway} . tcp . 9200 comment "${first.id}" : ${address} . 80 }'`,
  );
  const error = await assertRejects(
    () => scene.node.createSandbox({ name: "second", ports }),
    SandboxError,
  );
  assert(isSandboxError(error, "HostPortInUse"));
  assertEquals(error.context.owner, `sandbox default/first (${first.id})`);
  scene.run(
    `nft 'delete element inet podnet hostports4_ip { ${gateway} . tcp . 9200 }'`,
  );
  const second = await scene.node.createSandbox({ name: "second", ports });
  await first.remove();
  await second.remove();
});

Deno.test("createSandbox() gives a sandbox its own address and port back when its directory was lost", async () => {
  await using scene = await Scene.create();
  const [cidr = ""] = scene.node.podCidrs;
  const spec = {
    name: "lost",
    addresses: [cidr.replace(/0\/\d+$/, "77")],
    ports: [{ hostPort: 9100, containerPort: 80 }],
  };
  const sandbox = await scene.node.createSandbox(spec);
  scene.run(`umount -l ${sandbox.netnsPath}`);
  Deno.removeSync(directoryOf(sandbox), { recursive: true });
  const again = await scene.node.createSandbox(spec);
  assertEquals(again.addresses[0], sandbox.addresses[0]);
  assertEquals(await scene.node.check(), []);
  await again.remove();
});
