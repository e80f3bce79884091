/**
 * Pools in which hardly an address, or none, is free.
 *
 * @module
 */
import { assert, assertEquals } from "@std/assert";
import { SocketTransport } from "../../src/netlink/transport.ts";
import { BareNode, POD_CIDRS, rejects } from "../node/bare.ts";
import { command } from "../support/command.ts";
import { assertSettled } from "./settled.ts";

/** RTM_GETLINK and RTM_GETADDR: how often that is asked until a pod is ready depends on the machine. */
const OF_READINESS = [18, 22];

/** How many datagrams are sent meanwhile to claim something, and how many ask for all routes of the main table. */
async function sent(
  during: () => Promise<unknown>,
): Promise<{ readonly count: number; readonly routeDumps: number }> {
  const send = SocketTransport.prototype.send;
  let count = 0;
  let routeDumps = 0;
  SocketTransport.prototype.send = function (datagram) {
    const view = new DataView(datagram.buffer, datagram.byteOffset);
    const [type, flags] = [view.getUint16(4, true), view.getUint16(6, true)];
    if (!OF_READINESS.includes(type)) count++;
    // RTM_GETROUTE with NLM_F_DUMP.
    if (type === 26 && (flags & 0x300) === 0x300) routeDumps++;
    send.call(this, datagram);
  };
  try {
    await during();
  } finally {
    SocketTransport.prototype.send = send;
  }
  return { count, routeDumps };
}

/** Takes the addresses for somebody else. */
function take(bare: BareNode, addresses: readonly string[]): void {
  const file = `${bare.stateDir}/routes`;
  Deno.writeTextFileSync(
    file,
    addresses.map((address) => `route add ${address} dev lo\n`).join(""),
  );
  const family = addresses[0]?.includes(":") ? 6 : 4;
  command(bare.namespace, `ip -${family} -batch ${file}`);
  Deno.removeSync(file);
}

/** From 2 on: 0 is the network, 1 the gateway. */
function numbersBelow(end: number): number[] {
  return Array.from({ length: end - 2 }, (_, i) => i + 2);
}

const pools = [
  {
    cidr: "10.99.0.0/29",
    addresses: numbersBelow(7).map((i) => `10.99.0.${i}`),
    free: "10.99.0.5",
  },
  {
    cidr: "10.99.0.0/24",
    addresses: numbersBelow(255).map((i) => `10.99.0.${i}`),
    free: "10.99.0.77",
  },
  {
    cidr: "10.99.0.0/16",
    addresses: numbersBelow(65_535).map((i) => `10.99.${i >> 8}.${i & 255}`),
    free: "10.99.200.1",
  },
  {
    cidr: "fd00:99::/120",
    addresses: numbersBelow(257).map((i) =>
      i === 256 ? "fd00:99::" : `fd00:99::${i.toString(16)}`
    ).filter((address) => address !== "fd00:99::"),
    free: "fd00:99::4d",
  },
];

for (const { cidr, addresses, free } of pools) {
  Deno.test(`createSandbox() finds the last free address of ${cidr}, and tells when there is none, without asking for each`, async () => {
    await using bare = new BareNode();
    await using node = await bare.open({ podCidrs: [cidr] });
    take(bare, addresses);
    const before = bare.state();
    const full = await sent(async () => {
      const error = await rejects(
        "AddressPoolExhausted",
        () => node.createSandbox({ name: "pod" }),
      );
      assertEquals(error.context, { cidr, size: addresses.length });
    });
    await assertSettled(bare, before);
    command(bare.namespace, `ip route del ${free}`);
    const nearlyFull = await sent(async () => {
      await using sandbox = await node.createSandbox({ name: "pod" });
      assertEquals(sandbox.addresses, [free]);
    });
    // Some four datagrams an address, for the first few.
    for (const { count, routeDumps } of [full, nearlyFull]) {
      assert(count < 250, `${count} datagrams`);
      // The second is for what the link that comes to nothing has claimed.
      assert(routeDumps <= 2, `${routeDumps} times all routes`);
    }
  });
}

Deno.test("createSandbox() reads no table of routes while addresses are free", async () => {
  await using bare = new BareNode();
  await using node = await bare.open({ podCidrs: POD_CIDRS });
  take(bare, numbersBelow(100).map((i) => `10.99.0.${i}`));
  for (let i = 0; i < 8; i++) {
    const { routeDumps } = await sent(() =>
      node.createSandbox({ name: `pod-${i}` })
    );
    assertEquals(routeDumps, 0);
  }
});
