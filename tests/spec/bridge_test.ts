/**
 * Addresses of interfaces on bridges.
 *
 * @module
 */
import { assertEquals } from "@std/assert";
import { type BadInput, parse, problemsOf, testBadInput } from "./cases.ts";

function bridged(
  attachment: Record<string, unknown>,
  fields: Record<string, unknown> = {},
) {
  return {
    interfaces: [{
      name: "net1",
      ...fields,
      attachment: { type: "bridge", bridge: "cni0", ...attachment },
    }],
  };
}

Deno.test("on a bridge, addresses beside the pod CIDRs are accepted, and both of a network of two", () => {
  for (
    const fields of [
      bridged({}, { addresses: ["10.88.0.0/31", "10.88.1.0/32", "fd88::/64"] }),
      bridged({ nodeAddresses: ["10.88.0.1/31", "fe80::1/64"] }),
      bridged({}, { addresses: ["10.0.0.5/8"] }),
      bridged({
        ranges: [{
          network: "10.0.0.0/8",
          first: "10.244.0.255",
          last: "10.244.0.255",
        }],
      }),
      bridged({
        ranges: [{
          network: "10.0.0.0/8",
          first: "10.244.2.0",
          last: "10.244.2.0",
        }],
      }),
      bridged({ ranges: [{ network: "10.88.0.0/31" }] }),
      bridged({ ranges: [{ network: "10.88.0.0/32" }] }),
    ]
  ) assertEquals(problemsOf(() => parse({ name: "web", ...fields })), []);
});

testBadInput({
  "an address on a bridge cannot work": [
    [
      bridged({ nodeAddresses: ["fd88::1/64"] }, { mtu: 1000 }),
      "interfaces[0].mtu",
      "write at least 1280",
    ],
    ...[
      "127.0.0.5/8",
      "224.0.0.1/24",
      "0.0.0.0/8",
      "10.88.0.0/24",
      "10.88.0.255/24",
      "10.88.0.3/30",
      "::1/64",
      "ff02::1/64",
      "::/64",
    ].flatMap((address): BadInput[] => [
      [
        bridged({}, { addresses: [address] }),
        "interfaces[0].addresses[0]",
        "write another",
      ],
      [
        bridged({ nodeAddresses: [address] }),
        "interfaces[0].attachment.nodeAddresses[0]",
        "write another",
      ],
    ]),
    [
      bridged({}, { addresses: ["10.244.1.77/16"] }),
      "interfaces[0].addresses[0]",
      "overlaps the node's pod CIDR 10.244.1.0/24",
    ],
    ...[
      { network: "10.244.1.0/25" },
      { network: "10.0.0.0/8" },
      { network: "10.0.0.0/8", first: "10.244.1.9", last: "10.244.1.9" },
      { network: "fd00:10:244:1::/64" },
    ].map((range): BadInput => [
      bridged({ ranges: [range] }),
      "interfaces[0].attachment.ranges[0]",
      "overlaps the node's pod CIDR",
    ]),
    [
      bridged({ ranges: [{ network: "10.88.0.0/24", first: "10.88.0.0" }] }),
      "interfaces[0].attachment.ranges[0]",
      "write another",
    ],
  ],
});
