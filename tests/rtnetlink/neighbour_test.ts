/** Neighbours: what is written is what the kernel, and ip(8), read. */
import { assertEquals, assertThrows } from "@std/assert";
import { NetlinkError } from "../../src/netlink/netlink_error.ts";
import {
  deleteNeighbour,
  dumpNeighbours,
  type DumpNeighboursOptions,
  newNeighbour,
} from "../../src/rtnetlink/neighbour.ts";
import { FAR_MAC, ip, LO, mac, NEAR, type Side, withPair } from "./pair.ts";

function list(side: Side, options: DumpNeighboursOptions = {}): string[] {
  return side.route.dump(dumpNeighbours(options))
    .filter(({ permanent }) => permanent)
    .map((n) => `${n.address} is ${n.mac} on ${n.index}`).sort();
}

Deno.test("newNeighbour() sets permanent neighbours of both families", () => {
  withPair((near) => {
    near.route.execute([
      newNeighbour({ index: NEAR, address: ip("169.254.1.1"), mac: FAR_MAC }),
      newNeighbour({ index: NEAR, address: ip("fe80::1"), mac: FAR_MAC }),
    ]);
    assertEquals(list(near), [
      "169.254.1.1 is 02:00:5e:00:00:02 on 100",
      "fe80::1 is 02:00:5e:00:00:02 on 100",
    ]);
    assertEquals(
      near.ip("neighbour show dev near0").map((
        n,
      ) => [n.dst, n.lladdr, n.state]),
      [
        ["169.254.1.1", "02:00:5e:00:00:02", ["PERMANENT"]],
        ["fe80::1", "02:00:5e:00:00:02", ["PERMANENT"]],
      ],
    );
  });
});

Deno.test("newNeighbour() replaces what was set before", () => {
  withPair((near) => {
    const address = ip("169.254.1.1");
    near.route.execute([
      newNeighbour({ index: NEAR, address, mac: FAR_MAC }),
      newNeighbour({ index: NEAR, address, mac: mac("02:00:00:00:00:99") }),
    ]);
    assertEquals(list(near), ["169.254.1.1 is 02:00:00:00:00:99 on 100"]);
  });
});

Deno.test("deleteNeighbour() deletes it, and is refused when it is not there", () => {
  withPair((near) => {
    for (const text of ["169.254.1.1", "fe80::1"]) {
      const address = ip(text);
      near.route.execute([
        newNeighbour({ index: NEAR, address, mac: FAR_MAC }),
        deleteNeighbour({ index: NEAR, address }),
      ]);
      assertEquals(list(near), []);
    }
    assertThrows(
      () =>
        near.route.execute([
          deleteNeighbour({ index: NEAR, address: ip("10.0.0.1") }),
        ]),
      NetlinkError,
      "delete neighbour 10.0.0.1 on link #100: ENOENT",
    );
  });
});

Deno.test("dumpNeighbours() reports one link or one family", () => {
  withPair((near) => {
    near.route.execute([
      newNeighbour({ index: NEAR, address: ip("10.0.0.1"), mac: FAR_MAC }),
      newNeighbour({ index: NEAR, address: ip("fd00::1"), mac: FAR_MAC }),
      newNeighbour({ index: LO, address: ip("10.0.0.2"), mac: FAR_MAC }),
    ]);
    assertEquals(list(near, { family: 6 }), [
      "fd00::1 is 02:00:5e:00:00:02 on 100",
    ]);
    assertEquals(list(near, { index: NEAR }).length, 2);
    assertEquals(list(near, { index: NEAR, family: 4 }), [
      "10.0.0.1 is 02:00:5e:00:00:02 on 100",
    ]);
  });
});
