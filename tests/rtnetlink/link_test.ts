/** Links: what is written is what the kernel, and ip(8), read. */
import { assert, assertEquals, assertThrows } from "@std/assert";
import { readTextFile } from "../../ffi/file.ts";
import { kernelName } from "../../src/netlink/attrs.ts";
import { NetlinkError } from "../../src/netlink/netlink_error.ts";
import { dumpAddresses } from "../../src/rtnetlink/address.ts";
import {
  type Ipv4Devconf,
  ipv4DevconfAttrs,
} from "../../src/rtnetlink/devconf.ts";
import {
  deleteLink,
  dumpLinks,
  getLink,
  type Link,
  type LinkReference,
  newLink,
  newVeth,
  setLink,
} from "../../src/rtnetlink/link.ts";
import { inNewNamespace } from "../netlink/isolated.ts";
import {
  FAR,
  FAR_MAC,
  LO,
  mac,
  NEAR,
  NEAR_MAC,
  Side,
  withPair,
} from "./pair.ts";

function get(side: Side, reference: LinkReference): Link {
  const [link] = side.route.request(getLink(reference));
  assert(link !== undefined);
  return link;
}

function sysctl(side: Side, name: string): string {
  return side.inside(() => readTextFile(`/proc/sys/net/${name}`)).trim();
}

Deno.test("newVeth() makes a pair with the numbers, names and addresses given, both ends down", () => {
  using near = inNewNamespace(() => new Side());
  using far = inNewNamespace(() => new Side());
  near.route.execute([newVeth({
    name: "pn-0123456789ab",
    index: 4711,
    mac: NEAR_MAC,
    mtu: 1400,
    peer: {
      name: "eth0",
      index: 2,
      mac: FAR_MAC,
      mtu: 1300,
      namespaceFd: far.namespace.fd,
    },
  })]);
  const here = get(near, { name: "pn-0123456789ab" });
  assertEquals(
    [here.index, here.kind, here.mtu, here.up, String(here.mac)],
    [4711, "veth", 1400, false, String(NEAR_MAC)],
  );
  assertEquals([here.peerIndex, here.peerNamespaceId], [2, 0]);
  assertEquals(here.queues, { transmit: 1, receive: 1 });
  const there = get(far, { index: 2 });
  assertEquals(
    [there.name, there.kind, there.mtu, there.up, String(there.mac)],
    ["eth0", "veth", 1300, false, String(FAR_MAC)],
  );
  assertEquals(there.queues, { transmit: 1, receive: 1 });

  const [shown] = near.ip("-d link show dev pn-0123456789ab");
  assertEquals(
    [shown?.ifindex, shown?.mtu, shown?.address],
    [4711, 1400, String(NEAR_MAC)],
  );
  assertEquals([shown?.num_tx_queues, shown?.num_rx_queues], [1, 1]);
});

Deno.test("newVeth() makes both ends here when no namespace is given", () => {
  using side = inNewNamespace(() => new Side());
  side.route.execute([newVeth({
    name: "a",
    mac: NEAR_MAC,
    peer: { name: "b", mac: FAR_MAC },
  })]);
  assertEquals(
    get(side, { name: "a" }).peerIndex,
    get(side, { name: "b" }).index,
  );
});

Deno.test("newVeth() refuses a number of the peer alone, which the kernel would ignore", () => {
  assertThrows(
    () =>
      newVeth({
        name: "a",
        mac: NEAR_MAC,
        peer: { name: "b", mac: FAR_MAC, index: 9 },
      }),
    TypeError,
    "to choose the index of b, choose that of a too",
  );
});

