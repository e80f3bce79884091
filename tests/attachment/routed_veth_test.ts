/**
 * Claiming and giving back addresses: the kernel's host route is the claim.
 *
 * @module
 */
import { assert, assertEquals, assertThrows } from "@std/assert";
import {
  type AddressWish,
  releaseAddresses,
  releaseLink,
} from "../../src/attachment/address_claims.ts";
import type { PodLink } from "../../src/attachment/pod_link.ts";
import {
  attachHost,
  attachPod,
  detachHost,
  finishLink,
  makeLink,
  reattachPod,
} from "../../src/attachment/routed_veth.ts";
import { isSandboxError, SandboxError } from "../../src/errors.ts";
import { NetworkNamespace } from "../../src/namespace/network_namespace.ts";
import { IpAddress } from "../../src/net/ip.ts";
import { MacAddress } from "../../src/net/mac.ts";
import { Connection } from "../../src/netlink/connection.ts";
import { NETLINK_ROUTE } from "../../src/netlink/message.ts";
import { isNetlinkError } from "../../src/netlink/netlink_error.ts";
import { command, ipLinks, ipRoutes } from "../support/command.ts";

const GATEWAYS = { 4: "10.99.0.1", 6: "fd00:99::1" } as const;

/** A node, and pods that hang on it. */
class Wiring implements Disposable {
  readonly node: NetworkNamespace;
  readonly route: Connection;
  readonly #owned = new DisposableStack();

  constructor() {
    this.node = this.#owned.use(NetworkNamespace.create());
    this.route = this.#connect(this.node);
    command(
      this.node,
      `ip link set lo up; ip addr add ${GATEWAYS[4]}/32 dev lo; ip addr add ${
        GATEWAYS[6]
      }/128 dev lo nodad`,
    );
  }

  /** A pod's link with what it claims: in each family one of the addresses. */
  attach(number: number, ...wishes: readonly (readonly string[])[]) {
    const namespace = this.#owned.use(NetworkNamespace.create());
    const podRoute = this.#connect(namespace);
    const link = linkOf(number);
    const asked = wishes.map((candidates): AddressWish => {
      const addresses = candidates.map((text) => IpAddress.parse(text));
      return {
        gateway: IpAddress.parse(GATEWAYS[addresses[0]?.family ?? 4]),
        first: addresses[0],
        others: () => addresses.slice(1),
        exhausted: (last) =>
          new SandboxError("AddressInUse", { address: String(last) }),
      };
    });
    makeLink(this.route, namespace, link);
    const claimed = attachHost(this.route, link, asked, () => 999);
    attachPod(podRoute, link, claimed);
    finishLink(this.route, podRoute, link, claimed);
    const addresses = claimed.map(({ address }) => address);
    const texts = addresses.map(String);
    return { namespace, podRoute, link, claimed, addresses, texts };
  }

  /** Host routes of the pods: `10.99.0.2 dev pn-1`. */
  routes(): string[] {
    return ([4, 6] as const).flatMap((family) =>
      ipRoutes(this.node, family, "proto 112")
        .map(({ dst, dev }) => `${dst} dev ${dev}`)
    );
  }

  neighbours(): string[] {
    return command(this.node, "ip neigh show nud permanent").split("\n")
      .filter((line) => line.includes("dev pn-"))
      .map((line) => line.split(" ").slice(0, 3).join(" "));
  }

  [Symbol.dispose](): void {
    this.#owned[Symbol.dispose]();
  }

  #connect(namespace: NetworkNamespace): Connection {
    return this.#owned.use(
      namespace.run(() => Connection.open(NETLINK_ROUTE)),
    );
  }
}

function linkOf(number: number): PodLink {
  return {
    hostInterface: `pn-${number}`,
    hostIndex: 1000 + number,
    alias: `podnet:test/${number}`,
    podIndex: 2,
    interfaceName: "eth0",
    mac: MacAddress.parse(`02:00:00:00:00:0${number}`),
    mtu: 1500,
    ipv6: true,
    defaultRoute: true,
    ownTable: false,
    routes: [],
  };
}

