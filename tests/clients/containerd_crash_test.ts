/** containerd is killed in the middle of its work; plugins and shims that it started go on, or die as well. */
import { assertEquals, assertRejects } from "@std/assert";
import { Containerd, podConfig } from "./containerd.ts";
import { Gate, putGatesAround } from "./gate.ts";
import { MACHINE_ADDRESSES } from "./machine.ts";
import { BIN_DIR, PODNET } from "./network.ts";
import { assertNothingLeft, networkState } from "./state.ts";
import { assertAnswered } from "./traffic.ts";

const ports = [{ hostPort: 8080, containerPort: 80 }];

/** containerd with gates around the plugin, after its first pod, and what the machine had then. */
async function start(): Promise<{ containerd: Containerd; before: string[] }> {
  const containerd = await Containerd.start(PODNET);
  const { machine } = containerd;
  const plugin = `${BIN_DIR}/${PODNET.plugin}`;
  await putGatesAround(machine, plugin, "$CNI_COMMAND");
  const first = await containerd.runPod("first", { ports });
  await first.stop();
  await first.remove();
  return { containerd, before: await networkState(machine) };
}

/** What a node has to be after a crash: as before, and good for the same pod once more. */
async function assertGood(
  containerd: Containerd,
  before: readonly string[],
): Promise<void> {
  const { machine } = containerd;
  const pod = await containerd.runPod("web", { ports });
  {
    using inside = await pod.network();
    const to = { address: MACHINE_ADDRESSES[0], port: 8080 };
    const question = { from: "outside", network: machine.outside, to };
    assertAnswered(inside, 80, [question]);
  }
  await pod.stop();
  await pod.remove();
  await PODNET.collectGarbage?.(machine, []);
  await machine.forgetNamespaces();
  await assertNothingLeft(machine, before);
}

for (const point of ["before-ADD", "after-ADD", "create"]) {
  for (const word of ["go", "turn back"] as const) {
    Deno.test(`containerd is killed in RunPodSandbox at ${point}, ${word}`, async () => {
      const { containerd, before } = await start();
      await using _ends = containerd;
      const { machine, cri } = containerd;
      const gate = await Gate.close(machine, point);
      const refused = assertRejects(
        () =>
          cri.call("RunPodSandbox", { config: podConfig("web", { ports }) }),
      );
      await gate.reached();
      await containerd.kill();
      await refused;
      await gate.open(word);
      await containerd.launch();
      for (const id of await containerd.pods()) {
        await cri.call("StopPodSandbox", { podSandboxId: id });
        await cri.call("RemovePodSandbox", { podSandboxId: id });
      }
      await PODNET.collectGarbage?.(machine, []);
      await assertGood(containerd, before);
    });
  }
}

for (const point of ["before-DEL", "after-DEL"]) {
  for (const word of ["go", "turn back"] as const) {
    Deno.test(`containerd is killed in StopPodSandbox at ${point}, ${word}`, async () => {
      const { containerd, before } = await start();
      await using _ends = containerd;
      const { machine } = containerd;
      const pod = await containerd.runPod("web", { ports });
      const gate = await Gate.close(machine, point);
      const refused = assertRejects(() => pod.stop());
      await gate.reached();
      await containerd.kill();
      await refused;
      await gate.open(word);
      await containerd.launch();
      await pod.stop();
      await pod.remove();
      assertEquals(await containerd.pods(), []);
      await assertGood(containerd, before);
    });
  }
}
