/** Routes: what is written is what the kernel, and ip(8), read. */
import { assertEquals, assertThrows } from "@std/assert";
import { Cidr } from "../../src/net/cidr.ts";
import { NetlinkError } from "../../src/netlink/netlink_error.ts";
import { newAddress } from "../../src/rtnetlink/address.ts";
import { newLink, setLink } from "../../src/rtnetlink/link.ts";
import {
  deleteRoute,
  dumpRoutes,
  type DumpRoutesOptions,
  getRoute,
  newRoute,
  type Route,
  ROUTE_PROTOCOL,
} from "../../src/rtnetlink/route.ts";
import { host, ip, LO, NEAR, type Side, withPair } from "./pair.ts";

function list(side: Side, options: DumpRoutesOptions = {}): Route[] {
  return side.route.dump(dumpRoutes({ protocol: ROUTE_PROTOCOL, ...options }));
}

const destinations = (routes: readonly Route[]) =>
  routes.map(({ destination }) => String(destination));

Deno.test("newRoute() adds routes of podnet with a source address", () => {
  withPair((near) => {
    near.route.execute([
      newAddress({ index: LO, address: ip("10.244.1.1"), prefixLength: 32 }),
      newAddress({
        index: LO,
        address: ip("fd00::1"),
        prefixLength: 128,
        noDad: true,
      }),
      newRoute({
        destination: host("10.244.1.7"),
        index: NEAR,
        source: ip("10.244.1.1"),
      }),
      newRoute({
        destination: host("fd00::7"),
        index: NEAR,
        source: ip("fd00::1"),
      }),
    ]);
    assertEquals(
      list(near).map((route) => [
        route.family,
        String(route.destination),
        route.index,
        String(route.source),
        route.type,
        route.table,
      ]),
      [
        [4, "10.244.1.7/32", NEAR, "10.244.1.1", "unicast", 254],
        [6, "fd00::7/128", NEAR, "fd00::1", "unicast", 254],
      ],
    );
    assertEquals(
      near.ip("route show proto 112").map((
        r,
      ) => [r.dst, r.dev, r.prefsrc, r.scope]),
      [["10.244.1.7", "near0", "10.244.1.1", "link"]],
    );
  });
});

Deno.test("newRoute() with onlink believes that the gateway is there", () => {
  withPair((near) => {
    const gateways = [[4, "169.254.1.1"], [6, "fe80::1"]] as const;
    for (const [family, gateway] of gateways) {
      const options = {
        destination: "default",
        family,
        index: NEAR,
        gateway: ip(gateway),
      } as const;
      if (family === 4) {
        assertThrows(
          () => near.route.execute([newRoute(options)]),
          NetlinkError,
          "add route default (IPv4): ENETUNREACH",
        );
      }
      near.route.execute([newRoute({ ...options, onlink: true })]);
      const [route] = list(near, { family });
      assertEquals(
        [route?.destination, String(route?.gateway), route?.onlink],
        ["default", gateway, true],
      );
    }
  });
});

Deno.test("newRoute() claims a destination whatever the link when it is exclusive", () => {
  withPair((near) => {
    near.route.execute([
      newLink({ name: "br0", index: 77, up: true, info: { bridge: {} } }),
      setLink({ index: LO, up: true }),
    ]);
    for (const destination of [host("10.244.1.7"), host("fd00::7")]) {
      near.route.execute([
        newRoute({ destination, index: NEAR, exclusive: true }),
      ]);
      for (const index of [NEAR, 77]) {
        const error = assertThrows(
          () =>
            near.route.execute([
              newRoute({ destination, index, exclusive: true }),
            ]),
          NetlinkError,
        );
        assertEquals(error.code, "EEXIST");
      }
    }
  });
});

Deno.test("newRoute() replaces the route to the destination when it is not exclusive", () => {
  withPair((near) => {
    near.route.execute([
      newLink({ name: "br0", index: 77, up: true, info: { bridge: {} } }),
      newRoute({ destination: host("10.244.1.7"), index: NEAR }),
      newRoute({ destination: host("10.244.1.7"), index: 77 }),
    ]);
    assertEquals(list(near).map(({ index }) => index), [77]);
  });
});

