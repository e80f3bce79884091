import { assert, assertEquals } from "@std/assert";
import type { ClusterMember } from "../../src/cluster/member.ts";
import { writeMember } from "../../src/cluster/record.ts";
import { Etcd } from "./etcd.ts";
import { Machines } from "./machines.ts";

const NODES = 200;
const CHANGES = 150;

function synthetic(number: number, own: number): ClusterMember {
  // Not the network that the real node has.
  const third = (own + 1 + number) % 256;
  return {
    name: `s${String(number).padStart(3, "0")}`,
    podCidrs: [`10.244.${third}.0/24`],
    addresses: [`192.168.50.${number + 10}`],
    vxlan: {
      vni: 112,
      port: 8472,
      mac: `02:00:00:00:01:${number.toString(16).padStart(2, "0")}`,
    },
  };
}

Deno.test("200 nodes at once, and 150 changes during a pass, become few passes, and the last one is right", async () => {
  await using etcd = await Etcd.start();
  using machines = new Machines();
  await using one = await machines.join(1, {
    etcd: { endpoints: etcd.endpoints },
    cluster: { podCidrs: ["10.244.0.0/16"] },
    node: { name: "zero" },
  });
  const own = Number(one.self.podCidrs[0]?.split(".")[2]);
  const key = (name: string) => btoa(`/podnet/default/members/${name}`);
  const members = Array.from({ length: NODES }, (_, i) => synthetic(i, own));
  for (let i = 0; i < NODES; i += 100) {
    await etcd.call(0, "kv/txn", {
      success: members.slice(i, i + 100).map((member) => ({
        request_put: {
          key: key(member.name),
          value: btoa(writeMember(member)),
        },
      })),
    });
  }
  const names = members.map(({ name }) => name);
  await one.noted.until(...names);
  const passes = one.noted.passes.length;
  const present = new Set(names);
  const held = one.noted.hold();
  for (let i = 0; i < CHANGES; i++) {
    const member = members[i * 7 % NODES];
    assert(member !== undefined);
    if (present.delete(member.name)) {
      await etcd.call(0, "kv/deleterange", { key: key(member.name) });
    } else {
      present.add(member.name);
      await etcd.call(0, "kv/put", {
        key: key(member.name),
        value: btoa(writeMember(member)),
      });
    }
  }
  held[Symbol.dispose]();
  await one.noted.until(...[...present].sort());
  const made = one.noted.passes.length - passes;
  // The one that was being made, the one for what came meanwhile, and some for what was heard late.
  assert(made > 1 && made < CHANGES / 10, `${made} passes`);
  assertEquals(one.status.state, "ready");
  await one.leave();
});
