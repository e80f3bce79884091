/**
 * The clocks that the C programs of the benchmark read, too: wall time and CPU
 * time of this process, in nanoseconds, clock_gettime(2).
 *
 * @module
 */
const CLOCK_MONOTONIC = 1;
const CLOCK_PROCESS_CPUTIME_ID = 2;

const libc = Deno.dlopen("libc.so.6", {
  clock_gettime: { parameters: ["i32", "buffer"], result: "i32" },
  getrusage: { parameters: ["i32", "buffer"], result: "i32" },
});

const seconds = new BigInt64Array(2);

function read(clock: number): number {
  libc.symbols.clock_gettime(clock, seconds);
  return Number(seconds[0]) * 1e9 + Number(seconds[1]);
}

/** Since some moment in the past. */
export function wallNs(): number {
  return read(CLOCK_MONOTONIC);
}

/** User and system time of this process, all threads. */
export function cpuNs(): number {
  return read(CLOCK_PROCESS_CPUTIME_ID);
}

const RUSAGE_CHILDREN = -1;
const usage = new BigInt64Array(18);

/** User and system time of the children that have ended and were waited for. */
export function childrenCpuNs(): number {
  libc.symbols.getrusage(RUSAGE_CHILDREN, usage);
  const [us = 0n, uus = 0n, ss = 0n, sus = 0n] = usage;
  return Number(us + ss) * 1e9 + Number(uus + sus) * 1e3;
}
