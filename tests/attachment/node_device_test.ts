/**
 * A link of the node that was a pod's: what it has when it comes back.
 *
 * @module
 */
import { assert, assertEquals, assertMatch, assertThrows } from "@std/assert";
import { isSandboxError } from "../../mod.ts";
import {
  giveBack,
  moveIn,
  type NodeDevice,
  nodeDevice,
} from "../../src/attachment/node_device.ts";
import { linkIdentity } from "../../src/namespace/link_identity.ts";
import { NetworkNamespace } from "../../src/namespace/network_namespace.ts";
import { Connection } from "../../src/netlink/connection.ts";
import { NETLINK_ROUTE } from "../../src/netlink/message.ts";
import { getLink, type Link } from "../../src/rtnetlink/link.ts";
import { command } from "../support/command.ts";

const WANTED = {
  name: "net1",
  index: 4711,
  addresses: [],
  gateways: [],
  defaultRoute: false,
  routes: [],
};

/** A node with a link, and a pod. */
class Scene implements Disposable {
  readonly #opened = new DisposableStack();
  readonly node = this.#place();
  readonly pod = this.#place();

  constructor(settings = "") {
    command(
      this.node.namespace,
      `ip link add spare0 address 02:00:00:00:0d:01 type veth peer name far0
       ip link set far0 up
       ip link set spare0 up
       ${settings}`,
    );
  }

  #place() {
    const namespace = this.#opened.use(NetworkNamespace.create());
    const open = () => Connection.open(NETLINK_ROUTE);
    return { namespace, route: this.#opened.use(namespace.run(open)) };
  }

  link(): Link {
    const [link] = this.node.route.request(getLink({ name: "spare0" }));
    assert(link);
    return link;
  }

  device(): NodeDevice {
    const identity = linkIdentity(this.node.namespace, "spare0");
    assert(identity !== undefined);
    return nodeDevice(this.node.route, this.link(), identity);
  }

  /** Moves the link into the pod, which does something with it. */
  moveIn(act: string): NodeDevice {
    const link = this.link();
    const device = this.device();
    moveIn(this.node.route, this.pod.namespace, WANTED, link);
    command(this.pod.namespace, act);
    return device;
  }

  /** What the node has, without what is counted down. */
  state(): string {
    return command(
      this.node.namespace,
      `ip -d link show spare0 | sed 's/ qdisc .* mode/ mode/; s/ state [A-Z]*//'
       ip -o addr show dev spare0 | sed 's/ [0-9]*sec/ some sec/g; s/ tentative//; s/ nodad//'
       ip route show dev spare0
       ip -6 route show dev spare0 | sed 's/ expires [0-9]*sec//; /fe80/d'`,
    );
  }

  [Symbol.dispose](): void {
    this.#opened.dispose();
  }
}

const ADDRESSES = `
  ip addr add 192.0.2.5/24 brd + dev spare0
  ip addr add 192.0.2.6/24 dev spare0 label spare0:x
  ip addr add 198.51.100.1 peer 198.51.100.2/32 dev spare0
  ip addr add 203.0.113.5/24 dev spare0 noprefixroute
  ip addr add 10.1.0.5/24 dev spare0 valid_lft 3600 preferred_lft 1800
  ip addr add 10.2.0.5/24 dev spare0 scope link metric 50
  ip addr add 10.3.0.5/24 dev spare0 preferred_lft 0
  ip addr add fd77::5/64 dev spare0 nodad
  ip addr add fd77::6/64 dev spare0 nodad
  ip addr add fd78::5/64 dev spare0 nodad noprefixroute valid_lft 3600 preferred_lft 1800
  ip addr add fd79::5 peer fd79::6/128 dev spare0 nodad
  ip link set spare0 mtu 1400 alias uplink group 5`;

