import { assert, assertEquals } from "@std/assert";
import { doctorPage } from "../../src/cli/doctor_page.ts";
import type { Diagnosis } from "../../mod.ts";
import { Host } from "./host.ts";

const diagnosis: Diagnosis = {
  format: 1,
  healthy: false,
  findings: [
    {
      severity: "error",
      code: "traffic-dropped",
      about: "chain ip filter FORWARD",
      message:
        "hook forward priority 0 policy drop: the policy drops pods' connections to the outside. What podnet accepts in its own table does not help: every table can drop",
      remedy: 'nft insert rule ip filter FORWARD iifname "pn-*" accept',
    },
    ...[1, 2, 3, 4, 5].map((n) => ({
      severity: "warning" as const,
      code: "foreign-route" as const,
      about: `route 10.244.1.${n}/32`,
      message: "leads elsewhere",
      remedy: `ip route del 10.244.1.${n}/32`,
    })),
    {
      severity: "note",
      code: "other-nodes",
      about: "state directory /run/podnet",
      message: "has more nodes: bad\u001b[31mname",
      remedy: "nothing",
    },
  ],
  unseen: [{ about: "nf_tables", reason: "EPERM" }],
  platform: {
    deno: "2.9.6",
    architecture: "x86_64",
    libc: "glibc 2.36",
    kernel: "6.18.0",
  },
  privileges: {
    user: 1000,
    capabilities: [],
    userNamespace: true,
    foreignNamespaces: [],
    noNewPrivileges: true,
    seccomp: true,
    openFilesLimit: 1024,
  },
  kernel: [
    { feature: "veth", needed: true, outcome: "works", without: "" },
    {
      feature: "vxlan",
      needed: false,
      outcome: "absent",
      without: "no overlay",
      error: "EOPNOTSUPP",
    },
    { feature: "ifb", needed: false, outcome: "untried", without: "" },
  ],
  limits: {
    maxTrackedConnections: 262144,
    trackedConnections: 12,
    maxNeighbours: {},
    neighbours: {},
    localPorts: [32768, 60999],
  },
  stateDirectory: {
    path: "/run/podnet",
    nodes: [],
    readOnly: false,
    writable: true,
    fileSystem: "tmpfs",
    availableBytes: 5 << 20,
    shared: true,
  },
  network: { netnsId: "net:[1]", uplinks: ["eth0"], sysctls: {} },
};

Deno.test("doctorPage() is a page", () => {
  assertEquals(
    doctorPage(diagnosis).join("\n"),
    `\
Platform  Deno 2.9.6, Linux 6.18.0, x86_64, glibc 2.36
Rights    user 1000, no capability that podnet uses, in a user namespace, no new privileges, seccomp
          filter, 1024 open files
Kernel    1 of 3 features work; absent: vxlan; not tried: ifb
Limits    12 of 262144 tracked connections, client ports 32768-60999
State     /run/podnet (not there yet), tmpfs, 5 MiB free, shared mount
Network   net:[1], uplinks eth0, nf_tables not seen by this user
Node      none

Not seen  nf_tables: EPERM

note      state directory /run/podnet
          has more nodes: bad\\u001b[31mname
          → nothing

WARNING   route 10.244.1.5/32
          leads elsewhere
          → ip route del 10.244.1.5/32

WARNING   route 10.244.1.4/32
          leads elsewhere
          → ip route del 10.244.1.4/32

WARNING   route 10.244.1.3/32
          leads elsewhere
          → ip route del 10.244.1.3/32

          and 2 more like these

ERROR     chain ip filter FORWARD
          hook forward priority 0 policy drop: the policy drops pods' connections to the outside.
          What podnet accepts in its own table does not help: every table can drop
          → nft insert rule ip filter FORWARD iifname "pn-*" accept

1 error, 5 warnings, 1 note`,
  );
});

Deno.test("doctorPage() has nothing to complain about when nothing was found", () => {
  const page = doctorPage({ ...diagnosis, findings: [], unseen: [] });
  assertEquals(page.at(-1), "Nothing to complain about.");
});

Deno.test("podnet doctor says what is wrong, and ends with 1 for errors only", async () => {
  await using host = await Host.start();
  const healthy = await host.podnet("doctor", "--pod-cidr", "10.99.0.0/24");
  assertEquals([healthy.code, healthy.stderr], [0, ""]);
  const lines = healthy.stdout.trimEnd().split("\n");
  assertEquals(lines.filter((line) => [...line].length > 100), []);
  assert(lines.length <= 60, `${lines.length} lines`);

  await host.ok("node", "up", "--pod-cidr", "10.99.0.0/24");
  await host.run("sysctl", "-qw", "net.ipv4.ip_forward=0");
  const sick = await host.podnet("doctor", "-o", "json");
  assertEquals([sick.code, sick.stderr], [1, ""]);
  const { findings, node }: Diagnosis = JSON.parse(sick.stdout);
  assertEquals([findings[0]?.code, node?.name], ["forwarding-off", "test"]);

  const wrong = await host.podnet("doctor", "--pod-cidr", "10.99.0.1/24");
  assertEquals([wrong.code, wrong.stdout], [2, ""]);
  assert(wrong.stderr.includes("--pod-cidr"), wrong.stderr);
  await host.ok("node", "down");
});
