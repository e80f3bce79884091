import { assertEquals, assertThrows } from "@std/assert";
import { hasInterface } from "../../ffi/interface.ts";
import { AF_NETLINK, SOCK_RAW, socket } from "../../ffi/socket.ts";
import { NetworkNamespace } from "../../src/namespace/network_namespace.ts";
import { command } from "../support/command.ts";

const NETLINK_ROUTE = 0;

Deno.test("hasInterface() knows the interfaces of the namespace that the socket was made in", () => {
  using namespace = NetworkNamespace.create();
  using inside = namespace.run(() =>
    socket(AF_NETLINK, SOCK_RAW, NETLINK_ROUTE)
  );
  const index = 123_456_789;
  assertEquals(hasInterface(inside, index), false);
  command(namespace, `ip link add one index ${index} type veth peer name two`);
  const has = [1, index, 0, -1, index + 1].map((i) => hasInterface(inside, i));
  assertEquals(has, [true, true, false, false, false]);
  command(namespace, "ip link del one");
  assertEquals(hasInterface(inside, index), false);
  inside[Symbol.dispose]();
  assertThrows(() => hasInterface(inside, index), TypeError);
});
