/**
 * Waiting for descriptors.
 *
 * All who wait at a time without blocking their isolate share one thread of the runtime's pool. There are only 32, and behind
 * as many who wait everything else that is done there, such as reading files, would stand still.
 * @module
 */
import { check, Errno } from "./errno.ts";
import { OwnedFd } from "./fd.ts";
import { libc } from "./libc.ts";

/**
 * Waits until one of the descriptors is readable or in error, and blocks the thread meanwhile (poll(2)).
 *
 * @param timeoutMs -1 waits without limit
 * @returns for each descriptor whether reading it would not wait; all `false` after the timeout
 * @throws {SyscallError}
 */
export function poll(fds: readonly OwnedFd[], timeoutMs: number): boolean[] {
  const entries = pollEntries(fds.map(({ fd }) => fd));
  pollHere(entries, timeoutMs);
  return readiness(entries);
}

/** Retries when a signal interrupts. */
function pollHere(entries: Uint8Array<ArrayBuffer>, timeoutMs: number): void {
  const count = countOf(entries);
  const deadline = performance.now() + timeoutMs;
  const c = libc();
  for (let wait = timeoutMs;;) {
    const result = c.poll(entries, count, wait);
    const errno = result < 0 ? c.errno[0] : 0;
    if (errno !== Errno.EINTR) {
      check("poll", result, errno);
      return;
    }
    if (timeoutMs >= 0) {
      wait = Math.max(0, Math.ceil(deadline - performance.now()));
    }
  }
}

/** One who waits. */
interface Waiter {
  readonly fds: readonly number[];
  /** As `performance.now()` tells it. */
  readonly deadline: number;
  readonly signal: AbortSignal | undefined;
  readonly end: PromiseWithResolvers<void>;
}

/** Those of this isolate, in the order in which they came. */
const waiters = new Set<Waiter>();
/** An eventfd that ends the poll under way, for whose sake it is to be begun anew; undefined while nobody waits. */
let wake: OwnedFd | undefined;

/**
 * As {@linkcode poll}, on a thread of the runtime's pool, so that the event loop goes on: whoever waits reads what is there.
 *
 * The descriptors must stay open until the wait is over. Then the thread has done with their numbers.
 *
 * @param timeoutMs -1 waits without limit
 * @param signal ends the wait
 * @throws {SyscallError} when the call fails, which is one for all who wait
 */
export async function pollAsync(
  fds: readonly OwnedFd[],
  timeoutMs: number,
  signal?: AbortSignal,
): Promise<void> {
  if (signal?.aborted) return;
  const waiter: Waiter = {
    fds: fds.map(({ fd }) => fd),
    deadline: timeoutMs < 0 ? Infinity : performance.now() + timeoutMs,
    signal,
    end: Promise.withResolvers(),
  };
  // One of its own: a function is added to a signal once, for however many wait.
  const abort = () => interrupt();
  signal?.addEventListener("abort", abort);
  waiters.add(waiter);
  if (wake === undefined) void pollForAll();
  else interrupt();
  try {
    await waiter.end.promise;
  } finally {
    signal?.removeEventListener("abort", abort);
  }
}

/** Goes on as long as somebody waits. */
async function pollForAll(): Promise<void> {
  try {
    using own = wake = eventFd();
    while (waiters.size > 0) await pollOnce(own);
  } catch (error) {
    for (const { end } of waiters) end.reject(error);
    waiters.clear();
  } finally {
    wake = undefined;
  }
}

/** Twelve days: poll(2) takes an int. */
const MAX_TIMEOUT_MS = 2 ** 30;

/** Waits on the pool's thread until somebody has no more to wait for, or others come or are to go. */
async function pollOnce(own: OwnedFd): Promise<void> {
  const entries = pollEntries([
    own.fd,
    ...[...waiters].flatMap(({ fds }) => fds),
  ]);
  const start = performance.now();
  let end = start + MAX_TIMEOUT_MS;
  for (const { deadline } of waiters) end = Math.min(end, deadline);
  const timeoutMs = Math.max(0, Math.ceil(end - start));
  const result = await libc()
    .pollOnPool(entries, countOf(entries), timeoutMs);
  // The error number stays on the pool's thread.
  if (result < 0) pollHere(entries, 0);
  drain(own);
  const ready = readiness(entries);
  // When it was for the time, it is time, whatever another clock says.
  const now = result === 0 ? end : performance.now();
  let at = 1;
  // Those who came meanwhile come last, and nothing is known of them.
  for (const waiter of waiters) {
    const isReady = ready.slice(at, at += waiter.fds.length).includes(true);
    if (isReady || waiter.deadline <= now || waiter.signal?.aborted) {
      waiters.delete(waiter);
      waiter.end.resolve();
    }
  }
}

// struct pollfd { int fd; short events; short revents; }
const SIZE_OF_POLLFD = 8;
const POLLIN = 1;

function pollEntries(fds: readonly number[]): Uint8Array<ArrayBuffer> {
  const entries = new Uint8Array(fds.length * SIZE_OF_POLLFD);
  const view = new DataView(entries.buffer);
  fds.forEach((fd, i) => {
    view.setInt32(i * SIZE_OF_POLLFD, fd, true);
    view.setInt16(i * SIZE_OF_POLLFD + 4, POLLIN, true);
  });
  return entries;
}

function countOf(entries: Uint8Array<ArrayBuffer>): bigint {
  return BigInt(entries.length / SIZE_OF_POLLFD);
}

function readiness(entries: Uint8Array<ArrayBuffer>): boolean[] {
  const view = new DataView(entries.buffer);
  const ready: boolean[] = [];
  for (let at = 0; at < entries.length; at += SIZE_OF_POLLFD) {
    ready.push(view.getInt16(at + 6, true) !== 0);
  }
  return ready;
}

const EFD_CLOEXEC = 0o2000000;
const EFD_NONBLOCK = 0o4000;

function eventFd(): OwnedFd {
  const c = libc();
  return new OwnedFd(
    check("eventfd", c.eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK), c.errno[0]),
  );
}

const ONE = new Uint8Array(BigUint64Array.of(1n).buffer);
const COUNT = new Uint8Array(8);

/** Ends the poll under way, or else the next. */
function interrupt(): void {
  if (wake !== undefined) libc().write(wake.fd, ONE, 8n);
}

/** Makes the next poll wait again. */
function drain(own: OwnedFd): void {
  libc().read(own.fd, COUNT, 8n);
}
