/**
 * The Kubernetes network model between pods and nodes, with real traffic: every pod reaches every other, and every node
 * every pod, without address translation (https://kubernetes.io/docs/concepts/services-networking/).
 *
 * @module
 */
import { assert, assertEquals } from "@std/assert";
import { createLab, type Lab, type LabNode } from "../../src/testing/mod.ts";
import { nodeAt, outsideAddress, Pod } from "../support/pods.ts";
import { ask, FAMILIES, serve, TRANSPORTS } from "../support/ask.ts";
import { command, ipLinks, ipRoutes } from "../support/command.ts";
import { type Family, familyOf } from "../support/sockets.ts";

const PORT = 80;
const SMALL = 64;
/** More than one packet. */
const LARGE = 2000;

let lab: Lab;
let one: LabNode;
let two: LabNode;
/** Two pods of the first node, one of the second. */
let a: Pod;
let b: Pod;
let far: Pod;
let owned: AsyncDisposableStack;

Deno.test.beforeAll(async () => {
  await using stack = new AsyncDisposableStack();
  lab = stack.use(await createLab({ nodes: 2 }));
  one = nodeAt(lab.nodes, 0);
  two = nodeAt(lab.nodes, 1);
  a = stack.use(await Pod.create(one, { name: "a" }));
  b = stack.use(await Pod.create(one, { name: "b" }));
  far = stack.use(await Pod.create(two, { name: "far" }));
  owned = stack.move();
});

Deno.test.afterAll(() => owned[Symbol.asyncDispose]().then());

/** As whom the pod sees a client, which asks by every protocol, with small and large questions. */
function seenBy(server: Pod, client: Pod | LabNode, family: Family): string[] {
  const to = { address: server.address(family), port: PORT };
  const seen = TRANSPORTS.flatMap((transport) => {
    using waiting = server.serve(transport, family, PORT);
    return [SMALL, LARGE].map((size) => {
      const answer = ask(transport, client.namespace, to, [waiting], { size });
      return typeof answer === "string" ? answer : answer.client;
    });
  });
  return [...new Set(seen)];
}

function ofFamily(addresses: readonly string[], family: Family): string[] {
  return addresses.filter((address) => familyOf(address) === family);
}

for (const family of FAMILIES) {
  Deno.test(`IP3 S1 S3 X1 X2 X3 X4 all pods see each other by their own addresses, on one node and across nodes (ipv${family})`, () => {
    const pods = [a, b, far];
    for (const client of pods) {
      for (const server of pods) {
        if (client === server) continue;
        assertEquals(
          seenBy(server, client, family),
          [client.address(family)],
          `${client.name} to ${server.name}`,
        );
      }
    }
  });

  Deno.test(`IP3 A3 a pod reaches its node and another by every address of theirs, which see the pod's own (ipv${family})`, () => {
    for (const node of [one, two]) {
      const addresses = [...node.addresses, ...node.node.gateways];
      for (const address of ofFamily(addresses, family)) {
        const to = { address, port: 7000 };
        for (const transport of TRANSPORTS) {
          using server = serve(node.name, node.namespace, { transport, ...to });
          const answer = ask(transport, a.namespace, to, [server]);
          assert(typeof answer === "object", `${transport} ${address}`);
          assertEquals(answer.client, a.address(family));
        }
      }
    }
  });

  Deno.test(`A1 X5 a pod sees its own node by the gateway address, and another node by that node's (ipv${family})`, () => {
    const gateway = ofFamily(one.node.gateways, family);
    assertEquals(gateway.length, 1);
    assertEquals(seenBy(a, one, family), gateway);
    assertEquals(seenBy(b, one, family), gateway);
    assertEquals(seenBy(far, one, family), ofFamily(one.addresses, family));
  });
}

Deno.test("A1 a node gets HTTP from every pod of its own", async () => {
  for (const { name } of [a, b]) {
    await using sandbox = await one.node.openSandbox(name);
    for (const [i, hostname] of sandbox.addresses.entries()) {
      await using _server = sandbox.serve(
        { hostname, port: 8000 },
        (_request, { remoteAddr }) => new Response(remoteAddr.hostname),
      );
      using client = await one.connect({ hostname, port: 8000 });
      const request = "GET / HTTP/1.0\r\nHost: pod\r\n\r\n";
      await client.write(new TextEncoder().encode(request));
      const response = await new Response(client.readable).text();
      const [head = "", body] = response.split("\r\n\r\n");
      assert(head.includes(" 200 "), head);
      assertEquals(body, one.node.gateways[i]);
    }
  }
});

