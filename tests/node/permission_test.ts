/**
 * What a process must be allowed, and what it is told when it is not.
 *
 * @module
 */
import { assertEquals, assertMatch } from "@std/assert";
import { writeSysctl } from "../../src/namespace/sysctl.ts";
import {
  BareNode,
  type FixtureOptions,
  resultOf,
  spawnFixture,
} from "./bare.ts";

const WHOLE_LIFE = new URL("./fixtures/whole_life.ts", import.meta.url);

async function wholeLife(
  bare: BareNode,
  options: FixtureOptions = {},
  stateDir = bare.stateDir,
): Promise<unknown> {
  return await resultOf(
    spawnFixture(WHOLE_LIFE, [bare.path, stateDir], options),
  );
}

Deno.test("a sandbox's whole life needs --allow-ffi and no other permission, and leaves nothing", async () => {
  await using bare = new BareNode();
  const before = bare.state();
  assertEquals(await wholeLife(bare), {
    findings: [],
    garbage: [],
    listed: ["web"],
  });
  assertEquals(bare.state(), before);
});

for (
  const [capability, operation] of [
    ["CAP_NET_ADMIN", /./],
    ["CAP_SYS_ADMIN", /./],
  ] as const
) {
  Deno.test(`without ${capability} a node is NotPermitted, by name, and nothing is left`, async () => {
    await using bare = new BareNode();
    const before = bare.state();
    const name = capability.toLowerCase().replace("cap_", "");
    const refused = await wholeLife(bare, {
      through: ["setpriv", `--bounding-set=-${name}`, `--inh-caps=-${name}`],
    }) as { code: string; context: Record<string, string>; message: string };
    assertEquals(refused.code, "NotPermitted");
    assertEquals(refused.context["capability"], capability);
    assertMatch(refused.context["operation"] ?? "", operation);
    assertMatch(refused.message, new RegExp(capability));
    assertEquals(bare.state(), before);
  });
}

Deno.test("without CAP_NET_ADMIN a node that exists can be opened, but no sandbox made; nothing is left", async () => {
  await using bare = new BareNode();
  await using _node = await bare.open();
  const before = bare.state();
  const refused = await wholeLife(bare, {
    through: ["setpriv", "--bounding-set=-net_admin", "--inh-caps=-net_admin"],
  }) as { code: string; context: Record<string, string> };
  assertEquals(refused.code, "NotPermitted");
  assertEquals(refused.context["capability"], "CAP_NET_ADMIN");
  assertEquals(bare.state(), before);
});

Deno.test("where /proc/sys is read-only, what needs a parameter is NotPermitted, which says why", async () => {
  await using bare = new BareNode();
  const before = bare.state();
  const readOnly =
    "mount --bind /proc/sys /proc/sys; mount -o remount,bind,ro /proc/sys";
  const refused = async (parameter: string) => {
    const script = `${readOnly}; exec "$@"`;
    const { code, message } = await wholeLife(bare, {
      through: ["unshare", "--mount", "sh", "-ec", script, "sh"],
    }) as { code: string; message: string };
    assertEquals(code, "NotPermitted");
    assertEquals(
      message,
      `not permitted to write /proc/sys/net/${parameter}: /proc/sys is read-only here, so remount it read-write; what is the node's can be set from outside (docker run --sysctl)`,
    );
  };
  await refused("ipv4/ip_forward");
  assertEquals(bare.state(), before);
  for (const name of ["ipv4/ip_forward", "ipv6/conf/all/forwarding"]) {
    writeSysctl(bare.namespace, `net/${name}`, 1);
  }
  // Only a pod's own is left to set.
  await using _node = await bare.open();
  await refused("ipv4/ip_unprivileged_port_start");
});
