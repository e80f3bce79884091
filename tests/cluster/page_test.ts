/** docs/cluster.md, run as it is on two machines. */
import { assert } from "@std/assert";
import type { Host } from "../cli/host.ts";
import { Page, type Printed, runStep } from "../support/page.ts";
import { Network } from "./network.ts";

/** A directory with the command `podnet` of a node. */
async function programs(host: Host, node: string): Promise<string> {
  const directory = await Deno.makeTempDir({ prefix: "bin-" });
  const [program, ...args] = host.podnetCommand("--node", node);
  const words = [program, ...args].map((word) => `'${word}'`).join(" ");
  await Deno.writeTextFile(
    `${directory}/podnet`,
    `#!/bin/sh\nexec ${words} "$@"\n`,
    { mode: 0o755 },
  );
  return directory;
}

Deno.test("docs/cluster.md says what happens", async () => {
  await using network = await Network.start();
  const hosts: Record<string, Host> = {
    "node-a": network.one,
    "node-b": network.two,
  };
  // Of scripts that leave something running, too.
  const files = await Deno.makeTempDir({ prefix: "page-" });
  const paths = new Map<string, string>();
  for (const [name, host] of Object.entries(hosts)) {
    paths.set(name, await programs(host, name));
  }
  try {
    for (const step of Page.read("cluster.md").steps()) {
      const [, name = ""] = /^# (\S+)\n/.exec(step.script) ?? [];
      const host = hosts[name];
      assert(host !== undefined, `${step.place}: on which machine?`);
      const script = `PATH=${paths.get(name)}:/usr/sbin:/usr/bin:/sbin:/bin
${step.script.replaceAll("/tmp/", `${files}/`)}`;
      await runStep(step, async (): Promise<Printed> => {
        const { code, stdout, stderr } = await host.run("sh", "-c", script);
        return { code, output: stdout + stderr };
      });
    }
  } finally {
    for (const path of [files, ...paths.values()]) {
      await Deno.remove(path, { recursive: true });
    }
  }
});
