import { assert, assertEquals, assertThrows } from "@std/assert";
import { readTextFile } from "../../ffi/file.ts";
import { isSandboxError } from "../../src/errors.ts";
import { NetworkNamespace } from "../../src/namespace/network_namespace.ts";
import {
  readSysctl,
  sysctlPath,
  writeSysctl,
} from "../../src/namespace/sysctl.ts";
import { leavesNothing, renameLoopback } from "./helpers.ts";

function assertInvalid(path: string, fn: () => unknown): string {
  const error = assertThrows(fn);
  assert(isSandboxError(error, "InvalidSpec"), `${error}`);
  assertEquals(error.context.problems.map((problem) => problem.path), [path]);
  return error.message;
}

Deno.test("sysctlPath() reads names as sysctl(8) does", () => {
  for (
    const [name, path] of [
      ["net.core.somaxconn", "net/core/somaxconn"],
      ["net/core/somaxconn", "net/core/somaxconn"],
      ["net.ipv4.conf.eth0/1.forwarding", "net/ipv4/conf/eth0.1/forwarding"],
      ["net/ipv4/conf/eth0.1/forwarding", "net/ipv4/conf/eth0.1/forwarding"],
      ["net.ipv6.conf.pn-0123.accept_ra", "net/ipv6/conf/pn-0123/accept_ra"],
    ] as const
  ) {
    assertEquals(sysctlPath(name), `/proc/sys/${path}`);
  }
});

Deno.test("sysctlPath() lets no name out of /proc/sys/net", () => {
  for (
    const name of [
      "",
      "net",
      "net.",
      "net/",
      ".net.core.somaxconn",
      "/net/core/somaxconn",
      "kernel.hostname",
      "network.core",
      "net..core",
      "net//core",
      "net/../kernel/hostname",
      "net/./core/somaxconn",
      "net.ipv4.//.kernel",
      "net.ipv4.conf././/.x",
      "net.core.somaxconn ",
      "net.core.some\nconn",
      "net.core.\0",
      "net.core.\x7f",
    ]
  ) {
    assertInvalid(name, () => sysctlPath(name));
  }
});

Deno.test("writeSysctl() sets a parameter of the namespace alone, and readSysctl() reads it", () =>
  leavesNothing(() => {
    using home = NetworkNamespace.current();
    using pod = NetworkNamespace.create();
    const before = readSysctl(home, "net.core.somaxconn");
    writeSysctl(pod, "net.core.somaxconn", 17);
    writeSysctl(pod, "net/ipv4/ip_local_port_range", "1024 2001");
    assertEquals(readSysctl(pod, "net.core.somaxconn"), "17");
    assertEquals(readSysctl(pod, "net.ipv4.ip_local_port_range"), "1024\t2001");
    assertEquals(readSysctl(home, "net.core.somaxconn"), before);
    assertEquals(readTextFile("/proc/sys/net/core/somaxconn"), `${before}\n`);
  }));

Deno.test("writeSysctl() reaches interfaces whose names have dots", () =>
  leavesNothing(() => {
    using pod = NetworkNamespace.create(() => renameLoopback("eth0.1"));
    writeSysctl(pod, "net.ipv4.conf.eth0/1.forwarding", "1");
    assertEquals(readSysctl(pod, "net/ipv4/conf/eth0.1/forwarding"), "1");
    assertInvalid(
      "net.ipv4.conf.eth0.1.forwarding",
      () => readSysctl(pod, "net.ipv4.conf.eth0.1.forwarding"),
    );
  }));

Deno.test("readSysctl() and writeSysctl() say what is wrong: no such parameter, or not this value", () =>
  leavesNothing(() => {
    using pod = NetworkNamespace.create();
    for (
      const name of ["net.core.nonsense", "net.core", "net.core.somaxconn.x"]
    ) {
      const message = assertInvalid(name, () => readSysctl(pod, name));
      assert(message.includes("no such parameter"), message);
    }
    for (const value of ["many", -1]) {
      const message = assertInvalid(
        "net.core.somaxconn",
        () => writeSysctl(pod, "net.core.somaxconn", value),
      );
      assert(message.includes("does not accept"), message);
    }
  }));
