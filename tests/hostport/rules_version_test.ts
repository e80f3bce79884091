import { assertEquals } from "@std/assert";
import { BridgeGroup } from "../../src/attachment/bridge.ts";
import { nodeTable } from "../../src/hostport/ruleset.ts";
import { RULES } from "../../src/hostport/sets.ts";
import { Cidr } from "../../src/net/cidr.ts";
import { IpAddress } from "../../src/net/ip.ts";
import { renderTable } from "../nftables/render.ts";
import { digest } from "../../src/sandbox/records/digest.ts";

/** Every choice that the rules depend on. */
const NETWORKS = [
  ["10.244.1.0/24", "10.244.1.1"],
  ["fd00:10:244:1::/64", "fd00:10:244:1::1"],
] as const;

Deno.test("RULES changes with the rules, so that nodes renew their tables", () => {
  const tables = [NETWORKS, NETWORKS.slice(0, 1), NETWORKS.slice(1)].flatMap(
    (networks) =>
      [true, false].flatMap((masquerade) =>
        [0, 65536].map((maxConnectionsPerPod) =>
          renderTable(nodeTable({
            comment: "",
            interfacePrefix: "pn-",
            bridgeGroups: BridgeGroup,
            podCidrs: networks.map(([cidr]) => Cidr.parse(cidr)),
            gateways: networks.map(([, address]) => IpAddress.parse(address)),
            masquerade,
            nonMasqueradeCidrs: ["192.0.2.0/24", "2001:db8::/32"].map((text) =>
              Cidr.parse(text)
            ),
            maxConnectionsPerPod,
          }))
        )
      ),
  );
  assertEquals(digest(tables.join("")).subarray(0, 6).toHex(), RULES);
});