Deno.test("newVeth() is refused when a name or a number is taken", () => {
  withPair((near, far) => {
    const namespaceFd = far.namespace.fd;
    const changes = [
      [{ name: "near0" }, "EEXIST"],
      [{ index: NEAR }, "EEXIST"],
      [{ peer: { name: "far0", mac: FAR_MAC, namespaceFd } }, "EEXIST"],
      [{ peer: { name: "x", index: FAR, mac: FAR_MAC, namespaceFd } }, "EBUSY"],
    ] as const;
    for (const [change, code] of changes) {
      const error = assertThrows(
        () =>
          near.route.execute([newVeth({
            name: "new0",
            index: 200,
            mac: NEAR_MAC,
            peer: { name: "new1", mac: FAR_MAC },
            ...change,
          })]),
        NetlinkError,
      );
      assertEquals(error.code, code, Object.keys(change).join());
    }
  });
});

Deno.test("newLink() makes a bridge with its options", () => {
  using side = inNewNamespace(() => new Side());
  side.route.execute([newLink({
    name: "br0",
    index: 77,
    mac: mac("02:00:5e:00:00:77"),
    mtu: 1450,
    up: true,
    info: { bridge: { ageingTime: 12000, mcastSnooping: 0 } },
  })]);
  const bridge = get(side, { name: "br0" });
  assertEquals(
    [
      bridge.index,
      bridge.kind,
      bridge.mtu,
      bridge.up,
      String(bridge.mac),
    ],
    [77, "bridge", 1450, true, "02:00:5e:00:00:77"],
  );
  assert(bridge.info !== undefined && "bridge" in bridge.info);
  assertEquals(
    [bridge.info.bridge.ageingTime, bridge.info.bridge.mcastSnooping],
    [12000, 0],
  );
});

Deno.test("setLink() changes what is given and nothing else", () => {
  withPair((near) => {
    const before = get(near, { index: NEAR });
    near.route.execute([setLink({ index: NEAR, mtu: 1280 })]);
    const smaller = get(near, { index: NEAR });
    assertEquals([smaller.mtu, smaller.up], [1280, true]);
    assertEquals(String(smaller.mac), String(before.mac));

    near.route.execute([
      setLink({ name: "near0", alias: "mine" }),
      setLink({ index: NEAR, up: false }),
      setLink({ index: NEAR, mac: mac("02:00:00:00:00:99") }),
    ]);
    const changed = get(near, { index: NEAR });
    assertEquals(
      [changed.alias, changed.up, String(changed.mac)],
      ["mine", false, "02:00:00:00:00:99"],
    );
    near.route.execute([setLink({ index: NEAR, alias: "" })]);
    assertEquals(get(near, { index: NEAR }).alias, undefined);
  });
});

Deno.test("setLink() sets IPv4 sysctls of the device without /proc", () => {
  withPair((near) => {
    near.route.execute([setLink({
      index: NEAR,
      ipv4: { forwarding: 1, rpFilter: 2, acceptRedirects: 0, arpIgnore: 1 },
    })]);
    const { ipv4 } = get(near, { index: NEAR });
    const names = ["forwarding", "rp_filter", "accept_redirects", "arp_ignore"];
    assertEquals(
      names.map((name) => sysctl(near, `ipv4/conf/near0/${name}`)),
      ["1", "2", "0", "1"],
    );
    assertEquals(
      [
        ipv4?.forwarding,
        ipv4?.rpFilter,
        ipv4?.acceptRedirects,
        ipv4?.arpIgnore,
      ],
      [1, 2, 0, 1],
    );
    assertEquals(sysctl(near, "ipv4/conf/all/forwarding"), "0");
  });
});

Deno.test("every IPv4 sysctl that a link reports is the one of /proc", () => {
  withPair((near) => {
    const names = Object.keys(ipv4DevconfAttrs.rows) as (keyof Ipv4Devconf)[];
    // Different values, so that no two can be confused; the kernel does not check them here.
    const values = names.map((name, i) => [name, 20 + i] as const);
    near.route.execute([
      setLink({ index: NEAR, ipv4: Object.fromEntries(values) }),
    ]);
    const { ipv4 } = get(near, { index: NEAR });
    for (const name of names) {
      assertEquals(
        String(ipv4?.[name]),
        sysctl(near, `ipv4/conf/near0/${FILES.get(name) ?? snakeCase(name)}`),
        name,
      );
    }
    for (const [name, value] of values) assertEquals(ipv4?.[name], value, name);
  });
});

