/** Addresses: what is written is what the kernel, and ip(8), read. */
import { assertEquals, assertThrows } from "@std/assert";
import { NetlinkError } from "../../src/netlink/netlink_error.ts";
import {
  type Address,
  deleteAddress,
  dumpAddresses,
  type DumpAddressesOptions,
  newAddress,
} from "../../src/rtnetlink/address.ts";
import { RT_SCOPE_LINK } from "../../src/rtnetlink/constants.ts";
import { ip, LO, NEAR, type Side, withPair } from "./pair.ts";

const text = ({ address, prefixLength }: Address) =>
  `${address}/${prefixLength}`;

function list(side: Side, options: DumpAddressesOptions = {}): string[] {
  return side.route.dump(dumpAddresses(options)).map(text);
}

Deno.test("newAddress() gives a link IPv4 and IPv6 addresses", () => {
  withPair((near) => {
    near.route.execute([
      newAddress({ index: NEAR, address: ip("10.1.0.7"), prefixLength: 24 }),
      newAddress({
        index: NEAR,
        address: ip("fd00::7"),
        prefixLength: 64,
        noDad: true,
      }),
    ]);
    assertEquals(list(near, { index: NEAR }), ["10.1.0.7/24", "fd00::7/64"]);
    const [shown] = near.ip("address show dev near0");
    assertEquals(
      (shown?.addr_info as Record<string, unknown>[]).map(
        (info) => `${info.local}/${info.prefixlen} ${info.scope}`,
      ),
      ["10.1.0.7/24 global", "fd00::7/64 global"],
    );
  });
});

Deno.test("newAddress() takes scope, label and protocol", () => {
  withPair((near) => {
    near.route.execute([newAddress({
      index: LO,
      address: ip("10.244.1.1"),
      prefixLength: 32,
      scope: RT_SCOPE_LINK,
      label: "lo:podnet",
      protocol: 112,
    })]);
    const [address] = near.route.dump(dumpAddresses({ index: LO, family: 4 }))
      .filter(({ label }) => label === "lo:podnet");
    assertEquals(
      [address?.scope, address?.protocol, address?.permanent],
      [RT_SCOPE_LINK, 112, true],
    );
  });
});

Deno.test("newAddress() is refused with EEXIST only when it is exclusive", () => {
  withPair((near) => {
    for (
      const [address, prefixLength] of [["10.1.0.7", 32], [
        "fd00::7",
        128,
      ]] as const
    ) {
      const options = {
        index: NEAR,
        address: ip(address),
        prefixLength,
        noDad: true,
      };
      near.route.execute([newAddress({ ...options, exclusive: true })]);
      near.route.execute([newAddress(options)]);
      assertThrows(
        () => near.route.execute([newAddress({ ...options, exclusive: true })]),
        NetlinkError,
        "EEXIST",
      );
    }
  });
});

Deno.test("newAddress() gives an IPv6 address for a while, or for good, with and without a route to its network", () => {
  withPair((near) => {
    const one = {
      index: NEAR,
      address: ip("fd00::7"),
      prefixLength: 64,
      noDad: true,
    };
    const permanent = () =>
      near.route.dump(dumpAddresses({ index: NEAR, family: 6 }))
        .map((found) => [text(found), found.permanent]);
    const routes = () =>
      near.ip("-6 route show dev near0").map(({ dst }) => dst);
    near.route.execute([
      newAddress({ ...one, noPrefixRoute: true, validSeconds: 3600 }),
    ]);
    assertEquals(permanent(), [["fd00::7/64", false]]);
    assertEquals(routes(), []);
    const [shown] = near.ip("-6 address show dev near0");
    const [info] = shown?.addr_info as Record<string, number>[];
    assertEquals(
      [info?.valid_life_time, info?.preferred_life_time]
        .map((seconds = 0) => seconds > 3500 && seconds <= 3600),
      [true, true],
    );
    near.route.execute([newAddress({ ...one, noPrefixRoute: true })]);
    assertEquals(permanent(), [["fd00::7/64", true]]);
    assertEquals(routes(), []);
    near.route.execute([newAddress(one)]);
    assertEquals(routes(), ["fd00::/64"]);
  });
});

Deno.test("a new IPv6 address is tentative when duplicate detection is on", () => {
  withPair((near) => {
    const address = ip("fd00::7");
    near.route.execute([
      newAddress({ index: NEAR, address, prefixLength: 128 }),
    ]);
    const [found] = near.route.dump(dumpAddresses({ index: NEAR, family: 6 }));
    assertEquals([found?.tentative, found?.duplicate], [true, false]);
  });
});

Deno.test("deleteAddress() takes the address away", () => {
  withPair((near) => {
    const one = { index: NEAR, address: ip("10.1.0.7"), prefixLength: 32 };
    near.route.execute([newAddress(one), deleteAddress(one)]);
    assertEquals(list(near, { index: NEAR }), []);
    assertThrows(
      () => near.route.execute([deleteAddress(one)]),
      NetlinkError,
      "delete address 10.1.0.7/32 of link #100: EADDRNOTAVAIL",
    );
  });
});

Deno.test("dumpAddresses() reports one link or one family", () => {
  withPair((near) => {
    near.route.execute([
      newAddress({ index: NEAR, address: ip("10.1.0.7"), prefixLength: 32 }),
    ]);
    assertEquals(list(near), ["127.0.0.1/8", "10.1.0.7/32", "::1/128"]);
    assertEquals(list(near, { family: 6 }), ["::1/128"]);
    assertEquals(list(near, { index: LO }), ["127.0.0.1/8", "::1/128"]);
    assertEquals(list(near, { index: NEAR, family: 4 }), ["10.1.0.7/32"]);
  });
});
