/** Our messages against those of ip(8), recorded by tests/golden/rtnetlink_record.ts. */
import { assert, assertEquals } from "@std/assert";
import { Cidr } from "../../src/net/cidr.ts";
import { IpAddress } from "../../src/net/ip.ts";
import { MacAddress } from "../../src/net/mac.ts";
import { decode, encode } from "../../src/netlink/attrs.ts";
import { ByteWindow } from "../../src/netlink/bytes.ts";
import { type Codec, CodecError } from "../../src/netlink/codec.ts";
import {
  HEADER_SIZE,
  NLM_F_ACK,
  NLM_F_REQUEST,
  readMessages,
  type Request,
} from "../../src/netlink/message.ts";
import {
  address,
  deleteAddress,
  newAddress,
} from "../../src/rtnetlink/address.ts";
import {
  RT_SCOPE_LINK,
  RTM_NEWLINK,
  RTM_SETLINK,
} from "../../src/rtnetlink/constants.ts";
import {
  deleteForwardingEntry,
  forwardingEntry,
  newForwardingEntry,
} from "../../src/rtnetlink/forwarding.ts";
import {
  deleteLink,
  link,
  newLink,
  newVeth,
  setLink,
} from "../../src/rtnetlink/link.ts";
import {
  deleteNeighbour,
  neighbour,
  newNeighbour,
} from "../../src/rtnetlink/neighbour.ts";
import {
  deletePolicyRule,
  newPolicyRule,
} from "../../src/rtnetlink/policy_rule.ts";
import { deleteRoute, newRoute, route } from "../../src/rtnetlink/route.ts";
import {
  addressMessage,
  linkMessage,
  neighbourMessage,
  routeMessage,
} from "../../src/rtnetlink/tables.ts";

const ip = IpAddress.parse;
const mac = MacAddress.parse;
const host = (text: string) => Cidr.host(ip(text));
const LINK = 100;
const BRIDGE = 300;
const TUNNEL = 400;

/** The recorded command and its message. */
function recorded(name: string): { command: string; message: Uint8Array } {
  const text = Deno.readTextFileSync(
    new URL(`../golden/rtnetlink_${name}.txt`, import.meta.url),
  );
  const [command = "", ...lines] = text.split("\n");
  return {
    command,
    message: Uint8Array.fromHex(lines.join("").replaceAll(" ", "")),
  };
}

/** Our request for what each recorded command asks. */
const requests: Readonly<Record<string, Request<unknown, unknown>>> = {
  link_add_veth: newVeth({
    name: "pn-0123456789ab",
    index: LINK,
    mac: mac("02:00:5e:00:00:01"),
    mtu: 1400,
    peer: {
      name: "eth0",
      index: 200,
      mac: mac("02:00:5e:00:00:02"),
      mtu: 1400,
    },
  }),
  link_add_bridge: newLink({
    name: "br0",
    index: BRIDGE,
    info: { bridge: { stpState: 0, mcastSnooping: 0 } },
  }),
  link_set_addrgenmode: setLink({ index: LINK, addrGenMode: "none" }),
  link_set_alias: setLink({ index: LINK, alias: "podnet:n1/0123" }),
  link_set_master: setLink({ index: LINK, master: BRIDGE }),
  link_set_nomaster: setLink({ index: LINK, master: 0 }),
  link_set_up: setLink({ index: LINK, up: true }),
  link_set_down: setLink({ index: 200, up: false }),
  link_delete: deleteLink({ index: BRIDGE }),
  address_add: newAddress({
    index: LINK,
    address: ip("10.244.1.7"),
    prefixLength: 32,
    exclusive: true,
  }),
  address_add_nodad: newAddress({
    index: LINK,
    address: ip("fd00::7"),
    prefixLength: 128,
    noDad: true,
    exclusive: true,
  }),
  address_add_scope: newAddress({
    index: 1,
    address: ip("10.244.1.1"),
    prefixLength: 32,
    scope: RT_SCOPE_LINK,
    label: "lo:podnet",
    exclusive: true,
  }),
  address_delete: deleteAddress({
    index: LINK,
    address: ip("10.244.1.7"),
    prefixLength: 32,
  }),
  route_add: newRoute({
    destination: host("10.244.1.8"),
    index: LINK,
    source: ip("10.244.1.1"),
    exclusive: true,
  }),
  route_add_v6: newRoute({
    destination: host("fd00::8"),
    index: LINK,
    exclusive: true,
  }),
  route_add_onlink: newRoute({
    destination: "default",
    family: 4,
    index: LINK,
    gateway: ip("169.254.1.1"),
    onlink: true,
    exclusive: true,
  }),
  route_add_table: newRoute({
    destination: Cidr.parse("10.9.0.0/16"),
    index: LINK,
    table: 1000,
    exclusive: true,
  }),
  route_add_blackhole: newRoute({
    destination: Cidr.parse("10.245.0.0/16"),
    type: "blackhole",
    exclusive: true,
  }),
  route_replace: newRoute({ destination: host("10.244.1.8"), index: LINK }),
  route_delete: deleteRoute({ destination: host("10.244.1.8") }),
  rule_add: newPolicyRule({
    source: host("10.244.1.8"),
    table: 1000,
    priority: 1120,
  }),
  rule_delete: deletePolicyRule({
    source: host("10.244.1.8"),
    table: 1000,
    priority: 1120,
  }),
  neighbour_replace: newNeighbour({
    index: LINK,
    address: ip("169.254.1.1"),
    mac: mac("02:00:5e:00:00:01"),
  }),
  neighbour_delete: deleteNeighbour({
    index: LINK,
    address: ip("169.254.1.1"),
  }),
  link_add_vxlan: newLink({
    name: "vx0",
    index: TUNNEL,
    mac: mac("02:00:5e:00:00:03"),
    mtu: 1450,
    info: {
      vxlan: {
        id: 112,
        local: ip("192.0.2.1").bytes,
        learning: 0,
        port: 8472,
        df: "inherit",
      },
    },
  }),
  forwarding_replace: newForwardingEntry({
    index: TUNNEL,
    mac: mac("02:00:5e:00:00:04"),
    remote: ip("192.0.2.2"),
  }),
  forwarding_delete: deleteForwardingEntry({
    index: TUNNEL,
    mac: mac("02:00:5e:00:00:04"),
    remote: ip("192.0.2.2"),
  }),
};

