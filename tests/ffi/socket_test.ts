import { assert, assertEquals, assertThrows } from "@std/assert";
import { cString } from "../../ffi/buffer.ts";
import { Errno, isSyscallError } from "../../ffi/errno.ts";
import {
  AF_NETLINK,
  AF_UNIX,
  bind,
  connect,
  getSocketName,
  receive,
  send,
  setSocketOption,
  SO_RCVBUF,
  SOCK_DGRAM,
  SOCK_RAW,
  socket,
  SOL_SOCKET,
} from "../../ffi/socket.ts";
import { datagramPair } from "./datagram_pair.ts";

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
