import { assert, assertEquals } from "@std/assert";
import { writeMember } from "../../src/cluster/record.ts";
import { command } from "../support/command.ts";
import { until } from "../support/patience.ts";
import { Etcd } from "./etcd.ts";
import { isIn, Machines, refusesPods } from "./machines.ts";

Deno.test("what somebody writes over a node's record or its reservations is written again, unless another has them by now", async () => {
  await using etcd = await Etcd.start();
  using machines = new Machines();
  const options = { etcd: { endpoints: etcd.endpoints } };
  await using one = await machines.join(1, options);
  await using two = await machines.join(2, options);
  await using store = etcd.store({ cluster: "default" });
  const { self } = one;
  const networks = self.podCidrs.map((podCidr) =>
    btoa(`/podnet/default/networks/${podCidr.replace("/", "-")}`)
  );
  const put = (key: string, value: string) =>
    etcd.call(0, "kv/put", { key, value: btoa(value) });
  const isWhole = () =>
    until(async () => {
      const { members, reservations } = await store.list();
      return members.some(({ text, lease }) =>
        lease !== undefined && text === writeMember(self)
      ) && self.podCidrs.every((podCidr) =>
        reservations.some((one) =>
          one.podCidr === podCidr && one.owner === "n1"
        )
      );
    });
  await isWhole();
  await put(btoa("/podnet/default/members/n1"), "{}");
  await isWhole();
  for (const key of networks) {
    await etcd.call(0, "kv/deleterange", { key });
    await isWhole();
    await put(key, "nobody");
    await isWhole();
  }
  const [key = ""] = networks;
  await put(key, "n2");
  await isIn("expired", one);
  assert((await refusesPods(one, "web")).startsWith('node "n2" has 10.244.'));
  await etcd.call(0, "kv/deleterange", { key });
  await isWhole();
  await isIn("ready", one);
  await one.leave();
  await two.leave();
});

Deno.test("a node goes by the settings that it joined with, and has its place by them for as long as its lease lasts", async () => {
  await using etcd = await Etcd.start();
  using machines = new Machines();
  const options = { etcd: { endpoints: etcd.endpoints } };
  await using one = await machines.join(1, options);
  await using store = etcd.store({ cluster: "default" });
  const text = (await store.list()).settings?.text ?? "";
  const edit = (value: string) =>
    etcd.call(0, "kv/put", {
      key: btoa("/podnet/default/settings"),
      value: btoa(value),
    });
  const isTold = (address: string) =>
    until(async () =>
      (await store.list()).members.some((one) => one.text.includes(address))
    );
  const revoke = async () => {
    const [member] = (await store.list()).members;
    await etcd.call(0, "lease/revoke", { ID: member?.lease });
  };
  const states: string[] = [];
  const watching = Array.fromAsync(one.watch(), (event) => {
    if (event.type === "state") states.push(event.state);
  });
  await edit(JSON.stringify({ ...JSON.parse(text), backend: "vxlan" }));
  await until(() => one.refused.some(({ name }) => name === "settings"));
  command(
    machines.namespace(1),
    `ip addr del 192.168.50.1/24 dev eth0
     ip addr add 192.168.50.77/24 dev eth0`,
  );
  // Any change makes a pass.
  await edit(JSON.stringify({ ...JSON.parse(text), backend: "host-gw" }));
  await isTold("192.168.50.77");
  assert(!states.includes("expired"), `${states}`);
  await one.node.createSandbox({ name: "web" });
  await revoke();
  await isIn("expired", one);
  assertEquals(
    await refusesPods(one, "other"),
    "the cluster has other settings by now",
  );
  // They mean the same.
  await edit(JSON.stringify(JSON.parse(text), null, 2));
  await isIn("ready", one);
  await one.leave({ force: true });
  await watching;
});
