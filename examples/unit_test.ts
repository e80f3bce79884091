/**
 * A unit test on a network of its own: a node, a pod and a machine outside, gone when the test ends.
 *
 *     unshare -Urnm deno test -A examples/unit_test.ts
 *
 * @module
 */
import { createLab } from "@podnet/podnet/testing";
import { assertEquals } from "@std/assert";

Deno.test("a host port leads to the pod, which sees the client as it is", async () => {
  await using lab = await createLab({ families: [4] });
  const [{ node, addresses: [hostname = ""] }] = lab.nodes;
  const ports = [{ hostPort: 8080, containerPort: 80 }];
  await using pod = await node.createSandbox({ name: "web", ports });
  using server = pod.listen({ hostname: "0.0.0.0", port: 80 });
  using client = await lab.outside.connect({ hostname, port: 8080 });
  using served = await server.accept();
  assertEquals(served.remoteAddr, client.localAddr);
});
