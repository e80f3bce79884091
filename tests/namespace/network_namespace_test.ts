import {
  assert,
  assertEquals,
  assertNotEquals,
  assertRejects,
  assertThrows,
} from "@std/assert";
import { O_RDONLY, open, readLink } from "../../ffi/file.ts";
import { threadNetworkNamespace } from "../../ffi/namespace.ts";
import {
  isSandboxError,
  SandboxError,
  type SandboxErrorCode,
} from "../../src/errors.ts";
import { NetworkNamespace } from "../../src/namespace/network_namespace.ts";
import { threadNamespaces } from "../../src/namespace/threads.ts";
import { resultOf, spawnFixture } from "../node/bare.ts";
import {
  createPod,
  leavesNothing,
  runFixture,
  temporaryDirectory,
} from "./helpers.ts";

function assertCode(code: SandboxErrorCode, fn: () => unknown): SandboxError {
  const error = assertThrows(fn, SandboxError);
  assert(isSandboxError(error, code), `${error}`);
  return error;
}

Deno.test("NetworkNamespace.create() makes a namespace and comes home", () =>
  leavesNothing(() => {
    const home = threadNetworkNamespace();
    using first = NetworkNamespace.create();
    using second = NetworkNamespace.create();
    assertEquals(new Set([home, first.id, second.id]).size, 3);
    assertEquals(readLink(`/proc/self/fd/${first.fd}`), first.id);
    assert(![...threadNamespaces().values()].includes(first.id));
  }));

Deno.test("NetworkNamespace.create() runs its argument inside", () =>
  leavesNothing(() => {
    let inside: string | undefined;
    using pod = NetworkNamespace.create(() => {
      inside = threadNetworkNamespace();
    });
    assertEquals(inside, pod.id);
  }));

Deno.test("NetworkNamespace.create() comes home and closes everything when its argument throws", () =>
  leavesNothing(() => {
    assertThrows(
      () =>
        NetworkNamespace.create(() => {
          throw new RangeError("inside");
        }),
      RangeError,
      "inside",
    );
  }));

Deno.test("NetworkNamespace.create() refuses an asynchronous argument, and leaves no namespace", () =>
  leavesNothing(() => {
    let called = false;
    assertCode("AsyncInNamespace", () =>
      // @ts-expect-error an async function is refused at compile time
      NetworkNamespace.create(async () => {
        called = true;
        await undefined;
      }));
    assert(!called, "it is refused before it runs");
    assertCode("AsyncInNamespace", () =>
      // @ts-expect-error a function that returns a promise is refused at compile time
      NetworkNamespace.create(() => Promise.resolve()));
  }));

Deno.test("NetworkNamespace.current() is where the thread is, also inside", () =>
  leavesNothing(() => {
    using home = NetworkNamespace.current();
    using pod = NetworkNamespace.create();
    assertEquals(home.id, readLink("/proc/thread-self/ns/net"));
    pod.run(() => {
      using inside = NetworkNamespace.current();
      assertEquals(inside.id, pod.id);
    });
  }));

Deno.test("NetworkNamespace.run() returns what the function returns, and throws what it throws", () =>
  leavesNothing(() => {
    const home = threadNetworkNamespace();
    using pod = NetworkNamespace.create();
    const inside: string = pod.run(() => threadNetworkNamespace());
    assertEquals(inside, pod.id);
    assertEquals(threadNetworkNamespace(), home);
    assertThrows(
      () =>
        pod.run(() => {
          throw new RangeError("inside");
        }),
      RangeError,
      "inside",
    );
    assertEquals(threadNetworkNamespace(), home);
  }));

Deno.test("NetworkNamespace.run() moves no other thread", () =>
  leavesNothing(() => {
    using pod = NetworkNamespace.create();
    const inside = pod.run(() => [...threadNamespaces().values()]);
    assert(inside.length > 1);
    assertEquals(inside.filter((id) => id === pod.id).length, 1);
    assert(![...threadNamespaces().values()].includes(pod.id));
  }));

Deno.test("NetworkNamespace.run() does not type-check with an asynchronous function or a generator", () => {
  // Checked, never called.
  const uses = (pod: NetworkNamespace) => {
    // @ts-expect-error async function
    pod.run(async () => await 1);
    // @ts-expect-error promise
    pod.run(() => Promise.resolve(1));
    // @ts-expect-error sometimes a promise
    pod.run(() => Math.random() < 0.5 ? 1 : Promise.resolve(1));
    // @ts-expect-error generator
    pod.run(function* () {
      yield 1;
    });
    // @ts-expect-error async generator
    pod.run(async function* () {
      yield await 1;
    });
    const number: number = pod.run(() => 1);
    const nothing: void = pod.run(() => {});
    return [number, nothing];
  };
  assertEquals(uses.length, 1);
});

