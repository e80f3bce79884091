/**
 * A state directory without room, without inodes, or that nobody can write to.
 *
 * @module
 */
import { assert, assertEquals } from "@std/assert";
import { isSandboxError, type Node } from "../../mod.ts";
import { BareNode, POD_CIDRS, rejects } from "../node/bare.ts";
import { assertSettled, linksSettled } from "./settled.ts";

const PAGE = 4096;

function shell(line: string): void {
  const { success, stderr } = new Deno.Command("sh", {
    args: ["-ec", line],
    stdin: "null",
  }).outputSync();
  assert(success, `${line}: ${new TextDecoder().decode(stderr)}`);
}

/** A node whose state directory is a small file system of its own. */
class SmallNode implements AsyncDisposable {
  readonly bare = new BareNode();

  constructor() {
    const { stateDir } = this.bare;
    shell(
      `mount -t tmpfs -o size=256k,nr_inodes=64,mode=700 podnet ${stateDir}`,
    );
  }

  get #filler(): string {
    return `${this.bare.stateDir}/filler`;
  }

  /** Leaves so many pages for others. */
  fill(free: number): void {
    using file = Deno.openSync(this.#filler, { create: true, write: true });
    let pages = 0;
    try {
      for (;;) {
        file.writeSync(new Uint8Array(PAGE));
        pages++;
      }
    } catch {
      file.truncateSync(Math.max(0, pages - free) * PAGE);
    }
  }

  /** Leaves so many inodes for others. */
  fillInodes(free: number): void {
    Deno.mkdirSync(this.#filler);
    let files = 0;
    try {
      for (;; files++) Deno.writeTextFileSync(`${this.#filler}/${files}`, "");
    } catch {
      for (let i = 1; i <= free; i++) {
        Deno.removeSync(`${this.#filler}/${files - i}`);
      }
    }
  }

  empty(): void {
    Deno.removeSync(this.#filler, { recursive: true });
  }

  remount(mode: "ro" | "rw"): void {
    shell(`mount -o remount,${mode} ${this.bare.stateDir}`);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    shell(`umount -l ${this.bare.stateDir}`);
    await this.bare[Symbol.asyncDispose]();
  }
}

/**
 * Does something again and again, with a little more room each time, until it succeeds. Each failure has to be typed and
 * to leave everything as it was.
 *
 * @returns how often it failed
 */
async function growing(
  small: SmallNode,
  fill: (free: number) => void,
  attempt: () => Promise<() => Promise<unknown>>,
  pods = 0,
): Promise<number> {
  await linksSettled(small.bare, pods);
  for (let free = 0;; free++) {
    fill(free);
    const before = small.bare.state();
    let undo: (() => Promise<unknown>) | undefined;
    try {
      undo = await attempt();
    } catch (error) {
      assert(isSandboxError(error, "StateUnusable"), Deno.inspect(error));
      assert(/make room/.test(error.message), error.message);
      assertEquals(error.undoFailures, []);
    }
    if (undo === undefined) {
      await assertSettled(small.bare, before);
    }
    small.empty();
    if (undo === undefined) continue;
    await undo();
    return free;
  }
}

for (const what of ["room", "inodes"] as const) {
  Deno.test(`openNode(), createSandbox() and addPorts() fail typed and change nothing while the state directory has no ${what}, and work once it has some`, async () => {
    await using small = new SmallNode();
    const fill = (free: number) =>
      what === "room" ? small.fill(free) : small.fillInodes(free);
    {
      // The first node switches forwarding on for good.
      await using node = await small.bare.open();
      await node.remove();
    }
    const opened = await growing(small, fill, async () => {
      const node = await small.bare.open();
      return async () => {
        await node.remove();
        await node[Symbol.asyncDispose]();
      };
    });
    await using node = await small.bare.open();
    const created = await growing(small, fill, async () => {
      const sandbox = await node.createSandbox({
        name: "pod",
        ports: [{ hostPort: 8080, containerPort: 80 }],
      });
      return () => sandbox.remove();
    });
    await using sandbox = await node.createSandbox({ name: "pod" });
    const changed = await growing(small, fill, async () => {
      // So many that the record is written anew; a few are added to it, which takes neither.
      const ports = [{ hostPort: 8080, hostPortEnd: 8279, containerPort: 80 }];
      await sandbox.addPorts(ports);
      return () => sandbox.removePorts(ports);
    }, 1);
    await sandbox.remove();
    await node.remove();
    assert(
      opened >= 1 && created >= 2 && changed >= 1,
      `${opened}, ${created} and ${changed} failures`,
    );
    console.log(
      `no ${what}: ${opened} points of openNode, ${created} of createSandbox, ${changed} of addPorts`,
    );
  });
}

Deno.test("all that writes fails typed while the state directory is read-only, what reads works, and a removal is finished afterwards", async () => {
  await using small = new SmallNode();
  await using node = await small.bare.open();
  await using sandbox = await node.createSandbox({
    name: "pod",
    ports: [{ hostPort: 8080, containerPort: 80 }],
  });
  await using another = await node.createSandbox({ name: "another" });
  await linksSettled(small.bare, 2);
  const before = small.bare.state();
  small.remount("ro");
  const refused = async (call: () => Promise<unknown>) => {
    const error = await rejects("StateUnusable", call);
    assert(/remount it read-write/.test(error.message), error.message);
    const { path } = error.context;
    assert(path.startsWith(small.bare.stateDir), path);
  };
  try {
    await refused(() => node.createSandbox({ name: "other" }));
    await refused(() =>
      sandbox.addPorts([{ hostPort: 9090, containerPort: 80 }])
    );
    await refused(() => sandbox.addContainer({ name: "app" }));
    await refused(() =>
      small.bare.open({ name: "another", podCidrs: POD_CIDRS })
    );
    assertEquals(await readsWork(small.bare, node), ["another", "pod"]);
    small.remount("rw");
    await assertSettled(small.bare, before);
    small.remount("ro");
    await refused(() => sandbox.remove());
    // As one of many it goes another way.
    await refused(() => another.remove());
  } finally {
    small.remount("rw");
  }
  await sandbox.remove();
  await another.remove();
  assertEquals(await node.listSandboxes(), []);
  assertEquals(await node.check(), []);
  await node.remove();
});

/** The names of the sandboxes, by all ways to read them. */
async function readsWork(
  bare: BareNode,
  node: Node,
): Promise<(string | undefined)[]> {
  await using again = await bare.open({});
  assertEquals(await again.check(), []);
  await using _found = await again.openSandbox("pod");
  return (await node.listSandboxes()).map(({ name }) => name);
}
