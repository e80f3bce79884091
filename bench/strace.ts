/**
 * What strace(1) saw, counted.
 *
 * @module
 */

/** How often what was called. */
export interface Calls {
  readonly calls: number;
  readonly byName: ReadonlyMap<string, number>;
  /** Netlink messages that were sent: there are several in one call. */
  readonly messages: number;
}

/** Counts the lines of `strace --follow-forks --output`. A call that is told in two lines counts once. */
export function countCalls(trace: string): Calls {
  const byName = new Map<string, number>();
  let messages = 0;
  for (const line of trace.split("\n")) {
    // "123  sendto(3, …) = 4"; "123  <... futex resumed>) = 0" was counted where it began.
    const name = /^\d+ +([a-z_0-9]+)\(/.exec(line)?.[1];
    if (name === undefined) continue;
    byName.set(name, (byName.get(name) ?? 0) + 1);
    if (name.startsWith("send")) {
      messages += line.split("{nlmsg_len=").length - 1;
    }
  }
  const calls = byName.values().reduce((sum, count) => sum + count, 0);
  return { calls, byName, messages };
}

/** The names by how often, for each of `pods`. */
export function byName({ byName }: Calls, pods: number): string {
  return [...byName].sort(([, a], [, b]) => b - a)
    .map(([name, count]) => `${name} ${Math.round(count / pods * 10) / 10}`)
    .join(", ");
}
