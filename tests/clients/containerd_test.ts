import { assert, assertEquals, assertNotEquals } from "@std/assert";
import { Cidr } from "../../src/net/cidr.ts";
import { IpAddress } from "../../src/net/ip.ts";
import { Containerd } from "./containerd.ts";
import { MACHINE_ADDRESSES } from "./machine.ts";
import { NETWORKS } from "./network.ts";
import { assertNothingLeft, networkState } from "./state.ts";
import { assertAnswered } from "./traffic.ts";

const [machine4, machine6] = MACHINE_ADDRESSES;

for (const network of NETWORKS) {
  Deno.test(`containerd makes a pod of two containers (${network.name})`, async () => {
    await using containerd = await Containerd.start(network);
    const pod = await containerd.runPod("web", {
      dns: {
        servers: ["10.96.0.10"],
        searches: ["default.svc.cluster.local"],
        options: ["ndots:5"],
      },
    });
    const addresses = await pod.addresses();
    for (const [i, cidr] of network.podCidrs.entries()) {
      const address = IpAddress.parse(addresses[i] ?? "");
      assert(
        Cidr.parse(cidr).contains(address),
        `${address} is not of ${cidr}`,
      );
    }
    assertEquals(addresses.length, network.podCidrs.length);

    const server = ["httpd", "-f", "-p", "127.0.0.1:80", "-h", "/etc"];
    const one = await pod.start("one", ...server);
    const two = await pod.start("two", "sleep", "1000");
    const look = ["sh", "-c", "ip -o address; cat /sys/class/net/eth0/address"];
    const seen = await one.output(...look);
    assertEquals(await two.output(...look), seen);
    for (const address of addresses) {
      assert(seen.includes(` ${address}/`), seen);
    }
    assertEquals(
      await two.output("wget", "-q", "-O", "-", "http://127.0.0.1/resolv.conf"),
      "search default.svc.cluster.local\nnameserver 10.96.0.10\noptions ndots:5",
    );
    assertEquals(await two.output("hostname"), "web");
  });

  Deno.test(`containerd maps host ports to a pod (${network.name})`, async () => {
    await using containerd = await Containerd.start(network);
    const { machine } = containerd;
    const web = await containerd.runPod("web", {
      ports: [
        { hostPort: 8080, containerPort: 80 },
        { hostPort: 8443, containerPort: 443, hostIp: machine4 },
        { hostPort: 5353, containerPort: 53, protocol: "udp" },
        { hostPort: 0, containerPort: 9 },
      ],
    });
    const client = await containerd.runPod("client");
    using pod = await web.network();
    using other = await client.network();
    const { network: node, outside } = machine;
    const everywhere = [
      { from: "outside", network: outside },
      { from: "node", network: node },
      { from: "pod", network: other },
    ];
    for (const address of [machine4, machine6]) {
      for (const asker of everywhere) {
        const to = { address, port: 8080 };
        assertAnswered(pod, 80, [{ ...asker, to }]);
        const udp = { address, port: 5353 };
        assertAnswered(pod, 53, [{ ...asker, transport: "udp", to: udp }]);
      }
    }
    for (const asker of everywhere) {
      const to = { address: machine4, port: 8443 };
      assertAnswered(pod, 443, [{ ...asker, to }]);
    }
    for (const address of await web.addresses()) {
      for (const asker of everywhere.slice(1)) {
        assertAnswered(pod, 80, [{ ...asker, to: { address, port: 80 } }]);
      }
    }
    const self = { from: "itself", network: pod };
    assertAnswered(pod, 80, [{
      ...self,
      to: { address: machine4, port: 8080 },
    }]);
    const loopback = { from: "node", network: node };
    assertAnswered(pod, 80, [{
      ...loopback,
      to: { address: "127.0.0.1", port: 8080 },
    }]);
  });

  if (network.name === "podnet") {
    Deno.test("containerd has the bandwidth of a pod limited, as its annotations say", async () => {
      await using containerd = await Containerd.start(network);
      const { machine } = containerd;
      const pod = await containerd.runPod("web", {
        annotations: {
          "kubernetes.io/ingress-bandwidth": "16M",
          "kubernetes.io/egress-bandwidth": "8M",
        },
      });
      const rates = async () =>
        (await machine.run("tc", "qdisc")).match(/(?<=tbf .* rate )\w+/g)
          ?.sort() ?? [];
      assertEquals(await rates(), ["16Mbit", "8Mbit"]);
      await pod.stop();
      assertEquals(await rates(), []);
      await pod.remove();
    });
  }

  Deno.test(`containerd is killed and finds its pods again (${network.name})`, async () => {
    await using containerd = await Containerd.start(network);
    const { machine } = containerd;
    // What a node keeps once it has had a pod.
    const ports = [{ hostPort: 8080, containerPort: 80 }];
    const first = await containerd.runPod("first", { ports });
    await first.stop();
    await first.remove();
    const before = await networkState(machine);

    const web = await containerd.runPod("web", { ports });
    const addresses = await web.addresses();
    await containerd.kill();
    const ask = { from: "outside", network: machine.outside };
    const to = { address: machine4, port: 8080 };
    await containerd.launch();
    assertEquals([await web.addresses(), await web.ready()], [addresses, true]);
    {
      using pod = await web.network();
      assertAnswered(pod, 80, [{ ...ask, to }]);
    }
    await web.stop();
    await web.stop();
    assertEquals(await web.ready(), false);
    await containerd.kill();
    await containerd.launch();
    await web.stop();
    await web.remove();
    await web.remove();
    assertEquals(await containerd.pods(), []);
    await assertNothingLeft(machine, before);
    // The port is free, and so are the addresses.
    const again = await containerd.runPod("again", { ports });
    using pod = await again.network();
    assertAnswered(pod, 80, [{ ...ask, to }]);
    assertNotEquals(again.id, web.id);
    await again.stop();
    await again.remove();
    await assertNothingLeft(machine, before);
  });
}
