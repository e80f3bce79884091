/** The pages of docs/ about container runtimes, run as they are. */
import { Page } from "../support/page.ts";
import { Containerd, type CriPod } from "./containerd.ts";
import { Machine } from "./machine.ts";
import { Podman } from "./podman.ts";
import { assertNothingLeft, networkState } from "./state.ts";

/** Runs a page on a machine, whose network is then as it was before. */
async function runPage(
  machine: Machine,
  page: Page,
  events: Parameters<Page["run"]>[1] = {},
): Promise<void> {
  // What a node leaves behind that is taken down.
  const switches = ["net.ipv4.ip_forward=1", "net.ipv6.conf.all.forwarding=1"];
  await machine.run("sysctl", "-qw", ...switches);
  const before = await networkState(machine);
  await page.run((script) => machine.shell(script), events);
  await assertNothingLeft(machine, before);
}

/**
 * What the page calls crun. Control groups are the real machine's: crun does without, and those of runc have a name that no
 * other run of the tests has.
 */
const SCRIPTS = {
  crun: `#!/bin/sh
exec /usr/bin/crun --cgroup-manager=disabled "$@"
`,
  runc: `#!/bin/sh
sed -i 's|"linux": {$|"linux": { "cgroupsPath": "/page-${crypto.randomUUID()}",|' /var/lib/web/config.json
exec /usr/sbin/runc "$@"
`,
} as const;

for (const runtime of ["crun", "runc"] as const) {
  Deno.test(`docs/crun-runc.md says what happens (${runtime})`, async () => {
    await using machine = await Machine.start();
    await machine.write("/usr/local/bin/crun", SCRIPTS[runtime], 0o755);
    await runPage(machine, Page.read("crun-runc.md"));
  });
}

Deno.test("docs/cni-plugin.md says what happens", async () => {
  await using machine = await Machine.start();
  await runPage(machine, Page.read("cni-plugin.md"));
});

Deno.test("docs/podman.md says what happens", async () => {
  await using podman = await Podman.startBare();
  await runPage(podman.machine, Page.read("podman.md"));
});

Deno.test("docs/containerd.md says what happens", async () => {
  // Of pods' first containers; the page makes that of ctr's.
  await using containerd = await Containerd.start(undefined, ["k8s.io"]);
  let pod: CriPod | undefined;
  await runPage(containerd.machine, Page.read("containerd.md"), {
    "Pods": async () => {
      const ports = [{ hostPort: 8080, containerPort: 80 }];
      pod = await containerd.runPod("web", { ports });
    },
    "A pod that is stopped": async () => {
      await pod?.stop();
      await pod?.remove();
    },
  });
});
