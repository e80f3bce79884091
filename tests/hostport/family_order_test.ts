/**
 * Host ports of pods whose IPv6 address comes first.
 *
 * @module
 */
import { BareNode, POD_CIDRS, rejects } from "../node/bare.ts";
import { serve, TRANSPORTS } from "../support/ask.ts";

Deno.test("HP17 a socket of the node is not shadowed by pods whose IPv6 address comes first", async () => {
  await using bare = new BareNode();
  await using node = await bare.open({ podCidrs: POD_CIDRS.toReversed() });
  const pod = await node.createSandbox({ name: "pod" });
  const ports = { hostPort: 8080, containerPort: 80 };
  for (const transport of TRANSPORTS) {
    for (const address of ["127.0.0.1", "0.0.0.0", "::1"]) {
      const at = { transport, address, port: ports.hostPort, v6Only: true };
      using _socket = serve("node", bare.namespace, at);
      const wanted = { ...ports, protocol: transport };
      await rejects("HostPortInUse", () => pod.addPorts([wanted]));
    }
  }
});
