/**
 * Addresses of a pod CIDR that no pod has are answered by the node, at once, and never led elsewhere.
 *
 * @module
 */
import { assert, assertEquals } from "@std/assert";
import { Errno, isSyscallError } from "../../ffi/errno.ts";
import type { NetworkNamespace } from "../../src/namespace/network_namespace.ts";
import { writeSysctl } from "../../src/namespace/sysctl.ts";
import { createLab, type Lab, type LabNode } from "../../src/testing/mod.ts";
import { ask, FAMILIES, TRANSPORTS } from "../support/ask.ts";
import { command } from "../support/command.ts";
import {
  byFamily,
  nodeAt,
  otherNodeAddress,
  outsideAddress,
  Pod,
} from "../support/pods.ts";
import { type Endpoint, type Family, TestSocket } from "../support/sockets.ts";

const podCidr = byFamily("10.244.1.0/24", "fd00:10:244:1::/64");
/** Of the last addresses of the pod CIDR, which nobody is given here. */
const unused = byFamily("10.244.1.254", "fd00:10:244:1:ffff::1");

let lab: Lab;
let node: LabNode;
let pod: Pod;
/** On the other node. */
let far: Pod;
let owned: AsyncDisposableStack;

Deno.test.beforeAll(async () => {
  await using stack = new AsyncDisposableStack();
  lab = stack.use(await createLab({ nodes: 2 }));
  node = nodeAt(lab.nodes, 0);
  pod = stack.use(await Pod.create(node));
  far = stack.use(await Pod.create(nodeAt(lab.nodes, 1)));
  // Each client is told each time, however many there are.
  writeSysctl(node.namespace, "net.ipv4.icmp_ratelimit", "0");
  writeSysctl(node.namespace, "net.ipv6.icmp.ratelimit", "0");
  for (const family of FAMILIES) {
    // Where all packets went that no other route matched.
    const via = `default via ${outsideAddress(family)} metric 50`;
    command(node.namespace, `ip -${family} route replace ${via}`);
  }
  owned = stack.move();
});

Deno.test.afterAll(() => owned[Symbol.asyncDispose]().then());

/**
 * Asserts that TCP clients are told that nobody is there. All of them ask before the first is waited for: a client on the
 * same machine hears of it with its second packet, a second later, since the answer to the first arrives within its own
 * sending (tcp_v4_err leaves a socket alone that is in use).
 */
function assertTold(
  family: Family,
  address: string,
  clients: readonly { readonly namespace: NetworkNamespace }[],
): void {
  using sockets = new DisposableStack();
  const waiting = clients.map(({ namespace }) =>
    sockets.use(TestSocket.open(namespace, { kind: "tcp", family }))
  );
  const to = { address, port: 80 };
  const left = waiting.filter((socket) => !isTold(socket, to, 1));
  for (const socket of left) assert(isTold(socket, to));
}

function isTold(socket: TestSocket, to: Endpoint, timeoutMs?: number): boolean {
  try {
    socket.connect(to, timeoutMs);
  } catch (error) {
    if (isSyscallError(error, ...UNREACHABLE)) return true;
    if (isSyscallError(error, Errno.EINPROGRESS, Errno.EALREADY)) return false;
    throw error;
  }
  assert(false, `somebody answered on ${to.address}`);
}

const UNREACHABLE = [Errno.EHOSTUNREACH, Errno.ENETUNREACH];

for (const family of FAMILIES) {
  Deno.test(`IPv${family}: the node, its pods and those of other nodes are told at once that an address without a pod is unreachable`, () => {
    assertTold(family, unused(family), [node, pod, far]);
  });

  Deno.test(`IPv${family}: an address is unreachable from the moment its pod is removed, and reachable when it has one again`, async () => {
    const first = await Pod.create(node, { name: "first" });
    const address = first.address(family);
    for (const transport of TRANSPORTS) {
      using server = first.serve(transport, family, 80);
      const to = { address, port: 80 };
      for (const client of [pod, far]) {
        const answer = ask(transport, client.namespace, to, [server]);
        assert(typeof answer === "object");
      }
    }
    await first[Symbol.asyncDispose]();
    assertTold(family, address, [node, far]);
    await using again = await Pod.create(node, { name: "first" });
    assertEquals(again.address(family), address);
    using server = again.serve("tcp", family, 80);
    const answer = ask("tcp", far.namespace, { address, port: 80 }, [server]);
    assert(typeof answer === "object");
  });

  Deno.test(`IPv${family}: any route of the node's own to the same network comes first`, () => {
    const get = () =>
      command(
        node.namespace,
        `ip -${family} route get ${unused(family)} 2>&1 || :`,
      );
    const route = `${podCidr(family)} via ${
      otherNodeAddress(family)
    } metric 4278198271`;
    assert(/unreachable|No route to host/.test(get()), get());
    command(node.namespace, `ip -${family} route add ${route}`);
    assert(get().includes(otherNodeAddress(family)), get());
    command(node.namespace, `ip -${family} route del ${route}`);
    assert(/unreachable|No route to host/.test(get()), get());
  });
}
