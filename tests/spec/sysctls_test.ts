import { assert, assertEquals } from "@std/assert";
import {
  isSafeSysctl,
  sysctlProblem,
  sysctlsOfTheMachine,
} from "../../src/spec/sysctls.ts";

/** The sysctls that a process in a new network namespace may write to. */
async function writableInNewNamespace(
  names: readonly string[],
): Promise<string[]> {
  const paths = names.map((name) => `/proc/sys/${name.replaceAll(".", "/")}`);
  const { stdout, success } = await new Deno.Command("unshare", {
    args: [
      "-n",
      "sh",
      "-c",
      'for f; do if [ -w "$f" ]; then echo "$f"; fi; done',
      "sh",
      ...paths,
    ],
  }).output();
  assert(success);
  const written = new Set(new TextDecoder().decode(stdout).split("\n"));
  return names.filter((_, i) => written.has(paths[i] ?? ""));
}

const SAFE = [
  "net.ipv4.ip_local_port_range",
  "net.ipv4.ip_local_reserved_ports",
  "net.ipv4.ip_unprivileged_port_start",
  "net.ipv4.ping_group_range",
  "net.ipv4.tcp_fin_timeout",
  "net.ipv4.tcp_keepalive_intvl",
  "net.ipv4.tcp_keepalive_probes",
  "net.ipv4.tcp_keepalive_time",
  "net.ipv4.tcp_rmem",
  "net.ipv4.tcp_syncookies",
  "net.ipv4.tcp_wmem",
];

Deno.test("isSafeSysctl() is true for what the kernel gives each namespace (SY2)", async () => {
  assertEquals(SAFE.filter((name) => !isSafeSysctl(name)), []);
  assertEquals(SAFE.filter((name) => sysctlProblem(name) !== undefined), []);
  assertEquals(await writableInNewNamespace(SAFE), SAFE);
});

Deno.test("sysctlProblem() refuses what the kernel gives no namespace of its own (SY3)", async () => {
  const names = sysctlsOfTheMachine();
  assert(names.includes("net.netfilter.nf_conntrack_max"));
  assertEquals(names.filter((name) => sysctlProblem(name) === undefined), []);
  assertEquals(names.filter(isSafeSysctl), []);
  assertEquals(await writableInNewNamespace(names), []);
});

Deno.test("sysctlProblem() lets other sysctls of the namespace pass, which unsafeSysctls must name", () => {
  for (
    const name of [
      "net.core.somaxconn",
      "net.ipv4.ip_forward",
      "net.ipv4.conf.eth0.rp_filter",
      "net.ipv4.conf.eth0/5.rp_filter",
      "net.ipv4.conf./a//b.rp_filter",
      "net.netfilter.nf_log.2",
    ]
  ) {
    assertEquals(
      [sysctlProblem(name), isSafeSysctl(name)],
      [undefined, false],
      name,
    );
  }
});
