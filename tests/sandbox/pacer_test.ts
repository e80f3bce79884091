/**
 * Long work leaves the event loop its turns.
 *
 * @module
 */
import { assert, assertEquals, assertRejects } from "@std/assert";
import { isSandboxError } from "../../mod.ts";
import { Connection } from "../../src/netlink/connection.ts";
import { contextOf } from "../../src/sandbox/node.ts";
import { turn } from "../../src/sandbox/node/pacer.ts";
import { BareNode, rejects } from "../node/bare.ts";
import { command } from "../support/command.ts";

/** What takes much longer than one piece of work may. */
const SANDBOXES = 200;

const NAMES = Array.from({ length: SANDBOXES }, (_, i) => `pod-${i}`);

Deno.test("turn() gives each of many that ask together a turn of its own", async () => {
  let rounds = 0;
  let isOver = false;
  const round = () => {
    rounds++;
    if (!isOver) setImmediate(round);
  };
  setImmediate(round);
  const seen = await Promise.all(
    Array.from({ length: 50 }, () => turn().then(() => rounds)),
  );
  isOver = true;
  await turn();
  assertEquals(new Set(seen).size, seen.length);
});

Deno.test("the event loop has its turn while hundreds of sandboxes are made, listed, and put back into a table that was flushed", async () => {
  await using bare = new BareNode();
  await using node = await bare.open();
  let ticks = 0;
  const timer = setInterval(() => ticks++, 1);
  const seen = await Promise.all(
    NAMES.map((name) => node.createSandbox({ name }).then(() => ticks)),
  ).finally(() => clearInterval(timer));
  // A creation takes about as long as the timer, or longer. In one piece there would be one number for all of them.
  const during = new Set(seen).size;
  assert(during > SANDBOXES / 10, `timers ran ${during} times`);

  // One that has made none of them itself has to read their records.
  await using other = await bare.open();
  let hadTurn = false;
  setImmediate(() => hadTurn = true);
  assertEquals((await other.listSandboxes()).length, SANDBOXES);
  assert(hadTurn);

  command(bare.namespace, "nft flush ruleset");
  const late = NAMES.slice(0, 10).map((name) => `late-${name}`);
  await Promise.all(late.map((name) => other.createSandbox({ name })));
  assertEquals(await other.check(), []);
});

Deno.test("the event loop has its turn while a name is looked for that is nobody's, and all links are read once for it", async () => {
  await using bare = new BareNode();
  await using node = await bare.open();
  await Promise.all(NAMES.map((name) => node.createSandbox({ name })));
  await node.createSandbox({ name: "late", id: "zzz" });
  // One that has made none of them itself has to read their records.
  await using other = await bare.open();
  let hadTurn = false;
  setImmediate(() => hadTurn = true);
  await using late = await other.openSandbox("late");
  assertEquals(late.id, "zzz");
  assert(hadTurn);
  const error = await assertRejects(() => other.openSandbox("nobody"));
  assert(isSandboxError(error, "SandboxNotFound"));

  const { route } = contextOf(other).sockets;
  let links = 0;
  route.dump = function (request) {
    const found = Connection.prototype.dump.call(this, request);
    if (found.length >= SANDBOXES) links++;
    return found as never;
  };
  for (const force of [false, true]) {
    links = 0;
    assertEquals(await other.removeSandbox("nobody", { force }), false);
    assertEquals(links, 1);
  }
});

Deno.test("listSandboxes() rejects when the directory of sandboxes cannot be read", async () => {
  await using bare = new BareNode();
  await using node = await bare.open();
  const path = `${bare.stateDir}/bare/sandboxes`;
  Deno.removeSync(path);
  Deno.writeTextFileSync(path, "");
  try {
    await rejects("StateUnusable", () => node.listSandboxes());
  } finally {
    Deno.removeSync(path);
    Deno.mkdirSync(path, { mode: 0o700 });
  }
});