Deno.test("newRoute() is refused with ENETDOWN when the link is down", () => {
  withPair((near) => {
    near.route.execute([setLink({ index: NEAR, up: false })]);
    assertThrows(
      () =>
        near.route.execute([
          newRoute({ destination: host("10.244.1.7"), index: NEAR }),
        ]),
      NetlinkError,
      "ENETDOWN",
    );
  });
});

Deno.test("newRoute() takes tables beyond 255, metrics, and types without a link", () => {
  withPair((near) => {
    near.route.execute([
      newRoute({
        destination: Cidr.parse("10.9.0.0/16"),
        index: NEAR,
        table: 1000,
        priority: 50,
      }),
      newRoute({ destination: Cidr.parse("10.8.0.0/16"), type: "blackhole" }),
      newRoute({
        destination: Cidr.parse("fd09::/32"),
        index: NEAR,
        table: 100000,
      }),
    ]);
    const [far] = list(near, { table: 1000 });
    assertEquals(
      [String(far?.destination), far?.table, far?.priority],
      ["10.9.0.0/16", 1000, 50],
    );
    assertEquals(
      list(near, { table: 254 }).map((r) => [String(r.destination), r.type]),
      [["10.8.0.0/16", "blackhole"]],
    );
    assertEquals(destinations(list(near, { table: 100000 })), ["fd09::/32"]);
  });
});

Deno.test("deleteRoute() deletes a route of podnet and nobody else's", () => {
  withPair((near) => {
    for (const destination of [host("10.244.1.7"), host("fd00::7")]) {
      near.route.execute([
        newRoute({ destination, index: NEAR, protocol: 4 }),
      ]);
      assertThrows(
        () => near.route.execute([deleteRoute({ destination })]),
        NetlinkError,
        `delete route ${destination}: ESRCH`,
      );
      near.route.execute([
        deleteRoute({ destination, protocol: 4 }),
        newRoute({ destination, index: NEAR }),
        deleteRoute({ destination, index: NEAR }),
      ]);
    }
    assertEquals(list(near), []);
  });
});

Deno.test("getRoute() tells which way a packet would go", () => {
  withPair((near) => {
    near.route.execute([
      newAddress({ index: NEAR, address: ip("10.1.0.1"), prefixLength: 32 }),
      newRoute({
        destination: "default",
        family: 4,
        index: NEAR,
        gateway: ip("169.254.1.1"),
        onlink: true,
      }),
    ]);
    const [route] = near.route.request(getRoute(ip("192.0.2.1")));
    assertEquals(
      [route?.index, String(route?.gateway), String(route?.source)],
      [NEAR, "169.254.1.1", "10.1.0.1"],
    );
    const [own] = near.route.request(getRoute(ip("10.1.0.1")));
    assertEquals(own?.type, "local");
    assertThrows(
      () => near.route.request(getRoute(ip("2001:db8::1"))),
      NetlinkError,
      "get route to 2001:db8::1: ENETUNREACH",
    );
  });
});

Deno.test("dumpRoutes() reports what its filters let through", () => {
  withPair((near) => {
    near.route.execute([
      newRoute({ destination: host("10.244.1.7"), index: NEAR }),
      newRoute({ destination: host("10.244.1.8"), index: NEAR, protocol: 4 }),
      newRoute({ destination: host("10.244.1.9"), index: LO }),
      newRoute({ destination: host("fd00::7"), index: NEAR }),
    ]);
    assertEquals(destinations(list(near)), [
      "10.244.1.7/32",
      "10.244.1.9/32",
      "fd00::7/128",
    ]);
    assertEquals(destinations(list(near, { family: 6 })), ["fd00::7/128"]);
    assertEquals(
      destinations(list(near, { family: 4, index: LO })),
      ["10.244.1.9/32"],
    );
    assertEquals(destinations(list(near, { protocol: 4 })), ["10.244.1.8/32"]);
    assertThrows(
      () => list(near, { family: 4, table: 4000 }),
      NetlinkError,
      "dump routes: ENOENT",
    );
    assertEquals(list(near, { table: 4000 }), []);
  });
});

Deno.test("newRoute() refuses a family that the network is not of", () => {
  assertThrows(
    () => newRoute({ destination: host("10.0.0.1"), family: 6, index: LO }),
    TypeError,
    "10.0.0.1/32 is not an IPv6 network",
  );
});