Deno.test("NetworkNamespace.run() refuses asynchronous functions without calling them", () =>
  leavesNothing(() => {
    using pod = NetworkNamespace.create();
    let called = 0;
    // As a caller without types would, or one who says that the result does not matter.
    const functions: readonly (() => void)[] = [
      async () => {
        called++;
        await undefined;
      },
      function* () {
        called++;
        yield;
      },
      async function* () {
        called++;
        yield await undefined;
      },
      (async () => {
        called++;
        await undefined;
      }).bind(null),
    ];
    for (const fn of functions) {
      assertCode("AsyncInNamespace", () => pod.run(fn));
    }
    assertEquals(called, 0);
  }));

Deno.test("NetworkNamespace.run() refuses results that are still to come", () =>
  leavesNothing(async () => {
    using pod = NetworkNamespace.create();
    using home = NetworkNamespace.current();
    const results: readonly (() => void)[] = [
      () => Promise.resolve(1),
      // Must not end the process as an unhandled rejection either.
      () => Promise.reject(new RangeError("unheard")),
      () => ({ then: () => {} }),
      () => (function* () {})(),
      () => (async function* () {})(),
    ];
    for (const fn of results) {
      assertCode("AsyncInNamespace", () => pod.run(fn));
      assertCode("AsyncInNamespace", () => home.run(fn));
    }
    await new Promise((resolve) => setTimeout(resolve, 1));
  }));

Deno.test("NetworkNamespace.run() inside the same namespace just goes on there", () =>
  leavesNothing(() => {
    using pod = NetworkNamespace.create();
    using same = NetworkNamespace.open(`/proc/self/fd/${pod.fd}`);
    const ids = pod.run(() => [
      same.run(() => threadNetworkNamespace()),
      threadNetworkNamespace(),
    ]);
    assertEquals(ids, [pod.id, pod.id]);
  }));

Deno.test("NetworkNamespace.run() and create() refuse to go from one namespace into another", () =>
  leavesNothing(() => {
    using home = NetworkNamespace.current();
    using pod = NetworkNamespace.create();
    using other = NetworkNamespace.create();
    for (
      const nested of [
        () => other.run(() => 1),
        () => home.run(() => 1),
        () => NetworkNamespace.create(),
      ]
    ) {
      const at = pod.run(() => {
        assertThrows(nested, TypeError, pod.id);
        return threadNetworkNamespace();
      });
      assertEquals(at, pod.id);
      assertEquals(threadNetworkNamespace(), home.id);
    }
  }));

Deno.test("NetworkNamespace.run() works in the thread's own namespace", () =>
  leavesNothing(() => {
    using home = NetworkNamespace.current();
    using pod = NetworkNamespace.create();
    assertEquals(home.run(() => threadNetworkNamespace()), home.id);
    // At home, so the way into a pod is open.
    assertEquals(home.run(() => pod.run(threadNetworkNamespace)), pod.id);
  }));

Deno.test("NetworkNamespace.run() throws when disposed, and stays home", () =>
  leavesNothing(() => {
    const pod = NetworkNamespace.create();
    pod[Symbol.dispose]();
    pod[Symbol.dispose]();
    assertThrows(() => pod.run(() => 1), TypeError, "closed");
    assertThrows(() => pod.fd, TypeError, "closed");
  }));

Deno.test("NetworkNamespace.open() opens pins, processes and descriptors", () =>
  leavesNothing(async () => {
    using pod = createPod();
    const child = pod.run(() =>
      new Deno.Command("sleep", { args: ["100"] }).spawn()
    );
    try {
      using byPid = NetworkNamespace.fromPid(child.pid);
      using byPath = NetworkNamespace.open(`/proc/${child.pid}/ns/net`);
      using byFd = NetworkNamespace.open(`/proc/self/fd/${pod.fd}`);
      assertEquals([byPid.id, byPath.id, byFd.id], [pod.id, pod.id, pod.id]);
      assertNotEquals(byPid.fd, pod.fd);
    } finally {
      child.kill("SIGKILL");
      await child.status;
    }
    assertCode("InvalidNamespace", () => NetworkNamespace.fromPid(child.pid));
  }));

Deno.test("NetworkNamespace.open() says why a path is no network namespace", () =>
  leavesNothing(() => {
    using directory = temporaryDirectory();
    const { path } = directory;
    Deno.writeTextFileSync(`${path}/file`, "text");
    Deno.symlinkSync("loop", `${path}/loop`);
    new Deno.Command("mkfifo", { args: [`${path}/fifo`] }).outputSync();
    for (
      const [invalid, reason] of [
        ["/proc/thread-self/ns/uts", "it is a file of another kind"],
        [`${path}/file`, "it is a file of another kind"],
        [path, "it is a directory"],
        // Opening it would wait for a writer.
        [`${path}/fifo`, "it is a fifo"],
        ["/dev/null", "it is a character"],
        [`${path}/missing`, "it does not exist"],
        [`${path}/file/below`, "it cannot be reached (ENOTDIR)"],
        [`${path}/loop`, "it cannot be reached (ELOOP)"],
      ] as const
    ) {
      const error = assertCode(
        "InvalidNamespace",
        () => NetworkNamespace.open(invalid),
      );
      assertEquals(error.context, { path: invalid, reason });
    }
  }));

