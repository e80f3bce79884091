/**
 * When connections cannot be looked for, what asked for it is undone as after any other failure.
 *
 * @module
 */
import { assert, assertEquals, assertRejects } from "@std/assert";
import { contextOf } from "../../src/sandbox/node.ts";
import type { PortMapping } from "../../mod.ts";
import { command } from "../support/command.ts";
import { settled } from "../support/patience.ts";
import { BareNode } from "./bare.ts";

const UDP: PortMapping = { protocol: "udp", hostPort: 53, containerPort: 53 };
const OTHER: PortMapping = { ...UDP, hostPort: 54 };

Deno.test("a pod is not made, and ports are neither opened nor closed, when flows cannot be looked for", async () => {
  await using bare = new BareNode();
  command(
    bare.namespace,
    "conntrack -I -t 300 -p udp -s fd00::1 -d fd00::9 --sport 1000 --dport 53",
  );
  await using node = await bare.open();
  const { walks } = contextOf(node).sockets;
  const { forget } = walks;
  let fails = true;
  let asked = 0;
  walks.forget = (filters) => {
    if (!fails || filters.length === 0) return forget.call(walks, filters);
    asked++;
    return Promise.reject(new Error("no memory"));
  };
  const failing = async (act: () => Promise<unknown>) => {
    const before = bare.state();
    fails = true;
    await assertRejects(act, Error, "no memory");
    fails = false;
    assertEquals(await settled(() => bare.state(), before), before);
  };
  await failing(() => node.createSandbox({ name: "web", ports: [UDP] }));
  assertEquals(await node.listSandboxes(), []);
  await using web = await node.createSandbox({ name: "web", ports: [UDP] });
  await failing(() => web.addPorts([OTHER]));
  assertEquals(web.ports.length, 1);
  await failing(() => web.removePorts([UDP]));
  assertEquals(web.ports.length, 1);
  assertEquals(asked, 3);
  assertEquals(await node.check(), []);
  // Cut short, a removal is done by the next one.
  fails = true;
  await assertRejects(() => web.remove(), Error, "no memory");
  fails = false;
  assert(await node.removeSandbox("web"));
  assertEquals(await node.collectGarbage(), []);
});
