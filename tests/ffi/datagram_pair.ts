/** Sockets for tests to send by and to wait for. @module */
import { cString } from "../../ffi/buffer.ts";
import type { OwnedFd } from "../../ffi/fd.ts";
import {
  AF_UNIX,
  bind,
  connect,
  SOCK_DGRAM,
  socket,
} from "../../ffi/socket.ts";

/** Two datagram sockets; `client` is connected to `server`. Abstract names belong to the network namespace. */
export function datagramPair():
  & { server: OwnedFd; client: OwnedFd }
  & Disposable {
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
