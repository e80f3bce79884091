/** Forwarding entries of tunnels: what is written is what the kernel, and bridge(8), read. */
import { assertEquals, assertThrows } from "@std/assert";
import { NetlinkError } from "../../src/netlink/netlink_error.ts";
import {
  deleteForwardingEntry,
  dumpForwardingEntries,
  newForwardingEntry,
} from "../../src/rtnetlink/forwarding.ts";
import { newLink, setLink } from "../../src/rtnetlink/link.ts";
import { output } from "../netlink/isolated.ts";
import { ip, mac, type Side, withPair } from "./pair.ts";

/** Tunnels over IPv4 and over IPv6. */
const TUNNELS = [
  { index: 400, local: "192.0.2.1", remotes: ["192.0.2.2", "192.0.2.3"] },
  { index: 401, local: "2001:db8::1", remotes: ["2001:db8::2", "2001:db8::3"] },
] as const;
const PEER = mac("02:00:5e:00:00:04");

function addTunnels({ route }: Side): void {
  for (const { index, local } of TUNNELS) {
    const source = ip(local);
    route.execute([
      newLink({
        name: `vx${index}`,
        index,
        info: {
          vxlan: {
            id: 112,
            port: 8472,
            learning: 0,
            ...source.family === 4
              ? { local: source.bytes }
              : { local6: source.bytes },
          },
        },
      }),
      setLink({ index, up: true }),
    ]);
  }
}

function list({ route }: Side, index: number): string[] {
  return route.dump(dumpForwardingEntries({ index })).map((entry) =>
    `${entry.mac} behind ${entry.remote} on ${entry.index}${
      entry.permanent && entry.isSelf ? "" : "?"
    }`
  );
}

Deno.test("newForwardingEntry() sets where an address is, over IPv4 and IPv6, and replaces it", () => {
  withPair((near) => {
    addTunnels(near);
    for (const { index, remotes: [first, second] } of TUNNELS) {
      near.route.execute([
        newForwardingEntry({ index, mac: PEER, remote: ip(first) }),
        newForwardingEntry({ index, mac: PEER, remote: ip(second) }),
      ]);
      // Of this link only.
      assertEquals(list(near, index), [`${PEER} behind ${second} on ${index}`]);
      assertEquals(
        JSON.parse(
          near.inside(() =>
            output("bridge", "-json", "fdb", "show", "dev", `vx${index}`)
          ),
        ).map(({ mac, dst, state }: Record<string, unknown>) =>
          `${mac} ${dst} ${state}`
        ),
        [`${PEER} ${second} permanent`],
      );
    }
  });
});

Deno.test("deleteForwardingEntry() deletes it, and is refused when it is not there", () => {
  withPair((near) => {
    addTunnels(near);
    for (const { index, remotes: [first] } of TUNNELS) {
      const entry = { index, mac: PEER, remote: ip(first) };
      near.route.execute([
        newForwardingEntry(entry),
        deleteForwardingEntry(entry),
      ]);
      assertEquals(list(near, index), []);
      assertThrows(
        () => near.route.execute([deleteForwardingEntry(entry)]),
        NetlinkError,
        `delete forwarding entry ${PEER} behind ${first} on link #${index}: ENOENT`,
      );
    }
  });
});

Deno.test("dumpForwardingEntries() tells of all links, or of one, or of none", () => {
  withPair((near) => {
    addTunnels(near);
    near.route.execute(
      TUNNELS.map(({ index, remotes: [remote] }) =>
        newForwardingEntry({ index, mac: PEER, remote: ip(remote) })
      ),
    );
    const indexes = (index?: number) =>
      near.route.dump(
        dumpForwardingEntries(index === undefined ? {} : { index }),
      ).map((entry) => entry.index).filter((index) => index >= 400).sort();
    assertEquals(indexes(), [400, 401]);
    assertEquals(indexes(401), [401]);
    assertEquals(indexes(999), []);
  });
});
