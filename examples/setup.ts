/**
 * Sets up a pod sandbox by hand, or takes it away:
 *
 *     sudo deno run --allow-ffi examples/setup.ts up web 8080:80 5353:53/udp
 *     sudo deno run --allow-ffi examples/setup.ts down web
 *
 * @module
 */
import { isSandboxError, openNode, parsePublish } from "@podnet/podnet";

const [command, name, ...publish] = Deno.args;
if ((command !== "up" && command !== "down") || name === undefined) {
  console.error("write: up NAME [HOSTPORT:PORT[/PROTOCOL]]…, or: down NAME");
  Deno.exit(64);
}
try {
  await using node = await openNode({
    name: "example",
    podCidrs: ["10.89.0.0/24", "fd00:10:89::/64"],
  });
  if (command === "up") {
    const ports = publish.map(parsePublish);
    await using sandbox = await node.createSandbox({ name, ports });
    console.log(`${name} has ${sandbox.addresses.join(" and ")}`);
    console.log(`enter it with: nsenter --net=${sandbox.netnsPath}`);
  } else {
    const removed = await node.removeSandbox(name);
    console.log(removed ? `${name} is gone` : `there is no ${name}`);
    if ((await node.listSandboxes()).length === 0) await node.remove();
  }
} catch (error) {
  if (!isSandboxError(error) && !(error instanceof RangeError)) throw error;
  console.error(error.message);
  Deno.exitCode = 1;
}
