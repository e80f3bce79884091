/**
 * Limits of the process and of its user.
 *
 * @module
 */
import { assert, assertEquals } from "@std/assert";
import { Errno, SyscallError } from "../../ffi/errno.ts";
import { isSandboxError } from "../../src/errors.ts";
import { explainRefusal } from "../../src/sandbox/node/permission.ts";
import { resultOf, spawnFixture } from "../node/bare.ts";

function fixture(name: string): URL {
  return new URL(`./fixtures/${name}.ts`, import.meta.url);
}

const permissions = ["--allow-all"];

Deno.test("openNode(), createSandbox(), changes and removals fail typed at every descriptor that is not to be had, change nothing, and work once they are", async () => {
  const child = spawnFixture(fixture("few_files"), [], {
    through: ["sh", "-c", 'ulimit -n 160; exec "$@"', "sh"],
    permissions,
  });
  const points = await resultOf(child) as Record<string, number>;
  console.log("descriptors missing, at so many points:", points);
  const { opening = 0, creating = 0, changing = 0, removing = 0 } = points;
  assert(opening > 3 && creating > 3, Deno.inspect(points));
  assert(changing > 0 && removing > 0, Deno.inspect(points));
});

Deno.test("a node keeps its place in its cluster, and its paths, while no descriptor is to be had", async () => {
  const child = spawnFixture(fixture("kept_place"), [], {
    through: ["sh", "-c", 'ulimit -n 100; exec "$@"', "sh"],
    permissions,
  });
  assertEquals(await resultOf(child), "done");
});

for (
  const [what, does] of [
    [
      "namespaces",
      "tells that user.max_net_namespaces is reached, changes nothing, and works when it is raised",
    ],
    [
      "ports",
      "opens 1024 host ports of both IP versions, or tells that net.core.wmem_max is reached",
    ],
  ] as const
) {
  Deno.test(`createSandbox() of an unprivileged user ${does}`, async () => {
    const child = spawnFixture(fixture("user_namespace"), [what], {
      through: ["unshare", "-Urnm"],
      permissions,
    });
    assertEquals(await resultOf(child), "done");
  });
}

Deno.test("explainRefusal() names limits that belong to the whole machine, and keeps what could not be undone", () => {
  for (
    const [syscall, errno, limit] of [
      ["mount", Errno.ENOSPC, /fs\.mount-max/],
      ["unshare", Errno.ENOSPC, /user\.max_net_namespaces/],
      ["open", Errno.ENFILE, /fs\.file-max/],
      ["send", Errno.EMSGSIZE, /net\.core\.wmem_max/],
      ["send", Errno.ENOBUFS, /memory/],
    ] as const
  ) {
    const cause = new SyscallError(syscall, errno);
    const undoFailures = [new Error("left")];
    const error = explainRefusal(Object.assign(cause, { undoFailures }));
    assert(isSandboxError(error, "LimitReached"), String(error));
    assert(limit.test(error.context.limit), error.message);
    assertEquals(error.cause, cause);
    assertEquals(error.undoFailures, undoFailures);
  }
  const other = new SyscallError("open", Errno.EIO);
  assertEquals(explainRefusal(other), other);
});
