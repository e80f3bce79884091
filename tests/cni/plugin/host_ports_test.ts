/** The host ports of a request: what runtimes write that is no error to portmap, is none to podnet. */
import { assertEquals } from "@std/assert";
import { hostPorts } from "../../../src/cni/plugin/host_ports.ts";

function mapping(hostIP?: string, containerPort = 80, protocol = "tcp") {
  return {
    hostPort: 8080,
    containerPort,
    protocol,
    ...hostIP !== undefined && { hostIP },
  };
}

const CASES: readonly {
  readonly what: string;
  readonly asked: readonly (string | undefined)[];
  readonly families?: readonly (4 | 6)[];
  readonly kept: readonly (string | undefined)[];
}[] = [
  { what: "one twice", asked: [undefined, undefined], kept: [undefined] },
  {
    what: "all addresses, and some of them",
    asked: ["192.0.2.1", undefined, "::1", "0.0.0.0"],
    kept: [undefined],
  },
  {
    what: "all of one IP version, and one of each",
    asked: ["0.0.0.0", "127.0.0.1", "::1"],
    kept: ["0.0.0.0", "::1"],
  },
  {
    what: "all of each IP version",
    asked: ["0.0.0.0", "::"],
    kept: ["0.0.0.0", "::"],
  },
  {
    what: "all of an IP version that the network does not have",
    asked: ["0.0.0.0", "::"],
    families: [6],
    kept: ["::"],
  },
  {
    what: "what is no address is the library's to refuse",
    asked: ["constructor", "0.0.0.0x"],
    kept: ["constructor", "0.0.0.0x"],
  },
];

for (const { what, asked, families = [4, 6] as const, kept } of CASES) {
  Deno.test(`host ports: ${what}`, () => {
    const found = hostPorts(asked.map((ip) => mapping(ip)), families);
    assertEquals(found.map(({ hostIP }) => hostIP), kept);
  });
}

Deno.test("host ports: mappings that differ in more than addresses are all asked for", () => {
  const asked = [
    mapping(),
    mapping("127.0.0.1", 81),
    mapping(undefined, 80, "sctp"),
  ];
  assertEquals(hostPorts(asked, [4]).length, asked.length);
});