/** What ip says and we do not, with the reason why it makes no difference. */
const onlyIp: Readonly<Record<string, (line: string) => string>> = {
  // neigh_delete (net/core/neighbour.c) looks at the address only.
  neighbour_delete: (line) => line.replace("state: 128", "state: 0"),
  // vxlan_fdb_delete (drivers/net/vxlan/vxlan_core.c) does, too.
  forwarding_delete: (line) => line.replace("state: 192", "state: 0"),
};

for (const [name, request] of Object.entries(requests)) {
  const { command, message } = recorded(name);
  Deno.test(`${request.operation} says what "${command}" says`, () => {
    const [header] = readMessages(new ByteWindow(message));
    assert(header !== undefined);
    // ip changes links by RTM_NEWLINK without NLM_F_CREATE, which is RTM_SETLINK to the kernel.
    assertEquals(
      header.type,
      request.type === RTM_SETLINK ? RTM_NEWLINK : request.type,
    );
    assertEquals(header.flags, request.flags | NLM_F_REQUEST | NLM_F_ACK);
    assertEquals(
      fields(request.codec, encode(request.codec, request.value)),
      fields(request.codec, message.subarray(HEADER_SIZE))
        .map(onlyIp[name] ?? ((line) => line)),
    );
  });
}

/** Each attribute that has none inside, with its value; in no order, for ip has another one. */
function fields(codec: Codec<unknown>, bytes: Uint8Array): string[] {
  const from = new ByteWindow(bytes);
  const inside = (at: Codec<unknown>, start: number, end: number): string[] =>
    [...at.children?.(from, start, end) ?? []].flatMap(
      ({ name, codec, payload, end }) =>
        codec.children === undefined
          ? `${name}: ${
            Deno.inspect(codec.read(from, payload, end), {
              breakLength: Infinity,
            })
          }`
          : inside(codec, payload, end),
    );
  return inside(codec, 0, bytes.length).sort();
}

function shown<T>(name: string, codec: Codec<T>): T {
  return decode(codec, recorded(name).message.subarray(HEADER_SIZE));
}

