/** What the compiler must accept and refuse: `deno check` fails when the types of a table regress. */
import { assertEquals } from "@std/assert";
import type { UnknownAttr } from "../../src/netlink/attrs.ts";
import type { LinkReference } from "../../src/rtnetlink/link.ts";
import { setLink } from "../../src/rtnetlink/link.ts";
import type { NewRouteOptions } from "../../src/rtnetlink/route.ts";
import type { LinkAttrs, LinkInfo } from "../../src/rtnetlink/tables.ts";

type Equal<A, B> = (<T>() => T extends A ? 1 : 2) extends
  (<T>() => T extends B ? 1 : 2) ? true : false;
function assertType<_T extends true>(): void {}

assertType<Equal<LinkAttrs["mtu"], number | undefined>>();
assertType<Equal<LinkAttrs["ifname"], string | undefined>>();
assertType<Equal<LinkAttrs["address"], Uint8Array | undefined>>();
assertType<Equal<LinkAttrs["$unknown"], readonly UnknownAttr[] | undefined>>();
assertType<
  Equal<
    NonNullable<NonNullable<LinkAttrs["afSpec"]>["inet6"]>["addrGenMode"],
    "eui64" | "none" | "stablePrivacy" | "random" | number | undefined
  >
>();

export const good: readonly LinkAttrs[] = [
  { ifname: "a", linkinfo: { veth: { peer: { header: {}, attrs: {} } } } },
  { linkinfo: { $other: { name: "wireguard" } } },
  { linkinfo: { bridge: { ageingTime: 1 }, $unknown: [] } },
];
export const bad: readonly LinkAttrs[] = [
  // @ts-expect-error mtu is a number
  { mtu: "1500" },
  // @ts-expect-error there is no such attribute
  { mtuu: 1500 },
  // @ts-expect-error a VLAN has no peer
  { linkinfo: { vlan: { peer: {} } } },
  // @ts-expect-error a kind without a format goes under $other
  { linkinfo: { wireguard: new Uint8Array() } },
];
// @ts-expect-error by number or by name, not both
export const both: LinkReference = { index: 1, name: "lo" };
// @ts-expect-error the default route has no IP version of its own
export const noFamily: NewRouteOptions = { destination: "default", index: 1 };

/** `in` tells the kinds apart. */
export function ageing(info: LinkInfo): number | undefined {
  return "bridge" in info ? info.bridge.ageingTime : undefined;
}

Deno.test("a kind of link is told by the key of its options", () => {
  assertEquals(ageing({ bridge: { ageingTime: 5 } }), 5);
  assertEquals(ageing({ dummy: {} }), undefined);
  assertEquals(setLink({ index: 1, up: true }).value.header.flags, 1);
});
