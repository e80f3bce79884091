import { assert, assertEquals, assertThrows } from "@std/assert";
import { cString } from "../../ffi/buffer.ts";
import { Errno, isSyscallError } from "../../ffi/errno.ts";
import {
  AF_NETLINK,
  AF_UNIX,
  bind,
  connect,
  eventFd,
  getSocketName,
  poll,
  pollAsync,
  receive,
  send,
  setSocketOption,
  signalEventFd,
  SO_RCVBUF,
  SOCK_DGRAM,
  SOCK_RAW,
  socket,
  SOL_SOCKET,
} from "../../ffi/socket.ts";
import type { OwnedFd } from "../../ffi/fd.ts";

/** Two datagram sockets; `client` is connected to `server`. Abstract names belong to the network namespace. */
function datagramPair(): { server: OwnedFd; client: OwnedFd } & Disposable {
  const server = socket(AF_UNIX, SOCK_DGRAM, 0);
  const client = socket(AF_UNIX, SOCK_DGRAM, 0);
  const name = cString(`???${crypto.randomUUID()}`);
  // struct sockaddr_un: the family in two bytes, then a name that begins with a zero byte, which makes it abstract.
  name.set([AF_UNIX, 0, 0]);
  bind(server, name);
  connect(client, name);
  return {
    server,
    client,
    [Symbol.dispose]() {
      server[Symbol.dispose]();
      client[Symbol.dispose]();
    },
  };
}

Deno.test("receive() returns undefined when nothing is there, and what send() sent", () => {
  using pair = datagramPair();
  const buffer = new Uint8Array(16);
  assertEquals(receive(pair.server, buffer), undefined);
  assertEquals(send(pair.client, new Uint8Array([1, 2, 3])), 3);
  assertEquals(receive(pair.server, buffer), 3);
  assertEquals(buffer.subarray(0, 3), new Uint8Array([1, 2, 3]));
  assertEquals(receive(pair.server, buffer), undefined);
});

Deno.test("receive() tells a datagram that was longer than the buffer", () => {
  using pair = datagramPair();
  send(pair.client, new Uint8Array(100));
  assertEquals(receive(pair.server, new Uint8Array(10)), 100);
});

Deno.test("receive() and send() take a part of a larger buffer", () => {
  using pair = datagramPair();
  const buffer = new Uint8Array([0, 1, 2, 3, 0, 0, 0, 0]);
  send(pair.client, buffer.subarray(1, 4));
  assertEquals(receive(pair.server, buffer.subarray(5)), 3);
  assertEquals(buffer, new Uint8Array([0, 1, 2, 3, 0, 1, 2, 3]));
});

Deno.test("socket(), bind(), connect() and send() report what the kernel refuses", () => {
  assert(
    isSyscallError(
      assertThrows(() => socket(99, SOCK_RAW, 0)),
      Errno.EAFNOSUPPORT,
    ),
  );
  using pair = datagramPair();
  assert(
    isSyscallError(
      assertThrows(() => bind(pair.server, getSocketName(pair.server))),
      Errno.EINVAL,
    ),
  );
  using other = socket(AF_UNIX, SOCK_DGRAM, 0);
  assert(
    isSyscallError(
      assertThrows(() => bind(other, getSocketName(pair.server))),
      Errno.EADDRINUSE,
    ),
  );
  assert(
    isSyscallError(
      assertThrows(() => connect(other, cString("??@nobody"))),
      Errno.EINVAL,
    ),
  );
  assert(
    isSyscallError(
      assertThrows(() => send(other, new Uint8Array(1))),
      Errno.ENOTCONN,
    ),
  );
});

Deno.test("getSocketName() returns as many bytes as the address has", () => {
  using fd = socket(AF_NETLINK, SOCK_RAW, 0);
  bind(fd, new Uint8Array([AF_NETLINK, ...new Array(11).fill(0)]));
  const name = getSocketName(fd);
  assertEquals(name.length, 12);
  assertEquals(name[0], AF_NETLINK);
  assert(
    new DataView(name.buffer).getUint32(4, true) !== 0,
    "the kernel gave it a port",
  );
});

Deno.test("setSocketOption() takes a number or bytes", () => {
  using pair = datagramPair();
  setSocketOption(pair.server, SOL_SOCKET, SO_RCVBUF, 8192);
  setSocketOption(
    pair.server,
    SOL_SOCKET,
    SO_RCVBUF,
    new Uint8Array([0, 32, 0, 0]),
  );
  assert(
    isSyscallError(
      assertThrows(() =>
        setSocketOption(pair.server, SOL_SOCKET, SO_RCVBUF, new Uint8Array(1))
      ),
      Errno.EINVAL,
    ),
  );
});

Deno.test("poll() tells which descriptors are readable, and gives up after the timeout", () => {
  using pair = datagramPair();
  using idle = eventFd();
  const started = performance.now();
  assertEquals(poll([idle, pair.server], 20), [false, false]);
  assert(performance.now() - started >= 19);
  send(pair.client, new Uint8Array(1));
  assertEquals(poll([idle, pair.server], -1), [false, true]);
  assertEquals(poll([], 0), []);
});

Deno.test("pollAsync() waits on another thread and is ended by signalEventFd()", async () => {
  using pair = datagramPair();
  using stop = eventFd();
  const waiting = pollAsync([pair.server, stop], -1);
  const winner = await Promise.race([
    waiting,
    new Promise((resolve) =>
      setTimeout(() => resolve("the event loop goes on"), 20)
    ),
  ]);
  assertEquals(winner, "the event loop goes on");
  signalEventFd(stop);
  assertEquals(await waiting, [false, true]);
  assertEquals(await pollAsync([pair.server], 0), [false]);
});

Deno.test("signalEventFd() does not fail when signalled before", () => {
  using stop = eventFd();
  for (let i = 0; i < 3; i++) signalEventFd(stop);
  assertEquals(poll([stop], 0), [true]);
});
