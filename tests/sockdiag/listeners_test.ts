import { assert, assertEquals, assertThrows } from "@std/assert";
import type { OwnedFd } from "../../ffi/fd.ts";
import {
  AF_INET,
  AF_INET6,
  bind,
  connect,
  setSocketOption,
  SOCK_DGRAM,
  socket,
} from "../../ffi/socket.ts";
import { IpAddress } from "../../src/net/ip.ts";
import { Connection } from "../../src/netlink/connection.ts";
import { NETLINK_SOCK_DIAG } from "../../src/netlink/message.ts";
import {
  type ListenerQuery,
  type ListeningSocket,
  listListeners,
  listTcpListeners,
} from "../../src/sockdiag/listeners.ts";

function find(query: ListenerQuery): readonly ListeningSocket[] {
  using connection = Connection.open(NETLINK_SOCK_DIAG);
  return listListeners(connection, query);
}

/** `127.0.0.1 80`, with a mark for IPv6 sockets that take no IPv4. */
function show(query: ListenerQuery): readonly string[] {
  return find(query).map(({ address, port, v6Only }) =>
    `${address} ${port}${v6Only ? " v6only" : ""}`
  ).sort();
}

/** `struct sockaddr_in` or `sockaddr_in6`. */
function socketAddress(text: string, port: number): Uint8Array<ArrayBuffer> {
  const { family, bytes } = IpAddress.parse(text);
  const address = new Uint8Array(family === 4 ? 16 : 28);
  const view = new DataView(address.buffer);
  view.setUint16(0, family === 4 ? AF_INET : AF_INET6, true);
  view.setUint16(2, port);
  address.set(bytes, family === 4 ? 4 : 8);
  return address;
}

function bindUdp(text: string, port: number, v6Only?: boolean): OwnedFd {
  const IPPROTO_IPV6 = 41;
  const IPV6_V6ONLY = 26;
  const { family } = IpAddress.parse(text);
  const fd = socket(family === 4 ? AF_INET : AF_INET6, SOCK_DGRAM, 0);
  if (v6Only !== undefined) {
    setSocketOption(fd, IPPROTO_IPV6, IPV6_V6ONLY, Number(v6Only));
  }
  bind(fd, socketAddress(text, port));
  return fd;
}

Deno.test("listListeners() finds TCP listeners on all ports when none is given", () => {
  using _a = Deno.listen({ hostname: "127.0.0.1", port: 4303 });
  using _b = Deno.listen({ hostname: "127.0.0.1", port: 4304 });
  const found = show({ protocol: "tcp", family: 4 });
  assertEquals(
    ["127.0.0.1 4303", "127.0.0.1 4304"].filter((t) => !found.includes(t)),
    [],
  );
});

Deno.test("listListeners() finds TCP listeners on the port, by family", () => {
  using _a = Deno.listen({ hostname: "127.0.0.1", port: 4301 });
  using _b = Deno.listen({ hostname: "127.0.0.2", port: 4301 });
  using _c = Deno.listen({ hostname: "::1", port: 4301 });
  using _d = Deno.listen({ hostname: "0.0.0.0", port: 4302 });
  // 4301 in the other byte order.
  using _e = Deno.listen({ hostname: "127.0.0.1", port: 52496 });
  const tcp = { protocol: "tcp", port: 4301 } as const;
  assertEquals(show({ ...tcp, family: 4 }), [
    "127.0.0.1 4301",
    "127.0.0.2 4301",
  ]);
  // The kernel sets v6only itself when a socket is bound to one IPv6 address.
  assertEquals(show({ ...tcp, family: 6 }), ["::1 4301 v6only"]);
  assertEquals(show({ ...tcp, family: 4, port: 4302 }), ["0.0.0.0 4302"]);
  assertEquals(show({ ...tcp, family: 6, port: 4302 }), []);
  assertEquals(show({ protocol: "udp", family: 4, port: 4301 }), []);
});

