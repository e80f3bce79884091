/** Results of every version, read and written. */
import { assertEquals, assertThrows } from "@std/assert";
import fc from "fast-check";
import {
  CNI_VERSIONS,
  CniError,
  CniErrorCode,
  type CniResult,
  parseResult,
  resultDocument,
} from "../../../src/cni/model/mod.ts";
import { results } from "./arbitrary.ts";

const FULL: CniResult = {
  interfaces: [
    { name: "cni0", mac: "02:00:00:00:00:01", mtu: 1500 },
    {
      name: "eth0",
      mac: "02:00:00:00:00:02",
      sandbox: "/run/netns/blue",
      pciID: "0000:00:1f.6",
      socketPath: "/run/vhost",
    },
  ],
  ips: [
    { address: "10.1.2.3/24", gateway: "10.1.2.1", interface: 1 },
    { address: "10.9.0.3/16", interface: 1 },
    { address: "fd00::3/64", gateway: "fd00::1", interface: 1 },
  ],
  routes: [
    { dst: "0.0.0.0/0", gw: "10.1.2.1", mtu: 1400, priority: 5, scope: 0 },
    { dst: "::/0" },
  ],
  dns: { nameservers: ["192.0.2.53"], search: ["example.org"] },
};

Deno.test("a result of 1.1.0 loses in 1.0.0 what came with 1.1.0", () => {
  assertEquals(resultDocument(FULL, "1.0.0"), {
    cniVersion: "1.0.0",
    interfaces: [
      { name: "cni0", mac: "02:00:00:00:00:01" },
      { name: "eth0", mac: "02:00:00:00:00:02", sandbox: "/run/netns/blue" },
    ],
    ips: [
      { interface: 1, address: "10.1.2.3/24", gateway: "10.1.2.1" },
      { interface: 1, address: "10.9.0.3/16" },
      { interface: 1, address: "fd00::3/64", gateway: "fd00::1" },
    ],
    routes: [{ dst: "0.0.0.0/0", gw: "10.1.2.1" }, { dst: "::/0" }],
    dns: { nameservers: ["192.0.2.53"], search: ["example.org"] },
  });
});

for (const version of ["0.3.0", "0.3.1", "0.4.0"] as const) {
  Deno.test(`addresses say their IP version in ${version}`, () => {
    assertEquals(resultDocument(FULL, version)["ips"], [
      {
        version: "4",
        interface: 1,
        address: "10.1.2.3/24",
        gateway: "10.1.2.1",
      },
      { version: "4", interface: 1, address: "10.9.0.3/16" },
      {
        version: "6",
        interface: 1,
        address: "fd00::3/64",
        gateway: "fd00::1",
      },
    ]);
  });
}

for (const version of ["0.1.0", "0.2.0"] as const) {
  Deno.test(`${version} has one address of each IP version, with its routes`, () => {
    const document = {
      cniVersion: version,
      ip4: {
        ip: "10.1.2.3/24",
        gateway: "10.1.2.1",
        routes: [{ dst: "0.0.0.0/0", gw: "10.1.2.1" }],
      },
      ip6: { ip: "fd00::3/64", gateway: "fd00::1", routes: [{ dst: "::/0" }] },
      dns: { nameservers: ["192.0.2.53"], search: ["example.org"] },
    };
    assertEquals(resultDocument(FULL, version), document);
    assertEquals(parseResult(document), {
      interfaces: [],
      ips: [
        { address: "10.1.2.3/24", gateway: "10.1.2.1" },
        { address: "fd00::3/64", gateway: "fd00::1" },
      ],
      routes: [{ dst: "0.0.0.0/0", gw: "10.1.2.1" }, { dst: "::/0" }],
      dns: { nameservers: ["192.0.2.53"], search: ["example.org"] },
    });
  });

  Deno.test(`a result without addresses has no form in ${version}`, () => {
    const error = assertThrows(
      () => resultDocument({ ...FULL, ips: [] }, version),
      CniError,
    );
    assertEquals(error.code, CniErrorCode.INTERNAL);
  });
}

