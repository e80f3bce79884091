import { assert, assertEquals } from "@std/assert";
import { Cidr } from "../../src/net/cidr.ts";
import { IpAddress } from "../../src/net/ip.ts";
import { MACHINE_ADDRESSES } from "./machine.ts";
import { NETWORKS } from "./network.ts";
import { IMAGE } from "./image.ts";
import { Podman } from "./podman.ts";
import { assertNothingLeft, networkState } from "./state.ts";
import { assertAnswered } from "./traffic.ts";

for (const network of NETWORKS) {
  Deno.test(`podman run -p (${network.name})`, async () => {
    await using podman = await Podman.start(network);
    const { network: node, outside } = podman.machine;
    const web = await podman.create(
      "web",
      ...["-p", "8080:80", "-p", "5353:53/udp", "-p", "9000-9002:90-92"],
    );
    const addresses = await web.addresses(network.network);
    for (const [i, cidr] of network.podCidrs.entries()) {
      const address = IpAddress.parse(addresses[i] ?? "");
      assert(
        Cidr.parse(cidr).contains(address),
        `${address} is not of ${cidr}`,
      );
    }
    const client = await podman.create("client");
    using pod = await web.network();
    using other = await client.network();
    const everywhere = [
      { from: "outside", network: outside },
      { from: "node", network: node },
      { from: "another container", network: other },
    ];
    for (const asker of everywhere) {
      for (const address of MACHINE_ADDRESSES) {
        const ask = (port: number) => [{ ...asker, to: { address, port } }];
        assertAnswered(pod, 80, ask(8080));
        for (const i of [0, 1, 2]) assertAnswered(pod, 90 + i, ask(9000 + i));
        const udp = { transport: "udp", to: { address, port: 5353 } } as const;
        assertAnswered(pod, 53, [{ ...asker, ...udp }]);
      }
    }
  });

  Deno.test(`podman restarts and removes a container (${network.name})`, async () => {
    await using podman = await Podman.start(network);
    const { machine } = podman;
    const publish = ["-p", "8080:80"];
    await (await podman.create("first", ...publish)).remove();
    const before = await networkState(machine);
    const web = await podman.create("web", ...publish);
    const askers = [
      { from: "outside", network: machine.outside },
      { from: "node", network: machine.network },
    ];
    const reached = async () => {
      using pod = await web.network();
      for (const address of MACHINE_ADDRESSES) {
        const to = { address, port: 8080 };
        assertAnswered(pod, 80, askers.map((asker) => ({ ...asker, to })));
      }
      const seen = await web.output("ip", "-o", "address");
      for (const address of await web.addresses(network.network)) {
        assert(seen.includes(` ${address}/`), seen);
      }
    };
    await reached();
    await podman.run("restart", "-t", "0", "web");
    await reached();
    await podman.run("stop", "-t", "0", "web");
    await assertNothingLeft(machine, before);
    await podman.run("start", "web");
    await reached();
    await web.remove();
    await assertNothingLeft(machine, before);
    assertEquals(await podman.run("ps", "-aq"), "");
  });

  Deno.test(`podman asks for an address and a MAC address (${network.name})`, async () => {
    await using podman = await Podman.start(network);
    const address = network.podCidrs[0].replace(/0\/24$/, "77");
    const mac = "02:11:22:33:44:55";
    const web = await podman.create(
      "web",
      ...["--ip", address, "--mac-address", mac, "--network-alias", "www"],
    );
    const { Networks } = await web.settings();
    assertEquals(Networks[network.network]?.MacAddress, mac);
    assertEquals((await web.addresses(network.network))[0], address);
    const seen = await web.output("ip", "address", "show", "dev", "eth0");
    for (const text of [`link/ether ${mac} `, `inet ${address}/`]) {
      assert(seen.includes(text), seen);
    }
    const { code, stderr } = await podman.machine.attempt(
      ...["podman", "run", "--ip", address, IMAGE, "true"],
    );
    assert(code !== 0 && stderr.includes(address), stderr);
    await web.remove();
  });

  Deno.test(`podman reloads the network of a container that runs (${network.name})`, async () => {
    await using podman = await Podman.start(network);
    const { machine } = podman;
    const web = await podman.create("web", "-p", "8080:80", "-p", "53:53/udp");
    using inside = await web.network();
    const outside = { from: "outside", network: machine.outside };
    for (const reload of [false, true]) {
      // conmon keeps the ports by sockets of its own meanwhile.
      if (reload) await podman.run("network", "reload", "web");
      for (const address of MACHINE_ADDRESSES) {
        const to = { address, port: 8080 };
        assertAnswered(inside, 80, [{ ...outside, to }]);
        const udp = { transport: "udp", to: { address, port: 53 } } as const;
        assertAnswered(inside, 53, [{ ...outside, ...udp }]);
      }
    }
  });

  Deno.test(`podman gives a container two networks (${network.name})`, async () => {
    await using podman = await Podman.start(network);
    const { machine } = podman;
    await network.installSecond(machine);
    const names = [network.network, network.second];
    const networks = names.flatMap((name) => ["--network", name]);
    const publish = ["-p", "8080:80"];
    await (await podman.create("first", ...networks, ...publish)).remove();
    const before = await networkState(machine);

    const both = await podman.create("both", ...networks, ...publish);
    using inside = await both.network();
    const addresses: string[] = [];
    for (const name of names) {
      const single = await podman.create(`on-${name}`, "--network", name);
      using neighbour = await single.network();
      for (const address of await both.addresses(name)) {
        addresses.push(address);
        const to = { address, port: 80 };
        assertAnswered(inside, 80, [
          { from: `on-${name}`, network: neighbour, to },
        ]);
      }
      await single.remove();
    }
    assertEquals(new Set(addresses).size, 4, `${addresses}`);
    const outside = { from: "outside", network: machine.outside };
    const published = () => {
      for (const address of MACHINE_ADDRESSES) {
        const to = { address, port: 8080 };
        assertAnswered(inside, 80, [{ ...outside, to }]);
      }
    };
    published();
    // podman adds them in any order. Whichever has the port, it leads to the container while that has a network.
    for (const [gone, left] of [names, names.toReversed()]) {
      assert(gone !== undefined && left !== undefined);
      await podman.run("network", "disconnect", gone, "both");
      assertEquals(await both.addresses(gone), ["", ""]);
      published();
      await podman.run("network", "connect", gone, "both");
      for (const name of [left, gone]) {
        for (const address of await both.addresses(name)) {
          const to = { address, port: 80 };
          assertAnswered(inside, 80, [
            { from: "node", network: machine.network, to },
          ]);
        }
      }
      published();
    }
    await both.remove();
    await assertNothingLeft(machine, before);
  });
}
