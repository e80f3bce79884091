/** The connection against the kernel: attribution, large batches, large dumps, missing capability. */
import { assert, assertEquals, assertThrows } from "@std/assert";
import { Errno } from "../../ffi/errno.ts";
import { Cidr } from "../../src/net/cidr.ts";
import { IpAddress } from "../../src/net/ip.ts";
import { MacAddress } from "../../src/net/mac.ts";
import { Connection } from "../../src/netlink/connection.ts";
import { attrs, encode, many } from "../../src/netlink/attrs.ts";
import { cstring } from "../../src/netlink/codec.ts";
import {
  NETLINK_ROUTE,
  NLM_F_CREATE,
  NLM_F_EXCL,
  type Request,
} from "../../src/netlink/message.ts";
import {
  isNetlinkError,
  NetlinkError,
} from "../../src/netlink/netlink_error.ts";
import {
  dumpLinks,
  getLink,
  type Link,
  type LinkMessage,
  newLink,
  newVeth,
  setLink,
} from "../../src/rtnetlink/link.ts";
import { deleteAddress, newAddress } from "../../src/rtnetlink/address.ts";
import {
  RTN_LOCAL,
  RTNLGRP_IPV6_IFADDR,
  RTNLGRP_LINK,
} from "../../src/rtnetlink/constants.ts";
import {
  dumpRoutes,
  getRouteType,
  newRoute,
} from "../../src/rtnetlink/route.ts";
import { inNewNamespace } from "./isolated.ts";

const LO = 1;

/** Calls `fn` with a connection to a new namespace whose lo is up. */
function withKernel<T>(fn: (connection: Connection) => T): T {
  using connection = inNewNamespace(() => Connection.open(NETLINK_ROUTE));
  connection.execute([setLink({ index: LO, up: true })]);
  return fn(connection);
}

/** A change of lo that weighs `size` bytes more: the kernel passes over attributes that it does not know. */
function heavy(size: number, index = LO): Request<LinkMessage> {
  const request = setLink({ index, alias: "heavy" });
  const $unknown = [{ type: 0x3f00, payload: new Uint8Array(size) }];
  const { header, attrs } = request.value;
  return { ...request, value: { header, attrs: { ...attrs, $unknown } } };
}

Deno.test("Connection stays in the namespace in which it was opened", () => {
  using connection = inNewNamespace(() => Connection.open(NETLINK_ROUTE));
  connection.execute([newLink({ name: "only-here", info: { bridge: {} } })]);
  using home = Connection.open(NETLINK_ROUTE);
  const names = (c: Connection) => c.dump(dumpLinks()).map(({ name }) => name);
  assert(names(connection).includes("only-here"));
  assert(!names(home).includes("only-here"));
});

Deno.test("execute() names the message and the attribute that the kernel refuses", () => {
  withKernel((connection) => {
    const request = newVeth({
      name: "pn-12ab",
      mac: MacAddress.parse("02:00:00:00:00:01"),
      peer: { name: "eth0", mac: MacAddress.parse("02:00:00:00:00:02") },
    });
    const { header, attrs } = request.value;
    // The kernel wants 4 bytes of a group.
    const $unknown = [{ type: 27, payload: new Uint8Array(2) }];
    const error = assertThrows(
      () =>
        connection.execute([
          setLink({ index: LO, alias: "first" }),
          {
            ...request,
            value: {
              header,
              attrs: {
                ...attrs,
                linkinfo: {
                  veth: { peer: { header: {}, attrs: { $unknown } } },
                },
              },
            },
          },
          setLink({ index: LO, alias: "last" }),
        ]),
      NetlinkError,
    );
    assertEquals(error.index, 1);
    assertEquals(error.code, "ERANGE");
    assertEquals(error.attribute, "linkinfo.veth.peer.group");
    assertEquals(
      error.message,
      "create veth pn-12ab: ERANGE: Attribute failed policy validation (linkinfo.veth.peer.group)",
    );
    // rtnetlink goes on after a message that fails.
    assertEquals(connection.request(getLink({ index: LO }))[0]?.alias, "last");
  });
});

Deno.test("execute() accepts batches of several megabytes", () => {
  withKernel((connection) => {
    // More than net.core.wmem_max, which is 4 MiB where it is largest by default.
    connection.execute(Array.from({ length: 160 }, () => heavy(60_000)));
    connection.execute([setLink({ index: LO, alias: "small again" })]);
    assertEquals(
      connection.request(getLink({ index: LO }))[0]?.alias,
      "small again",
    );
  });
});

Deno.test("execute() reports a refused message that is longer than the receive buffer", () => {
  withKernel((connection) => {
    assertThrows(
      () => connection.execute([heavy(60_000, 99)]),
      NetlinkError,
      "set link #99: ENODEV",
    );
  });
});

Deno.test("execute() ends when more messages fail than the receive buffer has room for", () => {
  withKernel((connection) => {
    const absent = setLink({ index: 99, up: true });
    const error = assertThrows(
      () => connection.execute(Array.from({ length: 4000 }, () => absent)),
      NetlinkError,
    );
    assertEquals([error.code, error.index], ["ENODEV", 0]);
    assert(
      error.failures.length > 100,
      `only ${error.failures.length} failures`,
    );
    assertEquals(error.failures[1]?.index, 1);
    connection.execute([setLink({ index: LO, up: true })]);
  });
});

