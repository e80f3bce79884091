/**
 * For each operation: what must be there before, and what must hold when it has come to its end, if need be by
 * repeating it.
 *
 * @module
 */
import { assertEquals } from "@std/assert";
import { sandboxRecord } from "../../src/sandbox/records/records.ts";
import { readRecord, writeRecord } from "../../src/state/store.ts";
import type { Sandbox } from "../../mod.ts";
import { command } from "../support/command.ts";
import {
  CONTAINER,
  create,
  INTERFACES,
  LIMITS,
  MORE_PORTS,
  PORTS,
  type SANDBOX_OPERATIONS,
} from "./operations.ts";
import type { World } from "./world.ts";

/** An operation on sandboxes. */
export type Operation = keyof typeof SANDBOX_OPERATIONS;

/** One of them in its setting. */
export interface Case {
  readonly operation: Operation;
  /** Makes what it acts on. */
  readonly prepare: (world: World) => Promise<unknown>;
  /** What holds once it is done. */
  readonly assertDone: (world: World) => Promise<void>;
  /**
   * Whether all is as before when it fails. What takes away or mends is not taken back: it is finished when it is
   * repeated.
   */
  readonly allOrNothing: boolean;
}

const nothing = () => Promise.resolve();
const victim = ({ node, scene }: World) => create(node, scene);
/** A sandbox that was changed before: its lock and record are open. */
async function changed(world: World): Promise<void> {
  const sandbox = await victim(world);
  await sandbox.addContainer(CONTAINER);
  await sandbox.removeContainer(CONTAINER.name);
}
const OPEN_PORTS = { tcp: [8080, 80], udp: [8053, 53] } as const;
const ADDED_PORTS = { tcp: [9080, 80], udp: [9053, 53] } as const;

async function assertOpen(world: World): Promise<void> {
  await world.assertReachable(world.scene.sandbox, OPEN_PORTS);
}

async function assertGone({ node }: World): Promise<void> {
  assertEquals(await node.listSandboxes(), []);
}

/** A sandbox with a flow of UDP through a host port, which its removal has to end. */
async function inUse(world: World): Promise<void> {
  await victim(world);
  await assertOpen(world);
}

/** One of everything that can be missing. */
async function damaged(world: World): Promise<void> {
  const { addresses, hostInterface, netnsPath } = await victim(world);
  const [ipv4, ipv6] = addresses;
  command(
    world.host.namespace,
    `ip -4 route del ${ipv4}
     ip -6 neigh del ${ipv6} dev ${hostInterface}
     nft flush map inet podnet hostports4
     nft flush chain inet podnet postrouting
     nsenter --net=${netnsPath} ip -4 route del default
     nsenter --net=${netnsPath} sysctl -qw net.ipv4.tcp_fin_timeout=12`,
  );
}

/** A sandbox whose namespace is gone, one whose record says that it is not ready, and one whose notes are lost. */
async function littered(world: World): Promise<void> {
  await victim(world);
  const [dead, half, lost] = [
    await litter(world, "dead", 7001),
    await litter(world, "half", 7002),
    await litter(world, "lost", 7003),
  ];
  const record = `${directoryOf(half)}/record.cbor`;
  const known = readRecord(sandboxRecord, record);
  if (known === undefined) throw new Error("no record");
  writeRecord(sandboxRecord, record, { ...known, state: "creating" });
  command(
    world.host.namespace,
    `umount -l ${dead.netnsPath}
     umount -l ${lost.netnsPath}
     rm -r ${directoryOf(lost)}`,
  );
}

function litter({ node }: World, name: string, hostPort: number) {
  return node.createSandbox({ name, ports: [{ hostPort, containerPort: 80 }] });
}

function directoryOf({ netnsPath }: Sandbox): string {
  return netnsPath.slice(0, netnsPath.lastIndexOf("/"));
}

