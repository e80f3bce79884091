/** R7: whatever a plugin does, its error is told as its own, and nothing stays of what others made. */
import { assert, assertEquals, assertRejects } from "@std/assert";
import { isSandboxError, type JsonObject, type Sandbox } from "../../../mod.ts";
import { CniPluginError } from "../../../src/cni/runtime/mod.ts";
import { NetworkNamespace } from "../../../src/namespace/network_namespace.ts";
import { command } from "../../support/command.ts";
import { isAtWork } from "../../support/processes.ts";
import { type Script, Site, told } from "./site.ts";
import { eventually, PATIENCE_MS } from "../../support/patience.ts";

/** Attaches to plugins one, two and three, of which the second fails. */
async function failing(
  site: Site,
  sandbox: Sandbox,
  second: Script,
  timeoutMs = PATIENCE_MS,
): Promise<CniPluginError> {
  site.plugin("one");
  site.plugin("two", second);
  site.plugin("three");
  return await assertRejects(
    () =>
      sandbox.attach({
        ...site.network([{ type: "one" }, { type: "two" }, { type: "three" }]),
        timeoutMs,
      }),
    CniPluginError,
  );
}

/** What a plugin does instead of what it should, and how that is told. */
const failures: readonly {
  readonly name: string;
  readonly does: string;
  readonly reason: string;
  readonly code?: number;
  readonly reported: string;
  readonly details?: string;
}[] = [
  {
    name: "says why",
    does:
      `echo '{"cniVersion":"1.0.0","code":117,"msg":"no room","details":"rack 3"}'; exit 1`,
    reason: "refused",
    code: 117,
    reported: "no room",
    details: "rack 3",
  },
  {
    name: "says why without a code",
    does: `echo '{"msg":"no room"}'; exit 3`,
    reason: "refused",
    reported: "no room",
  },
  {
    name: "says nothing",
    does: "exit 7",
    reason: "silent",
    reported: "it failed with exit code 7, without saying why",
  },
  {
    name: "writes to its standard error only",
    does: "echo oops >&2; exit 1",
    reason: "silent",
    reported: "it failed with exit code 1, without saying why",
  },
  {
    name: "is killed by a signal",
    does: "kill -KILL $$",
    reason: "silent",
    reported: "it failed with exit code 137, without saying why",
  },
  {
    name: "prints rubbish and succeeds",
    does: "echo rubbish",
    reason: "unreadable",
    reported: "what it answered is not one JSON document",
    details: "rubbish",
  },
  {
    name: "prints rubbish and fails",
    does: "echo rubbish; exit 1",
    reason: "unreadable",
    reported:
      "it failed with exit code 1; what it answered is not one JSON document",
    details: "rubbish",
  },
  {
    name: "fails with a result",
    does: `echo '{"cniVersion":"1.0.0"}'; exit 1`,
    reason: "unreadable",
    reported: "it failed with exit code 1; its answer is no error",
    details: '{"cniVersion":"1.0.0"}',
  },
  {
    name: "prints two documents",
    does: "echo '{}{}'",
    reason: "unreadable",
    reported: "what it answered is not one JSON document",
    details: "{}{}",
  },
  {
    name: "prints a result that is none",
    does: `echo '{"cniVersion":"1.0.0","ips":[{"address":"here"}]}'`,
    reason: "unreadable",
    reported:
      'what it answered is no result: invalid result: ips[0].address must be an address: "" is no IP address',
  },
  {
    name: "prints nothing and succeeds",
    does: "true",
    reason: "silent",
    reported: "it ended well, without a result",
  },
  {
    name: "prints for ever",
    does: "exec yes",
    reason: "unreadable",
    reported: "it wrote too much, and was killed",
  },
  {
    name: "hangs",
    does: "exec sleep 1000",
    reason: "timeout",
    reported: "it took longer than 1000 ms, and was killed",
  },
  {
    name: "hangs in a child of its own, which is killed with it",
    does: "sleep 1000 & echo $! > $CHILD; wait",
    reason: "timeout",
    reported: "it took longer than 1000 ms, and was killed",
  },
  {
    name: "is killed by a signal, and its child with it",
    does: "sleep 1000 & echo $! > $CHILD; kill -KILL $$",
    reason: "silent",
    reported: "it failed with exit code 137, without saying why",
  },
];