Deno.test("dump() returns tables of any size whole", () => {
  withKernel((connection) => {
    const first = Cidr.parse("10.0.0.0/8");
    const routes = Array.from(
      { length: 3000 },
      (_, i) =>
        newRoute({
          destination: Cidr.host(first.at(BigInt(i))),
          index: LO,
          exclusive: true,
        }),
    );
    connection.execute(routes);
    const found = connection.dump(dumpRoutes({ family: 4, table: 254 }));
    assertEquals(
      new Set(found.map((route) => String(route.destination))).size,
      3000,
    );
  });
});

Deno.test("request() and dump() read a link that is larger than the buffer", () => {
  withKernel((connection) => {
    // RTM_NEWLINKPROP with IFLA_PROP_LIST of IFLA_ALT_IFNAME: 120 bytes a name.
    const RTM_NEWLINKPROP = 108;
    const names = attrs("IFLA_", { altIfname: [53, many(cstring(128))] });
    for (let first = 0; first < 400; first += 100) {
      const altIfname = Array.from(
        { length: 100 },
        (_, i) => `${first + i}`.padStart(115, "x"),
      );
      const payload = encode(names, { altIfname });
      connection.execute([{
        ...setLink({ index: LO }),
        type: RTM_NEWLINKPROP,
        flags: NLM_F_CREATE | NLM_F_EXCL,
        value: {
          header: { index: LO },
          attrs: { $unknown: [{ type: 52 | 0x8000, payload }] },
        },
      }]);
    }
    const sizeOf = (link: Link | undefined) =>
      link?.raw.attrs.$unknown?.find(({ type }) => (type & 0x3fff) === 52)
        ?.payload.length ?? 0;
    const [got] = connection.request(getLink({ index: LO }));
    assert(sizeOf(got) > 45_000, `${sizeOf(got)} bytes`);
    assertEquals(sizeOf(connection.dump(dumpLinks())[0]), sizeOf(got));
  });
});

Deno.test("execute() and request() throw what a missing object is called", () => {
  withKernel((connection) => {
    const error = assertThrows(
      () => connection.request(getLink({ name: "absent" })),
      NetlinkError,
      "get link absent: ENODEV",
    );
    assert(isNetlinkError(error, Errno.ENODEV));
    assertThrows(
      () =>
        connection.execute([newRoute({
          destination: Cidr.host(IpAddress.parse("10.0.0.1")),
          index: 99,
        })]),
      NetlinkError,
      "add route 10.0.0.1/32: ENODEV",
    );
  });
});

Deno.test("execute() takes for absent what a query finds, not what a request fails with", () => {
  withKernel((connection) => {
    const absent = [Errno.ENODEV];
    const queries = [getLink({ index: 1 }), getLink({ index: 99 })];
    const [there, none] = connection.execute([], queries, absent);
    assertEquals([there?.length, none?.length], [1, 0]);
    const request = setLink({ index: 99, up: true });
    assertThrows(
      () => connection.execute([request], queries, absent),
      NetlinkError,
      "ENODEV",
    );
  });
});

Deno.test("execute() throws EPERM and dump() works when CAP_NET_ADMIN is missing", async () => {
  const script = new URL("fixtures/without_capability.ts", import.meta.url);
  const { stdout, stderr, success } = await new Deno.Command("setpriv", {
    args: [
      "--bounding-set=-net_admin",
      Deno.execPath(),
      "run",
      "--allow-ffi",
      "--no-check",
      script.pathname,
    ],
    stdin: "null",
  }).output();
  assert(success, new TextDecoder().decode(stderr));
  assertEquals(JSON.parse(new TextDecoder().decode(stdout)), {
    links: ["lo"],
    code: "EPERM",
    message: "set link #1: EPERM",
    // A send buffer grows without the capability too, up to net.core.wmem_max.
    large: "EPERM",
  });
});

Deno.test("waitUntil() waits for what the kernel does on its own time, and the connection is good for more", () => {
  withKernel((connection) => {
    const address = IpAddress.parse("fd00::7");
    let asked = 0;
    const isLocal = () => {
      asked++;
      return connection.request(getRouteType(address), Errno.ENETUNREACH)
        .includes(RTN_LOCAL);
    };
    for (let round = 0; round < 20; round++) {
      const reference = { index: LO, address, prefixLength: 128 };
      connection.execute([newAddress({ ...reference, noDad: true })]);
      assert(connection.waitUntil(isLocal, RTNLGRP_IPV6_IFADDR, 1000));
      // What was heard is no answer to anything.
      assertEquals(connection.dump(dumpLinks()).length, 1);
      connection.execute([deleteAddress(reference)]);
    }
    asked = 0;
    assert(!connection.waitUntil(isLocal, RTNLGRP_IPV6_IFADDR, 5));
    assert(asked > 1 && asked < 20, `asked ${asked} times in 5 ms`);
  });
});

Deno.test("waitUntil() asks again when what others are told fills the socket, and the connection is good for more", () => {
  const open = () => Connection.open(NETLINK_ROUTE);
  const [mine, others] = inNewNamespace(() => [open(), open()] as const);
  using _mine = mine;
  using _others = others;
  let asked = 0;
  const isSo = () => {
    asked++;
    // More than there is room for, but for the first and the last time.
    const isFlood = asked > 1 && asked < 9;
    const changes = Array.from(
      { length: isFlood ? 500 : 1 },
      (_, i) => setLink({ index: LO, mtu: 1500 + asked * 1000 + i }),
    );
    others.execute(changes);
    return mine.request(getLink({ index: LO })).length > 0 && asked > 9;
  };
  assert(mine.waitUntil(isSo, RTNLGRP_LINK, 5000));
  assertEquals(asked, 10);
  assertEquals(mine.dump(dumpLinks()).length, 1);
});
