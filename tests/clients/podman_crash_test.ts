/** podman is killed in the middle of its work; plugins and OCI runtimes that it started go on, or die as well. */
import { assertEquals } from "@std/assert";
import { Gate, putGatesAround } from "./gate.ts";
import { IMAGE } from "./image.ts";
import { MACHINE_ADDRESSES } from "./machine.ts";
import { BIN_DIR, PODNET } from "./network.ts";
import { Podman } from "./podman.ts";
import { assertNothingLeft, networkState } from "./state.ts";
import { assertAnswered } from "./traffic.ts";

const publish = ["-p", "8080:80"];

/** podman with gates around the plugin, after its first container, and what the machine had then. */
async function start(): Promise<{ podman: Podman; before: string[] }> {
  const podman = await Podman.start(PODNET);
  const { machine } = podman;
  const plugin = `${BIN_DIR}/${PODNET.plugin}`;
  await putGatesAround(machine, plugin, "$CNI_COMMAND");
  await (await podman.create("first", ...publish)).remove();
  return { podman, before: await networkState(machine) };
}

/** Runs `podman`, kills it where somebody comes to the gate, and lets that one go on. */
async function killAt(
  { machine }: Podman,
  point: string,
  word: "go" | "turn back",
  ...args: readonly string[]
): Promise<void> {
  const gate = await Gate.close(machine, point);
  const shell = 'echo $$ >/run/podman.pid; exec podman "$@"';
  const outcome = machine.attempt("sh", "-c", shell, "sh", ...args);
  await gate.reached();
  await machine.run("sh", "-c", "kill -KILL $(cat /run/podman.pid)");
  await gate.open(word);
  await machine.run("rm", "/run/podman.pid");
  await outcome;
}

/** podman forgets a mount of a container that it did not start, and removes it only when asked a second time. */
async function removeFinally({ machine }: Podman, name: string): Promise<void> {
  const remove = ["podman", "rm", "-f", "-t", "0", "--ignore", name];
  const { code } = await machine.attempt(...remove);
  if (code !== 0) await machine.run(...remove);
}

/** What a node has to be after a crash: good for the same container once more, and then as before. */
async function assertGood(
  podman: Podman,
  before: readonly string[],
): Promise<void> {
  const { machine } = podman;
  await PODNET.collectGarbage?.(machine, []);
  const web = await podman.create("again", ...publish);
  {
    using inside = await web.network();
    const to = { address: MACHINE_ADDRESSES[0], port: 8080 };
    const question = { from: "outside", network: machine.outside, to };
    assertAnswered(inside, 80, [question]);
  }
  await web.remove();
  await machine.forgetNamespaces();
  await assertNothingLeft(machine, before);
}

for (const point of ["before-ADD", "after-ADD", "create"]) {
  for (const word of ["go", "turn back"] as const) {
    // The container would run on, unknown to podman.
    if (point === "create" && word === "go") continue;
    Deno.test(`podman is killed in run at ${point}, ${word}`, async () => {
      const { podman, before } = await start();
      await using _ends = podman;
      await killAt(
        podman,
        point,
        word,
        "run",
        "-d",
        "--name",
        "web",
        ...publish,
        IMAGE,
      );
      await removeFinally(podman, "web");
      assertEquals(await podman.run("ps", "-aq"), "");
      await assertGood(podman, before);
    });
  }
}

for (const point of ["before-DEL", "after-DEL"]) {
  for (const word of ["go", "turn back"] as const) {
    Deno.test(`podman is killed in rm at ${point}, ${word}`, async () => {
      const { podman, before } = await start();
      await using _ends = podman;
      await podman.create("web", ...publish);
      await killAt(podman, point, word, "rm", "-f", "-t", "0", "web");
      await removeFinally(podman, "web");
      assertEquals(await podman.run("ps", "-aq"), "");
      await assertGood(podman, before);
    });
  }
}