Deno.test("a plugin in the middle fails: all are deleted in reverse, and the error is its own", async (t) => {
  await using site = await Site.create();
  const sandbox = await site.pod("web");
  for (const { name, does, reason, code, reported, details } of failures) {
    const attempt = async () => {
      const child = `${site.directory}/child`;
      const script = does.replace("$CHILD", child);
      const limits = reason === "timeout" ? [1000] : [];
      const error = await failing(site, sandbox, { ADD: script }, ...limits);
      if (does !== script) {
        const pid = Number(Deno.readTextFileSync(child));
        const isLeft = isAtWork(pid);
        if (isLeft) Deno.kill(pid);
        assert(!isLeft, "the child is at work still");
      }
      const said = site.said();
      const got = told(error);
      // How an address is no address is not this test's matter.
      if (name === "prints a result that is none") got[4] = reported;
      assertEquals(got, [
        reason,
        "two",
        "ADD",
        code ?? 999,
        reported,
        details ?? "",
        [],
      ]);
      assert(error.message.startsWith("plugin two of network net, ADD: "));
      assertEquals(said, [
        "one ADD",
        "two ADD",
        "three DEL",
        "two DEL",
        "one DEL",
      ]);
      assertEquals([sandbox.attachments, site.cached()], [[], []]);
    };
    await t.step(
      `it ${name}`,
      // On a machine that does much else the others may take too long as well.
      reason === "timeout" ? () => eventually(attempt) : attempt,
    );
  }
  const error = await failing(site, sandbox, { ADD: "echo oops >&2; exit 1" });
  assertEquals(error.stderr, "oops\n");
  assert(error.message.includes("oops"));
});

Deno.test("a plugin that is missing, or cannot be started, is told before others have run", async () => {
  await using site = await Site.create();
  const sandbox = await site.pod("web");
  site.plugin("one");
  site.plugin("locked");
  await Deno.chmod(`${site.directory}/bin/locked`, 0o644);
  await Deno.mkdir(`${site.directory}/bin/directory`);
  const attach = (...types: string[]) =>
    assertRejects(
      () => sandbox.attach(site.network(types.map((type) => ({ type })))),
      CniPluginError,
    );
  for (const type of ["missing", "directory"]) {
    const { reason, plugin, undoFailures } = await attach("one", type);
    assertEquals([reason, plugin, undoFailures], ["notFound", type, []]);
    assertEquals(site.said(), []);
  }
  assertEquals((await attach("locked", "one")).reason, "notStarted");
  assertEquals(site.said(), []);
  // It cannot take anything back either, so that stays to be done.
  const half = await attach("one", "locked");
  assertEquals([half.reason, half.undoFailures.length], ["notStarted", 1]);
  assertEquals(site.said(), ["one ADD", "one DEL"]);
  assertEquals(sandbox.attachments.map(({ state }) => state), ["unfinished"]);
  const findings = [{
    sandbox: "default/web",
    object: "attachment net1 to network net",
    problem: "its plugins did not finish",
    remedy: "attach it again, or detach it (podnet cni del)",
    repairable: false,
  }];
  assertEquals(await site.node.check(), findings);
  assertEquals((await site.node.repair()).remaining, findings);
  await assertRejects(() => sandbox.remove(), CniPluginError);
  site.plugin("locked");
  await sandbox.remove();
  assertEquals(await site.node.check(), []);
  assertEquals(site.said(), ["locked DEL", "one DEL"]);
  assertEquals(site.cached(), []);
});

Deno.test("a DEL that fails stops there and is repeated; with force the sandbox goes, and the network's next collection deletes the rest", async () => {
  await using site = await Site.create();
  const sandbox = await site.pod("web");
  const fails = `echo '{"code":11,"msg":"later"}'; exit 1`;
  site.plugin("one");
  site.plugin("two", { DEL: fails });
  const network = site.network([{ type: "one" }, { type: "two" }]);
  await sandbox.attach(network);
  site.runs();
  for (const undo of [() => sandbox.detach("net1"), () => sandbox.remove()]) {
    const error = await assertRejects(undo, CniPluginError);
    assertEquals([error.code, error.reported], [11, "later"]);
    assertEquals(site.said(), ["two DEL"]);
    assertEquals(sandbox.attachments.map(({ state }) => state), ["unfinished"]);
  }
  // R11: nor is there anything to look for.
  const half = await assertRejects(() => sandbox.checkAttachment("net1"));
  assert(isSandboxError(half, "InvalidSpec"));
  await sandbox.remove({ force: true });
  assertEquals(site.said(), ["two DEL", "one DEL"]);
  assertEquals(site.cached().length, 1);
  const stuck = await site.node.collectNetworkGarbage(network);
  assertEquals([stuck.deleted.length, stuck.failures.length], [0, 1]);
  site.plugin("two");
  const { deleted, failures } = await site.node.collectNetworkGarbage(network);
  assertEquals([deleted.length, failures], [1, []]);
  assertEquals(site.cached(), []);
  const [first] = site.runs();
  // Its namespace is gone.
  assertEquals(first?.netns, "");
});

