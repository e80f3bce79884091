/** `podnet node up` under a service manager that has stopped reading what it prints. */
import { assertEquals } from "@std/assert";
import { Host } from "../cli/host.ts";
import { until } from "../support/patience.ts";
import { Etcd } from "./etcd.ts";

const ADDRESS = "192.168.50.1";

Deno.test("podnet node up keeps its lease and follows others although nobody reads what it prints, and ends with SIGTERM", async () => {
  await using host = await Host.start(["--allow-net"]);
  const made = await host.run(
    "sh",
    "-ec",
    `ip link add eth0 type veth peer name far
     ip link set eth0 up
     ip link set far up
     ip address add ${ADDRESS}/24 dev eth0`,
  );
  assertEquals(made.stderr, "");
  await using etcd = await Etcd.start({ netns: host.pid, host: ADDRESS });
  const child = host.startUnread(
    ...["node", "up", "--etcd", `${etcd.endpoints}`, "--lease", "6"],
    ...["--cluster-cidr", "10.244.0.0/16"],
  );
  await until(async () => (await host.podnet("node", "status")).code === 0);
  const status = async () => {
    const { stdout } = await host.podnet("node", "status", "-o", "json");
    return JSON.parse(stdout) as {
      leaseRemainingMs: number;
      refused: { name: string }[];
    };
  };
  // What remains of a lease is more again when it was renewed.
  let before = Infinity;
  const isRenewed = async () => {
    const { leaseRemainingMs: now } = await status();
    const isMore = now > before;
    before = now;
    return isMore;
  };
  for (const _ of [1, 2]) await until(isRenewed, "the lease is not renewed");
  const url = `${etcd.endpoints}/v3/kv/put`;
  const key = btoa("/podnet/default/members/other");
  const put = await host.run(
    ...[Deno.execPath(), "eval", "--quiet", "--no-config"],
    "const [url, body] = Deno.args; await fetch(url, { method: 'POST', body }).then((answer) => answer.text());",
    ...[url, JSON.stringify({ key, value: btoa("{}") })],
  );
  assertEquals(put, { code: 0, stdout: "", stderr: "" });
  await until(async () =>
    (await status()).refused.some(({ name }) => name === "other")
  );
  assertEquals(await child.end("SIGTERM"), { code: 0, stderr: "" });
  await host.ok("node", "down");
});