/** All operations on sandboxes. */
export const CASES: readonly Case[] = [
  {
    operation: "create",
    prepare: nothing,
    assertDone: assertOpen,
    allOrNothing: true,
  },
  {
    operation: "claim",
    // A pool whose end failed before leaves a directory, which the next pool takes away.
    prepare: async (world) => {
      await world.node.collectGarbage();
    },
    assertDone: assertOpen,
    allOrNothing: true,
  },
  {
    operation: "adopt",
    prepare: nothing,
    assertDone: assertOpen,
    allOrNothing: true,
  },
  {
    operation: "remove",
    prepare: inUse,
    assertDone: assertGone,
    allOrNothing: false,
  },
  {
    operation: "removeAsOneOfMany",
    prepare: inUse,
    assertDone: assertGone,
    allOrNothing: false,
  },
  {
    operation: "forceRemove",
    prepare: async (world) => {
      await using sandbox = await victim(world);
      await sandbox.addContainer(CONTAINER);
    },
    assertDone: assertGone,
    allOrNothing: false,
  },
  {
    operation: "addPorts",
    prepare: changed,
    assertDone: async (world) => {
      await assertOpen(world);
      await world.assertReachable(world.scene.sandbox, ADDED_PORTS);
    },
    allOrNothing: true,
  },
  {
    operation: "removePorts",
    prepare: async (world) => {
      await using sandbox = await victim(world);
      await sandbox.addPorts(MORE_PORTS);
      await assertOpen(world);
    },
    assertDone: async (world) => {
      await using sandbox = await world.node.openSandbox(world.scene.sandbox);
      assertEquals(sandbox.ports.length, MORE_PORTS.length);
      await world.assertReachable(world.scene.sandbox, ADDED_PORTS);
    },
    allOrNothing: true,
  },
  {
    operation: "limit",
    prepare: victim,
    assertDone: async ({ node, scene }) => {
      await using sandbox = await node.openSandbox(scene.sandbox);
      assertEquals(sandbox.bandwidth, LIMITS);
    },
    allOrNothing: true,
  },
  {
    operation: "unlimit",
    prepare: async (world) => {
      await using sandbox = await victim(world);
      await sandbox.setBandwidth(LIMITS);
    },
    assertDone: async ({ node, scene }) => {
      await using sandbox = await node.openSandbox(scene.sandbox);
      assertEquals(sandbox.bandwidth, {});
    },
    allOrNothing: true,
  },
  {
    operation: "attach",
    prepare: victim,
    assertDone: async ({ node, scene }) => {
      await using sandbox = await node.openSandbox(scene.sandbox);
      assertEquals(
        sandbox.interfaces.map(({ name }) => name),
        INTERFACES.map(({ name }) => name),
      );
    },
    // One after the other.
    allOrNothing: false,
  },
  {
    operation: "detach",
    prepare: async (world) => {
      await using sandbox = await victim(world);
      for (const one of INTERFACES) await sandbox.attach(one);
    },
    assertDone: async ({ node, scene }) => {
      await using sandbox = await node.openSandbox(scene.sandbox);
      assertEquals(sandbox.interfaces, []);
    },
    allOrNothing: false,
  },
  {
    operation: "attachNetwork",
    prepare: victim,
    assertDone: async ({ node, scene }) => {
      await using sandbox = await node.openSandbox(scene.sandbox);
      assertEquals(
        sandbox.attachments.map(({ name, state }) => [name, state]),
        [["net1", "ready"]],
      );
    },
    allOrNothing: true,
  },
  {
    operation: "detachNetwork",
    prepare: async (world) => {
      await using sandbox = await victim(world);
      await sandbox.attach(world.scene.network);
    },
    assertDone: async ({ node, scene }) => {
      await using sandbox = await node.openSandbox(scene.sandbox);
      assertEquals(sandbox.attachments, []);
    },
    allOrNothing: false,
  },
  {
    operation: "addContainer",
    prepare: victim,
    assertDone: async ({ node, scene }) => {
      await using sandbox = await node.openSandbox(scene.sandbox);
      assertEquals(sandbox.containers.map(({ name }) => name), [
        CONTAINER.name,
      ]);
    },
    allOrNothing: true,
  },
  {
    operation: "repair",
    prepare: damaged,
    assertDone: assertOpen,
    allOrNothing: false,
  },
  {
    operation: "collectGarbage",
    prepare: littered,
    assertDone: async (world) => {
      assertEquals(await world.node.collectGarbage(), []);
      const left = await world.node.listSandboxes();
      assertEquals(left.map(({ name }) => name), [world.scene.sandbox]);
      await assertOpen(world);
    },
    allOrNothing: false,
  },
];

/** How many ports the sandbox of {@linkcode create} has. */
export const PORT_COUNT: number = PORTS.length;
