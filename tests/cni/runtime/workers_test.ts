/** R6: what is at work for an attachment that nobody waits for. */
import { assertEquals } from "@std/assert";
import type { Sandbox } from "../../../mod.ts";
import { processGroup } from "../../../ffi/process.ts";
import { endWorkers } from "../../../src/cni/runtime/workers.ts";
import { until } from "../../support/patience.ts";
import { isAtWork } from "../../support/processes.ts";
import { Site } from "./site.ts";

Deno.test("a plugin that outlives its runtime, and what it started, is ended before DEL, but for daemons", async (t) => {
  await using site = await Site.create();
  const { directory } = site;
  const pids = ["plugin", "child", "daemon"].map((name) =>
    `${directory}/${name}`
  );
  const [plugin, child, daemon] = pids;
  const network = site.network([{ type: "one" }]);
  const isLeft = (path = "") => isAtWork(Number(Deno.readTextFileSync(path)));
  for (
    const [name, act, more] of [
      ["detach", (pod: Sandbox) => pod.detach("net1"), []],
      ["attach", (pod: Sandbox) => pod.attach(network), ["one ADD"]],
      ["remove", (pod: Sandbox) => pod.remove(), []],
    ] as const
  ) {
    await t.step(name, async () => {
      await using pod = await site.pod("web");
      site.plugin("one", {
        ADD: `setsid sleep 1000 >/dev/null 2>&1 & echo $! > ${daemon}
          sleep 1000 & echo $! > ${child}
          echo $$ > ${plugin}
          touch ${directory}/begun
          wait`,
      });
      const process = site.other({ attach: network });
      await site.awaitFile("begun");
      Deno.removeSync(`${directory}/begun`);
      // It is the leader of a session once it is a daemon.
      await until(() =>
        site.sh(`ps -o sid= $(cat ${daemon})`).trim() ===
          Deno.readTextFileSync(`${daemon}`).trim()
      );
      process.kill("SIGKILL");
      await process.status;
      await process.stdout.cancel();
      assertEquals(pids.map(isLeft), [true, true, true]);
      const isFound = [plugin, child].map((path) =>
        `[ -z "$(cat /proc/$(cat ${path})/environ | tr -d '\\0')" ] || exit 1`
      );
      site.plugin("one", { DEL: isFound.join("\n") });
      try {
        await act(pod);
        assertEquals(pids.map(isLeft), [false, false, true]);
      } finally {
        for (const path of pids.filter(isLeft)) {
          Deno.kill(Number(Deno.readTextFileSync(path)));
        }
      }
      assertEquals(site.said(), ["one ADD", "one DEL", ...more]);
      await pod.remove();
      site.runs();
    });
  }
});

Deno.test("endWorkers() leaves those of other containers and interfaces alone, and those of other groups", async () => {
  const own = { containerId: "c1", ifName: "net1", group: processGroup() };
  const processes = [own, { ...own, containerId: "c2" }, {
    ...own,
    ifName: "net10",
  }].map(({ containerId, ifName }) =>
    new Deno.Command("sleep", {
      args: ["1000"],
      env: { CNI_CONTAINERID: containerId, CNI_IFNAME: ifName },
    }).spawn()
  );
  try {
    const atWork = () => processes.map(({ pid }) => isAtWork(pid));
    // Until it is itself, it has this process's environment.
    await until(() =>
      processes.every(({ pid }) =>
        Deno.readTextFileSync(`/proc/${pid}/comm`) === "sleep\n"
      )
    );
    assertEquals(await endWorkers({ ...own, group: own.group + 1 }), true);
    assertEquals(atWork(), [true, true, true]);
    assertEquals(await endWorkers(own), true);
    assertEquals(atWork(), [false, true, true]);
  } finally {
    for (const process of processes) {
      if (isAtWork(process.pid)) process.kill();
      await process.status;
    }
  }
});
