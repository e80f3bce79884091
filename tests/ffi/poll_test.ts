/** Waiting for descriptors. */
import { assert, assertEquals, assertRejects } from "@std/assert";
import { Errno, isSyscallError } from "../../ffi/errno.ts";
import { ClosedError, type OwnedFd } from "../../ffi/fd.ts";
import { O_RDONLY, open } from "../../ffi/file.ts";
import { poll, pollAsync } from "../../ffi/poll.ts";
import { receive, send } from "../../ffi/socket.ts";
import { until } from "../support/patience.ts";
import { datagramPair } from "./datagram_pair.ts";

const DATA = new Uint8Array(1);

/** How many threads of this process are in poll(2). */
function pollingThreads(): number {
  const call = { x86_64: "7", aarch64: "73" }[Deno.build.arch];
  return [...Deno.readDirSync("/proc/self/task")].filter(({ name }) =>
    Deno.readTextFileSync(`/proc/self/task/${name}/syscall`)
      .startsWith(`${call} `)
  ).length;
}

/** Numbers of descriptors by which polls are ended; the runtime has some of its own. */
function eventFds(): string[] {
  return [...Deno.readDirSync("/proc/self/fd")].map(({ name }) => name)
    .filter((name) => targetOf(name) === "anon_inode:[eventfd]").sort();
}

function targetOf(fd: string): string | undefined {
  try {
    return Deno.readLinkSync(`/proc/self/fd/${fd}`);
  } catch {
    return undefined; // that of the directory itself
  }
}

Deno.test("poll() tells which descriptors are readable, and gives up after the timeout", () => {
  using idle = datagramPair();
  using pair = datagramPair();
  const started = performance.now();
  assertEquals(poll([idle.server, pair.server], 20), [false, false]);
  assert(performance.now() - started >= 19);
  send(pair.client, DATA);
  assertEquals(poll([idle.server, pair.server], -1), [false, true]);
  assertEquals(poll([], 0), []);
});

Deno.test("pollAsync() waits on another thread until a descriptor is readable", async () => {
  using idle = datagramPair();
  using pair = datagramPair();
  let isOver = false;
  const waiting = pollAsync([idle.server, pair.server], -1)
    .then(() => isOver = true);
  for (let i = 0; i < 5; i++) await new Promise((turn) => setTimeout(turn, 1));
  assert(!isOver);
  send(pair.client, DATA);
  await waiting;
  // At once from now on.
  await pollAsync([pair.server], -1);
});

Deno.test("pollAsync() gives up after the timeout, each wait after its own", async () => {
  using pair = datagramPair();
  const order: string[] = [];
  const started = performance.now();
  await Promise.all([
    pollAsync([pair.server], 60).then(() => order.push("last")),
    pollAsync([pair.server], 30).then(() => order.push("second")),
    pollAsync([pair.server], 0).then(() => order.push("first")),
  ]);
  assert(performance.now() - started >= 59);
  assertEquals(order, ["first", "second", "last"]);
});

Deno.test("pollAsync() has one thread for all who wait, and none when nobody does", async () => {
  const before = eventFds();
  using stack = new DisposableStack();
  const pairs = Array.from({ length: 40 }, () => stack.use(datagramPair()));
  const order: number[] = [];
  const waiting = pairs.map(async ({ server }, i) => {
    await pollAsync([server], -1);
    order.push(i);
  });
  await until(() => pollingThreads() === 1);
  assertEquals(eventFds().length, before.length + 1);
  // What else is done on the pool's threads is done.
  await Deno.readTextFile("/proc/self/stat");
  for (const [i, { client }] of [...pairs.entries()].reverse()) {
    send(client, DATA);
    await waiting[i];
  }
  assertEquals(order, pairs.map((_, i) => i).reverse());
  await until(() => pollingThreads() === 0);
  assertEquals(eventFds(), before);
});

Deno.test("pollAsync() is ended by its signal, and by that alone", async () => {
  using pair = datagramPair();
  const [one, two] = [new AbortController(), new AbortController()];
  const ended: string[] = [];
  const wait = async (name: string, signal: AbortSignal) => {
    await pollAsync([pair.server], -1, signal);
    ended.push(name);
  };
  const first = [wait("a", one.signal), wait("b", one.signal)];
  const second = wait("c", two.signal);
  one.abort();
  await Promise.all(first);
  assertEquals(ended, ["a", "b"]);
  await pollAsync([pair.server], -1, one.signal);
  // Before the thread knows of one that has just come.
  const third = wait("d", two.signal);
  two.abort();
  await Promise.all([second, third]);
  assertEquals(receive(pair.server, new Uint8Array(1)), undefined);
});

Deno.test("a descriptor whose wait is over can be closed, and its number be another's, while others wait", async () => {
  using idle = datagramPair();
  const staying = new AbortController();
  let isOver = false;
  const others = pollAsync([idle.server], -1, staying.signal)
    .then(() => isOver = true);
  for (let i = 0; i < 20; i++) {
    const leaving = new AbortController();
    const pair = datagramPair();
    const { fd } = pair.server;
    const waiting = pollAsync([pair.server], -1, leaving.signal);
    leaving.abort();
    await waiting;
    pair[Symbol.dispose]();
    using stack = new DisposableStack();
    let file: OwnedFd;
    do file = stack.use(open("/proc/self/stat", O_RDONLY)); while (
      file.fd !== fd
    );
    // A file is readable at any time: a thread that polled the number would not rest.
    assertEquals(poll([file], 0), [true]);
    await until(() => pollingThreads() === 1);
    assert(!isOver);
  }
  staying.abort();
  await others;
});

Deno.test("pollAsync() refuses a closed descriptor, and nobody else is harmed", async () => {
  using pair = datagramPair();
  const waiting = pollAsync([pair.server], -1);
  const closed = datagramPair();
  closed[Symbol.dispose]();
  await assertRejects(() => pollAsync([closed.server], -1), ClosedError);
  send(pair.client, DATA);
  await waiting;
});

Deno.test("pollAsync() tells everybody who waits when the call fails, and goes on", async () => {
  using pair = datagramPair();
  // More than a process may have open: poll(2) refuses as many.
  const limit = /Max open files +(\d+)/
    .exec(Deno.readTextFileSync("/proc/self/limits"))?.[1];
  const many = new Array<OwnedFd>(Number(limit) + 1).fill(pair.server);
  const outcomes = await Promise.allSettled([
    pollAsync([pair.server], -1),
    pollAsync(many, -1),
  ]);
  for (const outcome of outcomes) {
    assert(outcome.status === "rejected");
    assert(isSyscallError(outcome.reason, Errno.EINVAL), `${outcome.reason}`);
  }
  send(pair.client, DATA);
  await pollAsync([pair.server], -1);
});