Deno.test("attaching again what stayed half attached deletes it first", async () => {
  await using site = await Site.create();
  const sandbox = await site.pod("web");
  site.plugin("one");
  const network = site.network([{ type: "one" }, { type: "two" }]);
  site.plugin("two", { ADD: "exit 1", DEL: "exit 1" });
  const error = await assertRejects(
    () => sandbox.attach(network),
    CniPluginError,
  );
  assertEquals(error.undoFailures.length, 1);
  site.plugin("two");
  site.runs();
  const { name } = await sandbox.attach(network);
  assertEquals(name, "net1");
  assertEquals(site.said(), ["two DEL", "one DEL", "one ADD", "two ADD"]);
  await sandbox.remove();
});

Deno.test("Debian's bridge before a plugin that fails leaves no interface and no address", async () => {
  await using site = await Site.create();
  const sandbox = await site.pod("web");
  site.plugin("fails", { ADD: "exit 1" });
  await assertRejects(
    () =>
      sandbox.attach(site.network([{
        type: "bridge",
        bridge: "cni-test",
        ipam: {
          type: "host-local",
          subnet: "10.88.0.0/24",
          dataDir: `${site.directory}/host-local`,
        },
      }, { type: "fails" }])),
    CniPluginError,
  );
  using pod = NetworkNamespace.open(sandbox.netnsPath);
  assertEquals(command(pod, "ip -o link").includes("net1"), false);
  assertEquals(
    site.sh(`ls ${site.directory}/host-local/net`).includes("10.88.0.2"),
    false,
  );
});

Deno.test("a plugin that somebody has open for writing is waited for", async () => {
  await using site = await Site.create();
  const sandbox = await site.pod("web");
  site.plugin("one");
  // An executable of the kernel's own kind: of a script only the shell would be busy.
  const path = `${site.directory}/bin/program`;
  await Deno.copyFile("/bin/true", path);
  await Deno.chmod(path, 0o755);
  const writer = await Deno.open(path, { write: true });
  setTimeout(() => writer.close(), 300);
  const error = await assertRejects(
    () => sandbox.attach(site.network([{ type: "program" }])),
    CniPluginError,
  );
  // It was run in the end, and answered nothing.
  assertEquals(error.reason, "silent");
});

Deno.test("without --allow-run nothing is attached and nothing detached, and all is as before", async () => {
  await using site = await Site.create();
  const sandbox = await site.pod("web");
  site.plugin("one");
  const network = site.network([{ type: "one" }]);
  const refused = async (todo: Readonly<Record<string, unknown>>) => {
    const { stdout } = await site.other(todo, ["--allow-ffi"]).output();
    const { failed } = JSON.parse(new TextDecoder().decode(stdout));
    assert(failed.includes("--allow-run"), failed);
  };
  await refused({ attach: network });
  assertEquals([site.said(), site.cached(), sandbox.attachments], [[], [], []]);
  const attachment = await sandbox.attach(network);
  await refused({ detach: "net1" });
  await refused({ remove: true });
  assertEquals(sandbox.attachments, [attachment]);
  assertEquals(site.said(), ["one ADD"]);
  await sandbox.remove();
});

Deno.test("a pod that is not there, or has no network of its own, is attached to nothing", async () => {
  await using site = await Site.create();
  site.plugin("one");
  const network = site.network([{ type: "one" }]);
  const gone = await site.pod("gone");
  await gone.remove();
  const notFound = await assertRejects(() => gone.attach(network));
  assert(isSandboxError(notFound, "SandboxNotFound"));
  const again = await site.pod("gone");
  const stale = await assertRejects(() => gone.attach(network));
  assert(isSandboxError(stale, "SandboxNotFound"));
  const host = await site.node.createSandbox({
    name: "host",
    hostNetwork: true,
  });
  const refused = await assertRejects(() => host.attach(network));
  assert(isSandboxError(refused, "InvalidSpec"));
  command(site.host.namespace, `umount ${again.netnsPath}`);
  const unpinned = await assertRejects(() => again.attach(network));
  assert(isSandboxError(unpinned, "InvalidNamespace"));
  const none: JsonObject[] = site.runs().map(({ input }) => input);
  assertEquals(none, []);
});