Deno.test("listListeners() finds bound UDP sockets on the port, by family", () => {
  using _a = bindUdp("127.0.0.1", 4303);
  using _b = bindUdp("0.0.0.0", 4304);
  using _c = bindUdp("::1", 4303);
  const udp = { protocol: "udp", port: 4303 } as const;
  assertEquals(show({ ...udp, family: 4 }), ["127.0.0.1 4303"]);
  assertEquals(show({ ...udp, family: 6 }), ["::1 4303 v6only"]);
  assertEquals(show({ ...udp, family: 4, port: 4304 }), ["0.0.0.0 4304"]);
  assertEquals(show({ protocol: "tcp", family: 4, port: 4303 }), []);
});

Deno.test("listListeners() finds sockets on the ports of a range, its ends among them, and on no others", () => {
  const bound = [4309, 4310, 4312, 4313, 4314];
  using _tcp = new DisposableStack();
  for (const port of bound) {
    _tcp.use(Deno.listen({ hostname: "127.0.0.1", port }));
    _tcp.use(bindUdp("::1", port));
  }
  const range = { port: 4310, lastPort: 4313 };
  assertEquals(
    show({ protocol: "tcp", family: 4, ...range }),
    ["127.0.0.1 4310", "127.0.0.1 4312", "127.0.0.1 4313"],
  );
  assertEquals(
    show({ protocol: "udp", family: 6, ...range }),
    ["::1 4310 v6only", "::1 4312 v6only", "::1 4313 v6only"],
  );
  using connection = Connection.open(NETLINK_SOCK_DIAG);
  assertEquals(
    listTcpListeners(connection, range).map(({ port }) => port).sort(),
    [4310, 4312, 4313],
  );
});

Deno.test("listListeners() tells whether an IPv6 socket takes IPv4 too", () => {
  using _a = bindUdp("::", 4305, false);
  using _b = bindUdp("::", 4306, true);
  using _c = bindUdp("::ffff:127.0.0.1", 4307, false);
  const udp = { protocol: "udp", family: 6 } as const;
  assertEquals(show({ ...udp, port: 4305 }), [":: 4305"]);
  assertEquals(show({ ...udp, port: 4306 }), [":: 4306 v6only"]);
  const [mapped] = find({ ...udp, port: 4307 });
  assertEquals(mapped?.address.isIpv4Mapped, true);
  assertEquals(mapped?.v6Only, false);
});

Deno.test("listListeners() leaves out TCP connections", async () => {
  using _listener = Deno.listen({ hostname: "127.0.0.1", port: 4308 });
  using client = await Deno.connect({ hostname: "127.0.0.1", port: 4308 });
  assert(client.localAddr.transport === "tcp");
  const tcp = { protocol: "tcp", family: 4 } as const;
  // The accepted connection has the same port.
  assertEquals(show({ ...tcp, port: 4308 }), ["127.0.0.1 4308"]);
  assertEquals(show({ ...tcp, port: client.localAddr.port }), []);
});

Deno.test("listListeners() leaves out connected UDP sockets, which take no packets of others", () => {
  using fd = bindUdp("127.0.0.1", 4309);
  const udp = { protocol: "udp", family: 4, port: 4309 } as const;
  assertEquals(show(udp), ["127.0.0.1 4309"]);
  connect(fd, socketAddress("127.0.0.1", 9));
  assertEquals(show(udp), []);
});

Deno.test("listListeners() gives the inode that /proc shows, and the owner", () => {
  using fd = bindUdp("127.0.0.1", 4310);
  const [socket] = find({ protocol: "udp", family: 4, port: 4310 });
  assert(socket);
  assertEquals(
    Deno.readLinkSync(`/proc/self/fd/${fd.fd}`),
    `socket:[${socket.inode}]`,
  );
  assertEquals(socket.uid, Deno.uid());
});

Deno.test("listListeners() refuses what is not a port", () => {
  for (const port of [-1, 65536, 1.5]) {
    assertThrows(
      () => find({ protocol: "tcp", family: 4, port }),
      RangeError,
    );
  }
});