Deno.test("attachHost() takes the next candidate when another link or the node itself has one", () => {
  using wiring = new Wiring();
  assertEquals(wiring.attach(1, ["10.99.0.2"], ["fd00:99::2"]).texts, [
    "10.99.0.2",
    "fd00:99::2",
  ]);
  const second = wiring.attach(
    2,
    [GATEWAYS[4], "10.99.0.2", "10.99.0.3", "10.99.0.4"],
    ["fd00:99::2", GATEWAYS[6], "fd00:99::3"],
  );
  assertEquals(second.texts, ["10.99.0.3", "fd00:99::3"]);
  const expected = [
    "10.99.0.2 dev pn-1",
    "10.99.0.3 dev pn-2",
    "fd00:99::2 dev pn-1",
    "fd00:99::3 dev pn-2",
  ];
  assertEquals(wiring.routes().sort(), expected);
  // Nothing is left of the candidates that were tried in vain.
  assertEquals(wiring.neighbours().sort(), expected);
});

Deno.test("a new end has its IPv6 address for a while until it is finished, one that is in use for good all the time", () => {
  using wiring = new Wiring();
  const { namespace, podRoute, link, claimed } = wiring.attach(
    1,
    ["10.99.0.2"],
    ["fd00:99::2"],
  );
  const isForGood = () =>
    command(namespace, "ip -6 addr show dev eth0")
      .includes("valid_lft forever");
  const routes = () =>
    command(namespace, "ip route; ip -6 route").trim().split("\n")
      .map((line) => line.split(" ").slice(0, 3).join(" "));
  const usual = [`default via ${GATEWAYS[4]}`, `default via ${GATEWAYS[6]}`];
  assertEquals([isForGood(), routes()], [true, usual]);
  command(namespace, "ip route del default");
  reattachPod(podRoute, link, claimed);
  assertEquals(isForGood(), true);
  finishLink(wiring.route, podRoute, link, claimed);
  assertEquals([isForGood(), routes()], [true, usual]);
  attachPod(podRoute, link, claimed);
  assertEquals(isForGood(), false);
  finishLink(wiring.route, podRoute, link, claimed);
  assertEquals([isForGood(), routes()], [true, usual]);
});

Deno.test("releaseLink() gives the first family back when the second has no address left", () => {
  using wiring = new Wiring();
  wiring.attach(1, ["10.99.0.2"], ["fd00:99::2"]);
  const error = assertThrows(
    () => wiring.attach(2, ["10.99.0.3"], ["fd00:99::2"]),
    SandboxError,
  );
  assert(isSandboxError(error, "AddressInUse"));
  assertEquals(error.context.address, "fd00:99::2");
  releaseLink(wiring.route, linkOf(2).hostIndex);
  assertEquals(wiring.routes(), ["10.99.0.2 dev pn-1", "fd00:99::2 dev pn-1"]);
});

Deno.test("makeLink() tells the kernel's refusal of a link that is there already", () => {
  using wiring = new Wiring();
  wiring.attach(1, ["10.99.0.2"]);
  try {
    wiring.attach(1, ["10.99.0.3"]);
    assert(false, "there are two links of one name");
  } catch (error) {
    assert(isNetlinkError(error, 17), String(error)); // EEXIST
    assertEquals(error.operation, "create veth pn-1");
    // Nothing was done to the link that is there.
    assertEquals(wiring.routes(), ["10.99.0.2 dev pn-1"]);
  }
});

Deno.test("releaseAddresses() leaves the route of another link, and does nothing the second time", () => {
  using wiring = new Wiring();
  const first = wiring.attach(1, ["10.99.0.2"], ["fd00:99::2"]);
  releaseAddresses(wiring.route, first.link.hostIndex, first.addresses);
  assertEquals(wiring.routes(), []);
  wiring.attach(2, ["10.99.0.2"], ["fd00:99::2"]);
  releaseAddresses(wiring.route, first.link.hostIndex, first.addresses);
  assertEquals(wiring.routes(), ["10.99.0.2 dev pn-2", "fd00:99::2 dev pn-2"]);
});

Deno.test("detachHost() deletes the link of this name and number only, and does nothing the second time", () => {
  using wiring = new Wiring();
  const { link, namespace } = wiring.attach(1, ["10.99.0.2"]);
  const pods = () =>
    ipLinks(wiring.node).map(({ ifname }) => ifname)
      .filter((name) => name.startsWith("pn-"));
  detachHost(wiring.route, { ...link, hostInterface: "pn-other" });
  assertEquals(pods(), ["pn-1"]);
  detachHost(wiring.route, link);
  detachHost(wiring.route, link);
  assertEquals(pods(), []);
  assertEquals(ipLinks(namespace).map(({ ifname }) => ifname), ["lo"]);
});
