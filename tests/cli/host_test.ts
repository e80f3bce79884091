import { assert, assertEquals } from "@std/assert";
import { Host } from "./host.ts";

/** Starts a process that nobody waits for, and says its id. */
async function leave(host: Host, ...through: string[]): Promise<number> {
  const command = [...through, "sleep", "1000"].join(" ");
  const script = `setsid ${command} > /dev/null 2>&1 & echo $!`;
  const { stdout } = await host.run("sh", "-c", script);
  return Number(stdout);
}

const isThere = (pid: number) => {
  try {
    return !Deno.readTextFileSync(`/proc/${pid}/stat`).includes(") Z ");
  } catch (error) {
    if (error instanceof Deno.errors.NotFound) return false;
    throw error;
  }
};

Deno.test("a host ends what a test leaves on it, inside of its pods as well, and nothing of another host", async () => {
  await using other = await Host.start();
  const kept = await leave(other);
  const left: number[] = [];
  {
    await using host = await Host.start();
    for (
      const through of [[], ["unshare", "-n"], ["unshare", "-m"], [
        "unshare",
        "-n",
        "-m",
      ]]
    ) {
      left.push(await leave(host, ...through));
    }
    assertEquals(left.map(isThere), [true, true, true, true]);
  }
  assertEquals(left.map(isThere), [false, false, false, false]);
  assert(isThere(kept));
});