Deno.test("a link comes back as it was, whatever the pod has done to it", () => {
  using scene = new Scene(ADDRESSES);
  const before = scene.state();
  const device = scene.moveIn(
    `ip addr add 192.0.2.7/24 dev net1
     ip link set net1 address 02:00:00:00:00:99 mtu 1300 alias podnet:vm/x group 28783
     ip link set net1 name mine`,
  );
  giveBack(scene.node, scene.pod, WANTED, device);
  assertEquals(scene.state(), before);
  for (
    const { address, ...found } of scene.device()
      .addresses
  ) {
    const noted = device.addresses.find((a) => a.address.equals(address));
    for (const key of ["validUntil", "preferredUntil"] as const) {
      const [is, was] = [found[key], noted?.[key]];
      assertEquals(is === undefined, was === undefined, `${address} ${key}`);
      // Whole seconds are rounded, and asked for at different times.
      assert(
        is === undefined || was === undefined || Math.abs(is - was) < 60_000,
      );
    }
  }
});

Deno.test("a link that was down without anything comes back so", () => {
  using scene = new Scene("ip link set spare0 down");
  const before = scene.state();
  const device = scene.moveIn("ip link set net1 up alias mine group 7");
  giveBack(scene.node, scene.pod, WANTED, device);
  assertEquals(scene.state(), before);
});

Deno.test("an address whose time has come meanwhile does not come back", () => {
  using scene = new Scene(
    "ip addr add 10.1.0.5/24 dev spare0 valid_lft 3600 preferred_lft 1800",
  );
  const device = scene.moveIn("true");
  const addresses = device.addresses.map((address) => ({
    ...address,
    validUntil: Date.now(),
  }));
  giveBack(scene.node, scene.pod, WANTED, { ...device, addresses });
  assertEquals(scene.device().addresses, []);
});

Deno.test("a link that has come back by itself, as hardware does, has the pod's name for it, and is found by that", () => {
  using scene = new Scene(ADDRESSES);
  const before = scene.state();
  const device = scene.moveIn("true");
  const home = `/proc/${Deno.pid}/fd/${scene.node.namespace.fd}`;
  command(
    scene.pod.namespace,
    `ip link set net1 netns ${home} index ${device.index}`,
  );
  giveBack(scene.node, undefined, WANTED, device);
  assertEquals(scene.state(), before);
});

Deno.test("a link that a pod has hidden behind another comes back once it is on the node again", () => {
  using scene = new Scene(ADDRESSES);
  const before = scene.state();
  const device = scene.moveIn("true");
  const { node, pod } = scene;
  const home = `/proc/${Deno.pid}/fd/${node.namespace.fd}`;
  using hidden = NetworkNamespace.create();
  command(
    pod.namespace,
    `ip link set net1 netns /proc/${Deno.pid}/fd/${hidden.fd}
     ip link add net1 index ${WANTED.index} address ${device.mac} type veth peer name tap0`,
  );
  const error = assertThrows(() => giveBack(node, pod, WANTED, device));
  assert(isSandboxError(error, "DeviceLost"), `${error}`);
  command(
    hidden,
    `ip link set net1 netns ${home} name spare0 index ${device.index}`,
  );
  giveBack(node, pod, WANTED, device);
  assertEquals(scene.state(), before);
  assertMatch(command(pod.namespace, "ip -o link show"), /net1@tap0/);
});

/** As the connection is, but something happens around what it executes. */
function around(
  route: Connection,
  { before, after }: { before?: () => void; after?: () => void },
): Connection {
  return {
    request: route.request.bind(route),
    dump: route.dump.bind(route),
    execute: (requests: Parameters<Connection["execute"]>[0]) => {
      before?.();
      route.execute(requests);
      after?.();
    },
  } as Connection;
}

for (const moment of ["moved", "restored"] as const) {
  Deno.test(`a link that somebody takes when it is being ${moment} is theirs, and that is no error`, () => {
    using scene = new Scene(ADDRESSES);
    const device = scene.moveIn("true");
    using other = NetworkNamespace.create();
    const links = (of = other) => command(of, "ip -o link show");
    const take = () => {
      if (!links(scene.node.namespace).includes("spare0")) return;
      command(
        scene.node.namespace,
        `ip link set spare0 netns /proc/${Deno.pid}/fd/${other.fd}`,
      );
    };
    const { node, pod } = scene;
    if (moment === "moved") {
      const route = around(pod.route, { after: take });
      giveBack(node, { ...pod, route }, WANTED, device);
    } else {
      const route = around(node.route, { before: take });
      giveBack({ ...node, route }, pod, WANTED, device);
    }
    assertMatch(links(), /spare0@.* state DOWN/);
    assertEquals(links(node.namespace).includes("spare0"), false);
  });
}
