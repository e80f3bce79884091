import { assert, assertEquals, assertNotEquals } from "@std/assert";
import { linkIdentity } from "../../src/namespace/link_identity.ts";
import { NetworkNamespace } from "../../src/namespace/network_namespace.ts";
import { command } from "../support/command.ts";

Deno.test("linkIdentity() stays with a link, whatever is done to it, and is no other's", () => {
  using here = NetworkNamespace.create();
  using there = NetworkNamespace.create();
  const path = ({ fd }: NetworkNamespace) => `/proc/${Deno.pid}/fd/${fd}`;
  const make = (name: string) =>
    command(
      here,
      `ip link add ${name} index 77 address 02:00:00:00:00:77 type veth peer name other`,
    );
  make("net1");
  const identity = linkIdentity(here, "net1");
  assert(identity !== undefined);
  assertNotEquals(linkIdentity(here, "other"), identity);
  assertEquals(linkIdentity(there, "net1"), undefined);
  command(here, `ip link set net1 netns ${path(there)} name net2 index 78`);
  command(there, "ip link set net2 address 02:00:00:00:00:78 mtu 1400 up");
  assertEquals(linkIdentity(here, "net1"), undefined);
  assertEquals(linkIdentity(there, "net2"), identity);
  command(here, "ip link set other name another");
  make("net1");
  assertNotEquals(linkIdentity(here, "net1"), identity);
  command(here, "ip link del net1");
  make("net1");
  command(there, `ip link set net2 netns ${path(here)}`);
  assertEquals(linkIdentity(here, "net2"), identity);
});
