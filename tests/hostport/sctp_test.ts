/**
 * SCTP host ports on a kernel that need not know SCTP.
 *
 * @module
 */
import { assertEquals, assertThrows } from "@std/assert";
import { Errno, isSyscallError } from "../../ffi/errno.ts";
import { readTextFile } from "../../ffi/file.ts";
import { findObstacle } from "../../src/hostport/listeners.ts";
import { PORT_PROTOCOLS, toHostPort } from "../../src/hostport/mapping.ts";
import { Connection } from "../../src/netlink/connection.ts";
import { createLab } from "../../src/testing/mod.ts";
import { FakeKernel } from "../netlink/fake_kernel.ts";
import { nodeAddress, nodeAt, Pod } from "../support/pods.ts";
import { associate, crc32c } from "./sctp.ts";

/** Modules that are about SCTP and not about tracking its connections; none when the kernel has no modules. */
function sctpModules(): string[] {
  try {
    return readTextFile("/proc/modules").split("\n")
      .map((line) => line.split(" ")[0] ?? "")
      .filter((name) => /^(?:inet_diag_)?sctp/.test(name));
  } catch (error) {
    if (isSyscallError(error, Errno.ENOENT)) return [];
    throw error;
  }
}

Deno.test("HP24 an SCTP host port is opened, used and closed without an sctp module", async () => {
  const before = sctpModules();
  await using lab = await createLab();
  const ports = [{
    protocol: "sctp" as const,
    hostPort: 8080,
    containerPort: 80,
  }];
  await using pod = await Pod.create(nodeAt(lab.nodes, 0), { ports });
  for (const family of [4, 6] as const) {
    const to = { address: nodeAddress(family), port: 8080 };
    assertEquals(associate(lab.outside.namespace, to, pod)?.port, 80);
  }
  await pod.sandbox.removePorts(ports);
  assertEquals(sctpModules(), before);
});

Deno.test("HP24 nobody is asked for SCTP sockets, which would load the module", () => {
  for (const protocol of PORT_PROTOCOLS) {
    const kernel = new FakeKernel();
    using diag = new Connection(kernel);
    const mapping = toHostPort(
      { protocol, hostPort: 8080, containerPort: 80 },
      [4, 6],
    );
    if (protocol === "sctp") {
      assertEquals(findObstacle({ diag }, [mapping]), undefined);
      assertEquals(kernel.sent.length, 0);
    } else {
      // This kernel does not answer.
      assertThrows(() => findObstacle({ diag }, [mapping]));
      assertEquals(kernel.sent.length, 1);
    }
  }
});

Deno.test("crc32c() gives the check value of the catalogue of CRCs", () => {
  assertEquals(crc32c(new TextEncoder().encode("123456789")), 0xe3069283);
});