Deno.test("S2 no connection between pods, or between node and pod, is translated, while one to the outside is", () => {
  const tracked = (node: LabNode, family: Family, options = "") =>
    command(
      node.namespace,
      `conntrack -L -f ipv${family} ${options}`.trim(),
    ).split("\n").filter((line) => line.includes("src="));
  for (const family of FAMILIES) {
    for (const [client, server] of [[b, a], [one, a], [a, far]] as const) {
      seenBy(server, client, family);
    }
    const to = { address: outsideAddress(family), port: 9000 };
    using outside = serve("outside", lab.outside.namespace, {
      transport: "tcp",
      ...to,
    });
    assert(typeof ask("tcp", a.namespace, to, [outside]) === "object");

    assert(
      tracked(one, family).some((line) =>
        line.includes(`src=${b.address(family)} dst=${a.address(family)} `)
      ),
      "connections between pods are tracked",
    );
    const translated = [one, two].flatMap((node) =>
      ["--src-nat", "--dst-nat"].flatMap((kind) => tracked(node, family, kind))
    );
    // conntrack(8) finds what is translated.
    assert(translated.length > 0);
    for (const line of translated) {
      assert(line.includes(`dst=${to.address} `), line);
    }
  }
});

Deno.test("S3 100 MB over TCP arrive between pods as they were sent", async () => {
  // A prime, so that a lost or doubled segment shifts what follows.
  const block = crypto.getRandomValues(new Uint8Array(65_521));
  const blocks = Math.ceil(100_000_000 / block.length);
  await using server = await one.node.openSandbox("b");
  await using client = await one.node.openSandbox("a");
  using listener = server.listen({ port: 81 });
  const receiving = (async () => {
    using connection = await listener.accept();
    let received = 0;
    const buffer = new Uint8Array(1 << 20);
    for (;;) {
      const count = await connection.read(buffer);
      if (count === null) return received;
      for (let at = 0; at < count;) {
        const start = (received + at) % block.length;
        const length = Math.min(count - at, block.length - start);
        const part = buffer.subarray(at, at + length);
        if (!isSame(part, block.subarray(start, start + length))) {
          throw new Error(`other bytes from ${received + at} on`);
        }
        at += length;
      }
      received += count;
    }
  })();
  using connection = await client.connect({
    hostname: b.address(6),
    port: 81,
  });
  const writer = connection.writable.getWriter();
  for (let i = 0; i < blocks; i++) await writer.write(block);
  await connection.closeWrite();
  assertEquals(await receiving, blocks * block.length);
});

function isSame(a: Uint8Array, b: Uint8Array): boolean {
  // A hundred million calls of a function would take a second.
  for (let i = 0; i < a.length; i++) if (a[i] !== b[i]) return false;
  return a.length === b.length;
}

Deno.test("IP3 ip(8) shows in the pod the addresses that the sandbox tells, and on the node a route with the gateway as source", () => {
  for (const { sandbox, namespace } of [a, b, far]) {
    const [eth0] = ipLinks(namespace, "dev eth0");
    assertEquals(
      eth0?.addr_info.map(({ local, prefixlen }) => `${local}/${prefixlen}`),
      sandbox.addresses.map((text) =>
        `${text}/${familyOf(text) === 4 ? 32 : 128}`
      ),
    );
  }
  for (const family of FAMILIES) {
    const routes = ipRoutes(one.namespace, family, "proto 112");
    const found = routes.filter(({ dev }) => dev?.startsWith("pn-"))
      .map(({ dst, dev, prefsrc }) => [dst, dev, prefsrc]);
    const [gateway] = ofFamily(one.node.gateways, family);
    assertEquals(
      found.sort(),
      [a, b].map((pod) => [
        pod.address(family),
        pod.sandbox.hostInterface,
        gateway,
      ]).sort(),
    );
  }
});

Deno.test("IP4 the pod stays what it is while its processes come and go", async () => {
  await using sandbox = await one.node.openSandbox("a");
  const identity = async () => {
    const child = sandbox.spawn("sh", {
      args: ["-c", "readlink /proc/self/ns/net; ip -o addr; ip -o link"],
      stdout: "piped",
    });
    const { code, stdout } = await child.output();
    assertEquals(code, 0);
    return new TextDecoder().decode(stdout);
  };
  const before = await identity();
  assert(before.startsWith(a.namespace.id));
  assertEquals(await identity(), before);
});
