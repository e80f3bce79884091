import {
  assert,
  assertEquals,
  assertNotEquals,
  assertThrows,
} from "@std/assert";
import { threadNetworkNamespace } from "../../ffi/namespace.ts";
import { isSandboxError, SandboxError } from "../../src/errors.ts";
import type { NetworkNamespace } from "../../src/namespace/network_namespace.ts";
import { threadNamespaces } from "../../src/namespace/threads.ts";
import { PodWorker } from "../../src/namespace/worker.ts";
import { listen } from "../../src/namespace/pod_io.ts";
import { createPod, leavesNothing, openFiles } from "./helpers.ts";
import { PATIENCE_MS, until } from "../support/patience.ts";

function script(source: string): string {
  return `data:text/javascript,${encodeURIComponent(source)}`;
}

function message(worker: Worker): Promise<unknown> {
  return new Promise((resolve, reject) => {
    worker.onmessage = ({ data }) => resolve(data);
    worker.onerror = (event) => {
      event.preventDefault();
      reject(event.error ?? new TypeError(event.message));
    };
  });
}

Deno.test("PodWorker.start() puts all the threads of the worker inside, and none of the others", () =>
  leavesNothing(async () => {
    const home = threadNetworkNamespace();
    using pod = createPod();
    await using worker = PodWorker.start(
      pod,
      script(`
        const link = "/proc/thread-self/ns/net";
        const pool = await Promise.all(Array.from({ length: 20 }, () => Deno.readLink(link)));
        postMessage([Deno.readLinkSync(link), ...pool]);
      `),
    );
    const ids = await message(worker);
    assertEquals(ids, Array.from({ length: 21 }, () => pod.id));
    const ours = await Promise.all(
      Array.from(
        { length: 20 },
        () => Deno.readLink("/proc/thread-self/ns/net"),
      ),
    );
    assertEquals(new Set(ours), new Set([home]));
  }));

Deno.test("PodWorker.start() refuses a worker that it finds elsewhere, and ends it", () =>
  leavesNothing(async () => {
    const before = openFiles().length;
    {
      using pod = createPod();
      // As if the runtime started threads later than it does, when this thread is back home.
      const late: typeof pod = Object.create(pod, {
        run: { value: (fn: () => unknown) => fn() },
      });
      const error = assertThrows(
        () => PodWorker.start(late, script("onmessage = () => {}")),
        SandboxError,
      );
      assert(isSandboxError(error, "InvalidNamespace"));
    }
    // A worker that goes on keeps its files open, which fails the test.
    await until(() => openFiles().length <= before);
  }));

Deno.test("PodWorker can await, look up names and connect inside", () =>
  leavesNothing(async () => {
    using pod = createPod();
    using listener = listen(pod, { port: 80 });
    await using worker = PodWorker.start(
      pod,
      script(`
        await new Promise((resolve) => setTimeout(resolve, 1));
        const conn = await Deno.connect({ hostname: "localhost", port: 80 });
        postMessage(await new Response(conn.readable).text());
      `),
    );
    const text = message(worker);
    const conn = await listener.accept();
    await conn.write(new TextEncoder().encode("hello"));
    conn.close();
    assertEquals(await text, "hello");
  }));

Deno.test("PodWorker has the pod as its home", () =>
  leavesNothing(async () => {
    using pod = createPod();
    await using worker = PodWorker.start(
      pod,
      new URL("./fixtures/worker_home.ts", import.meta.url),
    );
    const seen = await message(worker) as Record<string, unknown>;
    assertEquals([seen.before, seen.after], [pod.id, pod.id]);
    assertEquals(seen.inside, seen.other);
    assertNotEquals(seen.other, pod.id);
    assertEquals(seen.pool, Array.from({ length: 8 }, () => pod.id));
  }));

Deno.test("PodWorker goes on when the object that holds the namespace is disposed", () =>
  leavesNothing(async () => {
    const pod = createPod();
    await using worker = PodWorker.start(
      pod,
      script(
        `onmessage = async () => postMessage(await Deno.readLink("/proc/thread-self/ns/net"));`,
      ),
      { name: "named" },
    );
    pod[Symbol.dispose]();
    worker.postMessage("go");
    assertEquals(await message(worker), pod.id);
  }));

Deno.test("PodWorker is gone from the namespace when disposed, also in the middle of work", () =>
  leavesNothing(async () => {
    using pod = createPod();
    {
      await using worker = PodWorker.start(
        pod,
        script(`
          const until = performance.now() + 200;
          postMessage(1);
          while (performance.now() < until);
          await new Promise(() => {});
        `),
      );
      await message(worker);
      assert([...threadNamespaces().values()].includes(pod.id));
    }
    assert(![...threadNamespaces().values()].includes(pod.id));
  }));

/** Without giving others their turn. */
function waitWhile(condition: () => boolean): void {
  const deadline = performance.now() + PATIENCE_MS;
  while (condition()) assert(performance.now() < deadline);
}

/** The namespace, in which starting something is not all that happens in that moment. */
function meanwhile(
  pod: NetworkNamespace,
  run: (start: () => PodWorker) => PodWorker,
): NetworkNamespace {
  return Object.create(pod, {
    id: { value: pod.id },
    run: { value: run },
  });
}

Deno.test("PodWorker does not wait for threads of another worker's pool that are born when it is", () =>
  leavesNothing(async () => {
    using pod = createPod();
    const inside = () =>
      [...threadNamespaces().values()].filter((id) => id === pod.id).length;
    {
      await using other = PodWorker.start(
        pod,
        script(`
          onmessage = () => {
            for (let i = 0; i < 8; i++) crypto.subtle.digest("SHA-256", new Uint8Array(1 << 22));
          };
          postMessage("ready");
        `),
      );
      await message(other);
      const growing = meanwhile(pod, (start) => {
        const before = inside();
        other.postMessage("grow");
        waitWhile(() => inside() === before);
        return pod.run(start);
      });
      {
        await using worker = PodWorker.start(
          growing,
          script(`postMessage("ready"); onmessage = () => {};`),
        );
        await message(worker);
      }
      assert(inside() > 1);
    }
    await until(() => inside() === 0);
  }));

Deno.test("PodWorker.start() tells of no fault when the worker has ended already", () =>
  leavesNothing(async () => {
    using pod = createPod();
    const late = meanwhile(pod, (start) => {
      const worker = pod.run(start);
      waitWhile(() => [...threadNamespaces().values()].includes(pod.id));
      return worker;
    });
    await using _worker = PodWorker.start(late, script("self.close()"));
  }));
