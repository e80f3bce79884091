/** What OCI runtimes say of containers: as crun and runc write it, and as nobody should. */
import { assertEquals, assertRejects, assertThrows } from "@std/assert";
import { SandboxError } from "../../src/errors.ts";
import {
  MAX_STATE_BYTES,
  parseContainerState,
  readContainerState,
} from "../../src/oci/container_state.ts";
import { sandboxIdOf, sandboxNameOf } from "../../src/oci/container_sandbox.ts";

/** The problems of an error, each with its place. */
function problemsOf(error: SandboxError): string[] {
  if (error.code !== "InvalidSpec") throw error;
  const { problems } = error.context as {
    problems: readonly { path: string; message: string }[];
  };
  return problems.map(({ path, message }) => `${path} ${message}`);
}

Deno.test("parseContainerState() reads what crun and runc write", () => {
  const annotations = { "io.podnet.publish": "8080:80" };
  // crun 1.8.1, hooks createRuntime and poststop; runc 1.1.5, the same.
  for (
    const [text, state] of [
      [
        '{"ociVersion":"1.0","id":"c1","pid":29,"root":"rootfs","bundle":"/run/b","status":"created","annotations":{"io.podnet.publish":"8080:80"}}',
        { status: "created", pid: 29, annotations },
      ],
      [
        '{"ociVersion":"1.0","id":"c1","pid":0,"root":"rootfs","bundle":"/run/b","status":"stopped","annotations":{"io.podnet.publish":"8080:80"}}',
        { status: "stopped", annotations },
      ],
      [
        '{"ociVersion":"1.0.2-dev","id":"c1","status":"creating","pid":72,"bundle":"/run/b","annotations":{"io.podnet.publish":"8080:80"}}',
        { status: "creating", pid: 72, annotations },
      ],
      [
        '{"ociVersion":"1.0.2-dev","id":"c1","status":"stopped","bundle":"/run/b"}',
        { status: "stopped", annotations: {} },
      ],
    ] as const
  ) {
    const common = { id: "c1", bundle: "/run/b" };
    assertEquals(parseContainerState(text), { ...common, ...state });
  }
});

Deno.test("parseContainerState() tells every problem with its place", () => {
  const error = assertThrows(
    () =>
      parseContainerState(JSON.stringify({
        ociVersion: "2.0.0",
        id: "a\nb",
        status: "running",
        pid: -1,
        bundle: "relative",
        annotations: { a: 1 },
      })),
    SandboxError,
  );
  assertEquals(
    problemsOf(error).map((problem) => problem.split(" ")[0]).sort(),
    [
      "state.annotations.a",
      "state.bundle",
      "state.id",
      "state.ociVersion",
      "state.pid",
      "state.status",
    ],
  );
  for (
    const [text, problem] of [
      ["", "state is empty"],
      ["{", "state is not one JSON document"],
      ["{} {}", "state is not one JSON document"],
      ["[]", "state write an object"],
      ["{}", "state.ociVersion is missing"],
    ] as const
  ) {
    const [first] = problemsOf(
      assertThrows(() => parseContainerState(text), SandboxError),
    );
    assertEquals(first?.startsWith(problem), true, first);
  }
});

Deno.test("readContainerState() reads no more than a description can be", async () => {
  let asked = 0;
  async function* endless() {
    for (;; asked++) yield new Uint8Array(65536).fill(32);
  }
  const error = await assertRejects(
    () => readContainerState(endless()),
    SandboxError,
  );
  assertEquals(problemsOf(error), [
    `state is longer than ${MAX_STATE_BYTES} bytes`,
  ]);
  assertEquals(asked, MAX_STATE_BYTES / 65536);
  async function* halves() {
    const bytes = new TextEncoder().encode(
      '{"ociVersion":"1.0","id":"é","status":"stopped","bundle":"/b"}',
    );
    for (const byte of bytes) yield Uint8Array.of(byte);
  }
  assertEquals((await readContainerState(halves())).id, "é");
  async function* damaged() {
    yield Uint8Array.of(0xff);
  }
  assertEquals(
    problemsOf(
      await assertRejects(() => readContainerState(damaged()), SandboxError),
    ),
    ["state is not UTF-8"],
  );
});

Deno.test("a container's sandbox has an id and a name whatever the container's are", () => {
  const ids = ["web", "a+b", "…", "-x", "x".repeat(1024)];
  const keys = ids.flatMap((id) =>
    ["/a", "/b"].map((bundle) => sandboxIdOf({ id, bundle }))
  );
  assertEquals(new Set(keys).size, keys.length);
  for (const key of keys) assertEquals(/^oci-[0-9a-f]{24}$/.test(key), true);
  assertEquals(ids.slice(0, 4).map(sandboxNameOf), ["web", "a-b", "c-", "c-x"]);
  assertEquals(sandboxNameOf("x".repeat(1024)).length, 253);
});