Deno.test("a result without a version has the form of 0.1.0", () => {
  assertEquals(parseResult({ ip4: { ip: "10.1.2.3/24" } }).ips, [
    { address: "10.1.2.3/24" },
  ]);
});

Deno.test("what Go writes for nothing is nothing", () => {
  assertEquals(
    parseResult(
      '{"cniVersion":"1.0.0","interfaces":null,"ips":[{"address":"10.1.2.3/24","gateway":"","interface":null}],"routes":null,"dns":{}}',
    ),
    { interfaces: [], ips: [{ address: "10.1.2.3/24" }], routes: [] },
  );
});

Deno.test("an IPAM plugin's result has no interfaces in any version", () => {
  const ipam = {
    interfaces: [],
    ips: [{ address: "10.1.2.3/24" }],
    routes: [],
  };
  for (const version of CNI_VERSIONS) {
    const document = resultDocument(ipam, version);
    assertEquals(Object.hasOwn(document, "interfaces"), false);
    assertEquals(parseResult(document), ipam);
  }
});

for (
  const [wrong, place] of [
    [{ ips: [{ address: "10.1.2.3" }] }, "ips[0].address"],
    [{ ips: [{ address: "10.1.2.3/33" }] }, "ips[0].address"],
    [{ ips: [{ address: "10.1.2.3/24", interface: 0 }] }, "ips[0].interface"],
    [{ ips: [{ address: "10.1.2.3/24", interface: -1 }] }, "ips[0].interface"],
    [{ ips: {} }, "ips"],
    [{ routes: [{ dst: "default" }] }, "routes[0].dst"],
    [{ routes: [{ dst: "::/0", mtu: "1400" }] }, "routes[0].mtu"],
    [{ interfaces: [{ name: 7 }] }, "interfaces[0].name"],
    [{ dns: { nameservers: [7] } }, "dns.nameservers[0]"],
  ] as const
) {
  Deno.test(`a result with ${JSON.stringify(wrong)} is refused`, () => {
    const error = assertThrows(
      () => parseResult(JSON.stringify({ cniVersion: "1.1.0", ...wrong })),
      CniError,
      `${place} must be`,
    );
    assertEquals(error.code, CniErrorCode.DECODING_FAILURE);
  });
}

Deno.test("a result of an unknown version is refused with the list of versions", () => {
  const error = assertThrows(
    () => parseResult({ cniVersion: "9.9.9" }),
    CniError,
  );
  assertEquals(error.code, CniErrorCode.INCOMPATIBLE_VERSION);
  assertEquals(error.details, `supported: ${CNI_VERSIONS.join(", ")}`);
});

Deno.test("a result comes back from 1.1.0 as it was", () => {
  fc.assert(fc.property(results, (result) => {
    assertEquals(parseResult(resultDocument(result, "1.1.0")), result);
  }));
});

Deno.test("a result comes back from each older version with all that the version has", () => {
  fc.assert(
    fc.property(
      results,
      fc.constantFrom(...CNI_VERSIONS),
      (result, version) => {
        if (result.ips.length === 0) return;
        const document = resultDocument(result, version);
        const again = parseResult(document);
        assertEquals(resultDocument(again, version), document);
        const families = new Set(
          result.ips.map(({ address }) => address.includes(":")),
        );
        const isOld = version === "0.1.0" || version === "0.2.0";
        assertEquals(
          again.ips.map(({ address }) => address).sort(),
          isOld
            ? [...families].map((is6) =>
              result.ips.find(({ address }) => address.includes(":") === is6)
                ?.address
            ).sort()
            : result.ips.map(({ address }) => address).sort(),
        );
        if (isOld) return;
        assertEquals(
          again.routes.map(({ dst, gw }) => [dst, gw]),
          result.routes.map(({ dst, gw }) => [dst, gw]),
        );
        assertEquals(
          again.interfaces.map((
            { name, mac, sandbox },
          ) => [name, mac, sandbox]),
          result.interfaces.map((
            { name, mac, sandbox },
          ) => [name, mac, sandbox]),
        );
      },
    ),
  );
});