/** Sysctls whose file is not named as the constant is. */
const FILES = new Map<string, string>([["arpfilter", "arp_filter"]]);

function snakeCase(name: string): string {
  return kernelName("", name).toLowerCase();
}

Deno.test("setLink() with addrGenMode none leaves a link without a link-local address", () => {
  withPair((near) => {
    assertEquals(get(near, { index: NEAR }).addrGenMode, "none");
    assertEquals(
      near.route.dump(dumpAddresses({ index: NEAR, family: 6 })),
      [],
    );
    assertEquals(sysctl(near, "ipv6/conf/near0/addr_gen_mode"), "1");
  });
});

Deno.test("setLink() renames a link given by its number", () => {
  withPair((near) => {
    near.route.execute([
      setLink({ index: NEAR, up: false, rename: "renamed" }),
    ]);
    assertEquals(get(near, { index: NEAR }).name, "renamed");
    assertThrows(
      () => setLink({ name: "renamed", rename: "again" }),
      TypeError,
      "give its index",
    );
  });
});

Deno.test("setLink() puts a link into a bridge and takes it out", () => {
  withPair((near) => {
    near.route.execute([
      newLink({ name: "br0", index: 77, info: { bridge: {} } }),
      setLink({ index: NEAR, master: 77 }),
    ]);
    assertEquals(get(near, { index: NEAR }).master, 77);
    assertEquals(
      near.route.dump(dumpLinks({ master: 77 })).map(({ name }) => name),
      ["near0"],
    );
    near.route.execute([setLink({ index: NEAR, master: 0 })]);
    assertEquals(get(near, { index: NEAR }).master, undefined);
  });
});

Deno.test("setLink() moves a link to another namespace", () => {
  withPair((near, far) => {
    near.route.execute([
      setLink({ index: NEAR, namespaceFd: far.namespace.fd }),
    ]);
    assertEquals(get(far, { name: "near0" }).peerIndex, FAR);
    assertEquals(near.route.dump(dumpLinks()).map(({ name }) => name), ["lo"]);
  });
});

Deno.test("deleteLink() takes the peer with it", () => {
  withPair((near, far) => {
    near.route.execute([deleteLink({ name: "near0" })]);
    for (const [side, index] of [[near, NEAR], [far, FAR]] as const) {
      assertThrows(() => get(side, { index }), NetlinkError, "ENODEV");
    }
    assertThrows(
      () => near.route.execute([deleteLink({ index: NEAR })]),
      NetlinkError,
      "delete link #100: ENODEV",
    );
  });
});

Deno.test("dumpLinks() reports the links that ip reports", () => {
  withPair((near) => {
    near.route.execute([newLink({ name: "br0", info: { bridge: {} } })]);
    const names = near.route.dump(dumpLinks()).map(({ name }) => name);
    assertEquals(names, near.ip("link show").map(({ ifname }) => ifname));
    assertEquals(names.toSorted(), ["br0", "lo", "near0"]);
    assertEquals(
      near.route.dump(dumpLinks({ kind: "bridge" })).map(({ name }) => name),
      ["br0"],
    );
  });
});

Deno.test("carrier follows the other end", () => {
  withPair((near, far) => {
    assert(get(near, { index: NEAR }).carrier);
    assertEquals(get(near, { index: NEAR }).operationalState, "up");
    far.route.execute([setLink({ index: FAR, up: false })]);
    const { carrier, up } = get(near, { index: NEAR });
    assertEquals([carrier, up], [false, true]);
    assertEquals(get(near, { index: LO }).kind, undefined);
  });
});
