/**
 * The benchmark and the soak with small numbers: that they run, and that what
 * they drive does what it is said to do. No test looks at a time.
 */
import { assertEquals, assertRejects } from "@std/assert";
import type { Driver } from "../../bench/driver.ts";
import { Series, takeTurns } from "../../bench/rounds.ts";
import type { SoakResult } from "../../bench/soak.ts";
import { buildPrograms, LIMIT, start, WORK } from "../../bench/subjects.ts";

/** Runs with the reference built, and leaves nothing of it. */
async function built(run: () => Promise<void>): Promise<void> {
  await buildPrograms(["pod"]);
  try {
    await run();
  } finally {
    await Deno.remove(WORK, { recursive: true });
  }
}

/** The mappings of a node's table, by what nft says of it. */
async function elements(driver: Driver, ...set: string[]): Promise<number> {
  const { stdout } = await new Deno.Command("nsenter", {
    args: [`--target=${driver.pid}`, "--net", "nft", "list", ...set],
  }).output();
  return new TextDecoder().decode(stdout).split(" : ").length - 2;
}

Deno.test("takeTurns() lets podnet and C make the same pods, and both are gone after", () =>
  built(async () => {
    await using podnet = await start("podnet");
    await using limit = await start(LIMIT);
    const series = new Series();
    const order: string[] = [];
    await takeTurns([podnet, limit], 2, 1, async (driver, round, warm) => {
      order.push(driver.name);
      const links = await driver.links();
      const first = round * 3;
      const made = await driver.laps("create", first, 3, 2, 5000);
      assertEquals(await driver.links(), links + 3);
      const added = await driver.laps("addPorts", first, 3, 1, 6000);
      await driver.laps("removePorts", first, 3, 1, 6000);
      await driver.laps("remove", first, 3);
      await driver.settle(links);
      if (!warm) return;
      series.add(driver.name, "create", made);
      series.add(driver.name, "addPorts", added);
    });
    assertEquals(order, ["podnet", LIMIT, LIMIT, "podnet", "podnet", LIMIT]);
    for (const { name } of [podnet, limit]) {
      assertEquals(series.get(name, "create").wall.length, 6);
      assertEquals(series.get(name, "addPorts").cpu.length, 6);
    }
    await limit.ask("create", 100, 1, 5, 7000);
    // The type of a map has a colon of its own.
    assertEquals(
      await elements(limit, "map", "inet", "pods", "ports4"),
      5,
    );
  }));

Deno.test("start() lets a second process work on the node of the first", () =>
  built(async () => {
    for (const subject of ["podnet", LIMIT]) {
      await using first = await start(subject);
      await using second = await start(subject, { join: first });
      const links = await first.links();
      await Promise.all([
        first.ask("create", 0, 2, 1, 5000),
        second.ask("create", 10, 2, 1, 6000),
      ]);
      assertEquals(await first.links(), links + 4);
      assertEquals(await second.links(), links + 4);
    }
  }));

Deno.test("podnet started to tell its calls says what each took, once for each operation", () =>
  built(async () => {
    await using podnet = await start("podnet", { calls: true });
    const told = JSON.parse(await podnet.ask("create", 0, 3, 1, 5000));
    assertEquals(told.unshare.ns.length, 3);
    assertEquals(Math.round(told.unshare.times), 1);
    assertEquals(told.unshare.ns.every((ns: number) => ns > 0), true);
    assertEquals(Object.keys(told).includes("send: nf_tables"), true);
  }));

Deno.test("ask() says which program ended when one does", () =>
  built(async () => {
    await using limit = await start(LIMIT);
    await assertRejects(() => limit.ask("nonsense", 0, 1), Error, "C ended");
  }));

Deno.test("soak: nothing is more after than before", async () => {
  const { stdout } = await new Deno.Command("unshare", {
    args: [
      "--net",
      "--mount",
      "--propagation=private",
      Deno.execPath(),
      "run",
      "-A",
      "--quiet",
      "--no-check",
      "--cached-only",
      "--v8-flags=--expose-gc,--max-semi-space-size=8",
      "bench/soak_main.ts",
      "--peak=20",
      "--alive=5",
      "--cycles=60",
      "--every=20",
      "--json",
    ],
    stderr: "inherit",
  }).output();
  const result: SoakResult = JSON.parse(new TextDecoder().decode(stdout));
  assertEquals(result.after.exact, result.before.exact);
  assertEquals(result.samples.map(({ cycles }) => cycles), [0, 20, 40, 60]);
  for (const { exact } of result.samples) {
    assertEquals(exact, result.samples[0]?.exact);
  }
});