Deno.test("NetworkNamespace.fromName() opens what ip netns made", async () => {
  const name = `podnet-test-${crypto.randomUUID().slice(0, 8)}`;
  const ip = async (...args: string[]) => {
    const { success } = await new Deno.Command("ip", { args }).output();
    assert(success, `ip ${args.join(" ")}`);
  };
  await ip("netns", "add", name);
  try {
    await leavesNothing(() => {
      using named = NetworkNamespace.fromName(name);
      using opened = NetworkNamespace.open(`/run/netns/${name}`);
      assertEquals(named.id, opened.id);
      assertNotEquals(named.id, threadNetworkNamespace());
    });
  } finally {
    await ip("netns", "delete", name);
  }
  assertCode("InvalidNamespace", () => NetworkNamespace.fromName(name));
  for (const wrong of ["", ".", "..", "a/b", "a\0b"]) {
    assertThrows(() => NetworkNamespace.fromName(wrong), RangeError);
  }
});

Deno.test("NetworkNamespace.fromPid() refuses what is no process number", () => {
  for (const pid of [0, -1, 1.5, NaN, 2 ** 60]) {
    assertThrows(() => NetworkNamespace.fromPid(pid), RangeError);
  }
  const error = assertCode(
    "InvalidNamespace",
    () => NetworkNamespace.fromPid(2 ** 30),
  );
  assertEquals(error.context, {
    path: `/proc/${2 ** 30}/ns/net`,
    reason: "it does not exist",
  });
});

Deno.test("NetworkNamespace.adopt() takes the descriptor over, and closes one that is no namespace", () =>
  leavesNothing(() => {
    const fd = open("/proc/thread-self/ns/net", O_RDONLY);
    using adopted = NetworkNamespace.adopt(fd);
    assertEquals(adopted.id, threadNetworkNamespace());
    assertEquals(adopted.fd, fd.fd);
    const file = open("/etc/passwd", O_RDONLY);
    assertCode("InvalidNamespace", () => NetworkNamespace.adopt(file));
    assert(file.closed);
  }));

Deno.test("NetworkNamespace says which capability is missing, and stays home", async () => {
  using directory = temporaryDirectory();
  const { stdout, stderr } = await runFixture(
    "not_permitted.ts",
    directory.path,
  );
  NetworkNamespace.unpin(`${directory.path}/pinned`);
  assertEquals(stderr, "");
  assertEquals(stdout.trimEnd().split("\n"), [
    "create CAP_SYS_ADMIN",
    "run CAP_SYS_ADMIN",
    "pin CAP_SYS_ADMIN",
    "unpin CAP_SYS_ADMIN",
    "sysctl CAP_SYS_ADMIN",
    "no file was left",
    "at home true",
  ]);
});

Deno.test("NetworkNamespace.run() finds the way home again when its descriptor is closed or replaced", async () => {
  for (const way of ["closed", "replaced"]) {
    assertEquals(await runFixture("failed_return.ts", way), {
      code: 0,
      stdout: "home\ntrue\n",
      stderr: "",
    });
  }
});

Deno.test("NetworkNamespace.run() ends the process when there is no way home", async () => {
  const { code, stdout, stderr } = await runFixture(
    "failed_return.ts",
    "forbidden",
  );
  assertEquals([code, stdout], [70, ""]);
  assert(
    /^podnet: cannot return to network namespace net:\[\d+\] \(.*EPERM\)/
      .test(stderr),
    stderr,
  );
});

Deno.test("NetworkNamespace goes nowhere when the thread would not be let back", async () => {
  const refused = "enter another network namespace and return to home";
  assertEquals(
    await resultOf(
      spawnFixture(new URL("fixtures/no_return.ts", import.meta.url), [], {
        through: ["unshare", "-Ur"],
        permissions: ["--allow-ffi", "--allow-run"],
      }),
    ),
    [refused, refused, refused, refused, true],
  );
});

Deno.test("src/namespace runs with --allow-ffi alone", async () => {
  assertEquals(await runFixture("ffi_alone.ts"), {
    code: 0,
    stdout: "99 42\n",
    stderr: "",
  });
});

Deno.test("NetworkNamespace leaves the runtime's pool at home", () =>
  leavesNothing(async () => {
    const home = threadNetworkNamespace();
    using pod = NetworkNamespace.create();
    for (let i = 0; i < 50; i++) pod.run(() => threadNetworkNamespace());
    const pool = await Promise.all(
      Array.from(
        { length: 20 },
        () => Deno.readLink("/proc/thread-self/ns/net"),
      ),
    );
    assertEquals(new Set(pool), new Set([home]));
    await assertRejects(() => Deno.readLink("/no/where"));
  }));
