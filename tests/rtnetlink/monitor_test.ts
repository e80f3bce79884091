/** Changes as the kernel reports them. */
import { assert, assertEquals } from "@std/assert";
import { deleteAddress, newAddress } from "../../src/rtnetlink/address.ts";
import {
  deleteLink,
  newLink,
  newVeth,
  setLink,
} from "../../src/rtnetlink/link.ts";
import { type Change, monitor } from "../../src/rtnetlink/monitor.ts";
import { newNeighbour } from "../../src/rtnetlink/neighbour.ts";
import { deleteRoute, newRoute } from "../../src/rtnetlink/route.ts";
import { inNewNamespace } from "../netlink/isolated.ts";
import { FAR_MAC, host, ip, LO, NEAR_MAC, Side } from "./pair.ts";

function describe(change: Change): string {
  if ("link" in change) return `${change.action} link ${change.link.name}`;
  if ("address" in change) {
    return `${change.action} address ${change.address.address}`;
  }
  if ("route" in change) {
    return `${change.action} route ${change.route.destination}`;
  }
  return `${change.action} neighbour ${change.neighbour.address}`;
}

Deno.test("monitor() reports changes of every topic, and none of other topics", async () => {
  const { side, all, links } = inNewNamespace(() => {
    const side = new Side();
    side.route.execute([setLink({ index: LO, up: true })]);
    return {
      side,
      all: monitor(["link", "address", "route", "neighbour"]),
      links: monitor(["link"]),
    };
  });
  using _side = side;
  await using _all = all;
  await using _links = links;
  const address = { index: LO, address: ip("10.1.0.7"), prefixLength: 32 };
  side.route.execute([
    newLink({ name: "br0", index: 77, info: { bridge: {} } }),
    // The bridge reports its port, and that it has left, as a link of another family.
    newVeth({
      name: "port0",
      index: 78,
      mac: NEAR_MAC,
      peer: { name: "port1", mac: FAR_MAC },
    }),
    setLink({ index: 78, master: 77 }),
    setLink({ index: 78, master: 0 }),
    newAddress(address),
    newRoute({ destination: host("10.1.0.8"), index: LO }),
    newNeighbour({ index: 78, address: ip("10.1.0.9"), mac: FAR_MAC }),
    deleteRoute({ destination: host("10.1.0.8") }),
    deleteAddress(address),
    deleteLink({ index: 77 }),
  ]);
  const expected = [
    "set link br0",
    "set address 10.1.0.7",
    "set route 10.1.0.8/32",
    "set neighbour 10.1.0.9",
    "delete route 10.1.0.8/32",
    "delete address 10.1.0.7",
    "delete link br0",
  ];
  const seen: string[] = [];
  for await (const event of all) {
    assert(!event.overflow);
    const text = describe(event.value);
    if (!seen.includes(text)) seen.push(text);
    if (text === "delete link br0") break;
  }
  assertEquals(seen.filter((text) => expected.includes(text)), expected);
  assert(!seen.includes("delete link port0"), seen.join());

  const ofLinks: string[] = [];
  for await (const event of links) {
    assert(!event.overflow);
    const text = describe(event.value);
    ofLinks.push(text);
    if (text === "delete link br0") break;
  }
  assert(ofLinks.every((text) => text.includes("link")), ofLinks.join());
});
