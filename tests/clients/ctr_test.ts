import { assert, assertEquals } from "@std/assert";
import { Cidr } from "../../src/net/cidr.ts";
import { IpAddress } from "../../src/net/ip.ts";
import { Containerd } from "./containerd.ts";
import { IMAGE } from "./image.ts";
import { eventually } from "../support/patience.ts";
import { NETWORKS } from "./network.ts";
import { assertNothingLeft, networkState } from "./state.ts";
import { assertAnswered } from "./traffic.ts";

for (const network of NETWORKS) {
  Deno.test(`ctr run --cni (${network.name})`, async () => {
    await using containerd = await Containerd.start(network);
    const { machine } = containerd;
    const look = ["ip", "-o", "address", "show", "dev", "eth0"];
    const once = ["run", "--rm", "--cni", IMAGE];
    await containerd.ctr(...once, "first", ...look);
    const before = await networkState(machine);
    const seen = await containerd.ctr(...once, "one", ...look);
    for (const text of network.podCidrs) {
      const cidr = Cidr.parse(text);
      const found = [...seen.matchAll(/inet6? (\S+)\//g)]
        .map(([, address = ""]) => IpAddress.parse(address));
      assert(found.some((address) => cidr.contains(address)), seen);
    }
    // The namespace is gone when ctr asks for its network to be taken away, which is too late for the reference plugins.
    if (network.collectGarbage !== undefined) {
      await assertNothingLeft(machine, before);
    }

    await containerd.ctr("run", "-d", "--cni", IMAGE, "two");
    const [, pid] = /^two\s+(\d+)/m.exec(await containerd.ctr("task", "ls")) ??
      [];
    using inside = machine.open(`/proc/${pid}/ns/net`);
    const listed = await containerd.ctr(
      "task",
      "exec",
      "--exec-id",
      "look",
      "two",
      ...look,
    );
    for (
      const [, address = ""] of listed.matchAll(/inet6? (\S+)\/\d+ .*global/g)
    ) {
      assertAnswered(inside, 80, [{
        from: "node",
        network: machine.network,
        to: { address, port: 80 },
      }]);
    }
    await containerd.ctr("task", "kill", "-s", "KILL", "two");
    // It ends with the code of its task.
    await eventually(async () => {
      await machine.attempt("ctr", "task", "rm", "two");
      assertEquals(await containerd.ctr("task", "ls", "-q"), "");
    });
    await containerd.ctr("container", "rm", "two");
    // ctr leaves the network of a detached container to garbage collection.
    if (network.collectGarbage === undefined) return;
    await network.collectGarbage(machine, []);
    await assertNothingLeft(machine, before);
    assertEquals(await containerd.ctr("container", "ls", "-q"), "");
  });
}
