/**
 * Five nodes on two segments with a router between them join a cluster in etcd, and every pod reaches every pod.
 *
 * @module
 */
import { assert, assertEquals } from "@std/assert";
import { type Cluster, joinCluster, type Sandbox } from "../../mod.ts";
import { NetworkNamespace } from "../../src/namespace/network_namespace.ts";
import { Segments } from "../../src/testing/segments.ts";
import {
  ask,
  type AskOptions,
  FAMILIES,
  serve,
  TRANSPORTS,
} from "../support/ask.ts";
import { command } from "../support/command.ts";
import { familyOf } from "../support/sockets.ts";
import { Etcd } from "./etcd.ts";
import { until } from "../support/patience.ts";
import { POD_CIDRS } from "./machines.ts";

const NODES = 5;
const PORT = 80;

interface Place {
  readonly cluster: Cluster;
  readonly host: NetworkNamespace;
  readonly sandbox: Sandbox;
  readonly pod: NetworkNamespace;
}

function addressOf({ sandbox }: Place, family: 4 | 6): string {
  const address = sandbox.addresses.find((one) => familyOf(one) === family);
  assert(address !== undefined);
  return address;
}

/** Whether `to` sees `from` as itself, by both transports and both families (X1–X3). */
function reaches(from: Place, to: Place, options: AskOptions = {}): void {
  for (const family of FAMILIES) {
    for (const transport of TRANSPORTS) {
      const address = addressOf(to, family);
      const at = { address, port: PORT };
      using server = serve("x", to.pod, { transport, ...at });
      const answer = ask(transport, from.pod, at, [server], options);
      const path = `${from.cluster.self.name} to ${to.cluster.self.name}`;
      assert(typeof answer === "object", `${path} ${transport} ${answer}`);
      assertEquals(answer.client, addressOf(from, family), path);
    }
  }
}

Deno.test("five nodes that join at once, and one that dies and returns: every pod reaches every pod (IP2, X1–X4, X7, X8)", async () => {
  await using etcd = await Etcd.start();
  await using store = etcd.store({ cluster: "default" });
  using segments = new Segments(2, [4, 6]);
  using machines = new DisposableStack();
  const hosts = Array.from(
    { length: NODES },
    (_, i) => machines.use(segments.add(i, i + 1).namespace),
  );
  const stateDirs = hosts.map(() => Deno.makeTempDirSync());
  const join = async (number: number): Promise<Place> => {
    const [host, stateDir] = [hosts[number], stateDirs[number]];
    assert(host !== undefined && stateDir !== undefined);
    const cluster = await joinCluster({
      etcd: { endpoints: etcd.endpoints },
      cluster: { podCidrs: POD_CIDRS },
      leaseSeconds: 60,
      node: { name: `n${number}`, netns: host, stateDir },
    });
    const sandbox = await cluster.node.createSandbox({ name: "pod" });
    const pod = NetworkNamespace.open(sandbox.netnsPath);
    return { cluster, host, sandbox, pod };
  };
  const places = await Promise.all(hosts.map((_, number) => join(number)));
  try {
    const all = () =>
      until(() =>
        places.every(({ cluster }) => cluster.members.length === NODES - 1)
      );
    const everyPair = async () => {
      for (const from of places) {
        for (const to of places) if (from !== to) reaches(from, to);
        // Questions are asked without waiting: what else there is to do is done in between.
        await new Promise((wake) => setTimeout(wake, 0));
      }
    };
    await all();
    for (const { cluster } of places) assertEquals(cluster.refused, []);
    await everyPair();
    const [first, second, third] = places;
    assert(first !== undefined && second !== undefined && third !== undefined);
    // On one segment by a plain route, over the router through a tunnel.
    // Where less fits between the segments than the nodes know, packets of all sizes get through.
    const { router } = segments;
    assert(router !== undefined);
    for (const i of [0, 1]) {
      command(
        router,
        `ip route change 192.168.5${i}.0/24 dev eth${i} mtu lock 1400`,
      );
    }
    reaches(first, second, { size: 60_000 });
    const routes = command(first.host, "ip route show proto 113");
    assertEquals(routes.match(/dev eth0/g)?.length, 2, routes);
    assertEquals(routes.match(/dev podnet-vx4/g)?.length, 2, routes);
    // Nobody keeps it any more: the others send nothing there once its lease has ended, which is at once here.
    const [lost = ""] = third.cluster.self.podCidrs;
    third.pod[Symbol.dispose]();
    const { members } = await store.list();
    await third.cluster[Symbol.asyncDispose]();
    await etcd.call(0, "lease/revoke", {
      ID: members.find(({ name }) => name === "n2")?.lease,
    });
    await until(() =>
      !command(first.host, "ip route show proto 113").includes(lost)
    );
    // Its pod is there as it was, and reached again when it is back.
    places[2] = await join(2);
    assertEquals(places[2].sandbox.addresses, third.sandbox.addresses);
    await all();
    await everyPair();
  } finally {
    for (const { cluster, pod } of places) {
      pod[Symbol.dispose]();
      if (cluster.status.state !== "left") await cluster.leave({ force: true });
    }
    for (const stateDir of stateDirs) {
      Deno.removeSync(stateDir, { recursive: true });
    }
  }
});