Deno.test("link reads what the kernel tells ip of a port of a bridge", () => {
  const { raw, ipv4, mac, ...rest } = shown("link_show", link);
  assertEquals(rest, {
    index: 100,
    name: "pn-0123456789ab",
    kind: "veth",
    mtu: 1400,
    flags: 0x1002,
    up: false,
    carrier: false,
    operationalState: "down",
    alias: "podnet:n1/0123",
    master: 300,
    peerIndex: 200,
    group: 0,
    queues: { transmit: 1, receive: 1 },
    addrGenMode: "none",
    info: {
      veth: {},
      $unknown: raw.attrs.linkinfo?.$unknown ?? [],
    },
  });
  assertEquals(String(mac), "02:00:5e:00:00:01");
  assertEquals(
    [ipv4?.forwarding, ipv4?.acceptRedirects, ipv4?.arpEvictNocarrier],
    [0, 1, 1],
  );
  // IFLA_INFO_SLAVE_KIND and IFLA_INFO_SLAVE_DATA.
  assertEquals(
    raw.attrs.linkinfo?.$unknown?.map(({ type }) => type & 0x3fff),
    [4, 5],
  );
});

Deno.test("address reads what the kernel tells ip", () => {
  const { raw: _raw, address: shownAddress, ...rest } = shown(
    "address_show",
    address,
  );
  assertEquals(rest, {
    index: 100,
    family: 6,
    prefixLength: 128,
    scope: 0,
    flags: 0x82,
    tentative: false,
    duplicate: false,
    permanent: true,
  });
  assertEquals(String(shownAddress), "fd00::7");
});

Deno.test("route reads what the kernel tells ip", () => {
  const { raw: _raw, destination, ...rest } = shown("route_show", route);
  assertEquals(rest, {
    family: 4,
    type: "unicast",
    index: 100,
    protocol: 112,
    scope: 253,
    table: 1000,
    onlink: false,
    linkDown: false,
  });
  assertEquals(String(destination), "10.9.0.0/16");
});

Deno.test("neighbour reads what the kernel tells ip", () => {
  const { raw: _raw, address: shownAddress, mac, ...rest } = shown(
    "neighbour_show",
    neighbour,
  );
  assertEquals(rest, {
    index: 100,
    family: 4,
    state: 0x80,
    permanent: true,
    flags: 0,
  });
  assertEquals([String(shownAddress), String(mac)], [
    "169.254.1.1",
    "02:00:5e:00:00:01",
  ]);
});

Deno.test("forwardingEntry reads what the kernel tells bridge", () => {
  const { mac, remote, ...rest } = shown("forwarding_show", forwardingEntry);
  assertEquals(rest, {
    index: 400,
    state: 0xc0,
    permanent: true,
    isSelf: true,
    isSticky: false,
  });
  assertEquals([String(mac), String(remote)], [
    "02:00:5e:00:00:04",
    "192.0.2.2",
  ]);
});

const replies: readonly (readonly [string, Codec<unknown>, Codec<unknown>])[] =
  [
    ["link_show", linkMessage, link],
    ["address_show", addressMessage, address],
    ["route_show", routeMessage, route],
    ["neighbour_show", neighbourMessage, neighbour],
    ["forwarding_show", neighbourMessage, forwardingEntry],
  ];

Deno.test("messages of the kernel survive decoding and encoding with every attribute", () => {
  for (const [name, codec] of replies) {
    const body = recorded(name).message.subarray(HEADER_SIZE);
    const value = decode(codec, body);
    const again = decode(codec, encode(codec, value));
    assertEquals(again, value);
    // Only the IPv4 sysctls come in another form than they are sent in.
    const known = (bytes: Uint8Array) =>
      fields(codec, bytes).filter((line) => !line.startsWith("conf: "));
    assertEquals(known(encode(codec, value)), known(body));
  }
});

Deno.test("decoding throws nothing but CodecError when a message of the kernel is damaged", () => {
  // xorshift32, for the same bytes each time.
  let state = 2463534242;
  const random = (below: number) => {
    state ^= state << 13;
    state ^= state >>> 17;
    state ^= state << 5;
    return (state >>> 0) % below;
  };
  let refused = 0;
  const tryRead = (codec: Codec<unknown>, bytes: Uint8Array) => {
    try {
      decode(codec, bytes);
    } catch (error) {
      if (!(error instanceof CodecError)) throw error;
      refused++;
    }
  };
  for (const [name, , record] of replies) {
    const body = recorded(name).message.slice(HEADER_SIZE);
    for (let size = 0; size <= body.length; size++) {
      tryRead(record, body.slice(0, size));
    }
    for (let round = 0; round < 3000; round++) {
      const damaged = body.slice();
      for (let i = random(4); i >= 0; i--) {
        damaged[random(damaged.length)] = random(256);
      }
      tryRead(record, damaged);
    }
  }
  assert(refused > 2000, `only ${refused} messages were refused`);
});
