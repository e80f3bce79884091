/**
 * SCTP sockets of the node, as the kernel's table tells of them: they are in the way of host ports like those of TCP.
 *
 * @module
 */
import { assertEquals, assertThrows } from "@std/assert";
import { SandboxError } from "../../src/errors.ts";
import {
  claimHostPorts,
  releaseHostPorts,
} from "../../src/hostport/host_ports.ts";
import { toHostPort } from "../../src/hostport/mapping.ts";
import { IpAddress } from "../../src/net/ip.ts";
import { Connection } from "../../src/netlink/connection.ts";
import { NETLINK_SOCK_DIAG } from "../../src/netlink/message.ts";
import { NftablesConnection } from "../../src/nftables/connection.ts";
import { parseSctpEndpoints } from "../../src/sockdiag/sctp_endpoints.ts";
import { BareNode } from "../node/bare.ts";

/** As net/sctp/proc.c writes it: one to one, one to many, of both families, and a socket that only connects. */
const TABLE = ` ENDPT     SOCK   STY SST HBKT LPORT   UID INODE LADDRS
0000000000000000 0000000000000000 2   10  29   8080      0 12345 0.0.0.0 
0000000000000000 0000000000000000 0   10  30   8081   1000 12346 10.0.0.1 10.0.1.1 
0000000000000000 0000000000000000 2   10  31   8082      0 12347 0000:0000:0000:0000:0000:0000:0000:0000 
0000000000000000 0000000000000000 2   10  32   8083      0 12348 fd00:0000:0000:0000:0000:0000:0000:0001 
0000000000000000 0000000000000000 2   7   33   8084      0 12349 0.0.0.0 
`;

Deno.test("parseSctpEndpoints() finds the listening sockets, one for each address", () => {
  assertEquals(
    parseSctpEndpoints(TABLE).map(({ address, port, uid, inode }) =>
      [String(address), port, uid, inode] as const
    ),
    [
      ["0.0.0.0", 8080, 0, 12345],
      ["10.0.0.1", 8081, 1000, 12346],
      ["10.0.1.1", 8081, 1000, 12346],
      ["::", 8082, 0, 12347],
      ["fd00::1", 8083, 0, 12348],
    ],
  );
  assertEquals(parseSctpEndpoints(""), []);
});

Deno.test("HP17 an SCTP socket of the node is not shadowed, and other ports, addresses and protocols are free", async () => {
  await using bare = new BareNode();
  await using _node = await bare.open();
  using nft = bare.namespace.run(() => NftablesConnection.open());
  using diag = bare.namespace.run(() => Connection.open(NETLINK_SOCK_DIAG));
  const sockets = { nft, diag, sctpEndpoints: () => TABLE };
  const owner = {
    id: "owner",
    addresses: ["10.99.0.9", "fd00:10:99::9"].map((a) => IpAddress.parse(a)),
  };
  const nodeAddresses = ["10.0.0.1", "10.0.2.1", "fd00::1", "fd00::2"]
    .map((text) => IpAddress.parse(text));
  const claim = (
    hostPort: number,
    hostIP?: string,
    protocol: "sctp" | "tcp" = "sctp",
  ) => {
    const mapping = { protocol, hostPort, containerPort: 80 };
    const mappings = [
      toHostPort(hostIP === undefined ? mapping : { ...mapping, hostIP }, [
        4,
        6,
      ]),
    ];
    claimHostPorts(sockets, owner, mappings, {
      nodeAddresses: () => nodeAddresses,
      describeOwner: String,
      withHairpin: false,
    });
    releaseHostPorts(sockets, owner, mappings, { withHairpin: false });
  };
  for (
    const [port, hostIP, by] of [
      [8080, undefined, "0.0.0.0:8080"],
      [8080, "10.0.2.1", "0.0.0.0:8080"],
      [8081, "10.0.0.1", "10.0.0.1:8081"],
      [8081, undefined, "10.0.0.1:8081"],
      [8082, "fd00::2", "[::]:8082"],
      [8082, "10.0.2.1", "[::]:8082"],
      [8083, "fd00::1", "[fd00::1]:8083"],
    ] as const
  ) {
    const error = assertThrows(
      () => claim(port, hostIP),
      SandboxError<"HostPortInUse">,
    );
    assertEquals(error.context.owner, `a socket of the node on ${by}`);
  }
  claim(8080, undefined, "tcp");
  claim(8080, "fd00::2");
  claim(8081, "10.0.2.1");
  claim(8083, "fd00::2");
  claim(8084);
});
