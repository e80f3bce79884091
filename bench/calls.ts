/**
 * Which calls of the C library an operation consists of, and what each takes: the rest is JavaScript, and the way there.
 *
 * Importing this puts a function in front of each call, so whoever wants undisturbed times takes them before.
 *
 * @module
 */
import { describe, messagesOf } from "../tests/faults/calls.ts";
import { type Call, intercepting } from "../tests/faults/intercept.ts";
import { wallNs } from "./clock.ts";

/** What calls of one kind were. */
export interface CallTimes {
  /** How often an operation calls it. */
  readonly times: number;
  /** Nanoseconds of all of them, in each operation. */
  readonly ns: readonly number[];
}

/** Kinds of objects of rtnetlink, by their messages' types from 16 on, four for each (linux/rtnetlink.h). */
const OBJECTS = ["link", "address", "route", "neighbour", "rule", "qdisc"];

/** The call, and for netlink what is sent, in a few words. */
function label(call: Call): string {
  if (call.name !== "send") return describe(call).replace(/<[a-z]+>/g, "…");
  if (call.subject === "netlink 12") {
    const subsystems = messagesOf(call).map(({ type }) => type >> 8);
    return `send: ${subsystems.includes(1) ? "conntrack" : "nf_tables"}`;
  }
  if (call.subject !== "netlink 0") return "send: sockets of a port";
  const counts = new Map<string, number>();
  for (const { type } of messagesOf(call)) {
    const name = OBJECTS[(type - 16) >> 2] ?? String(type);
    counts.set(name, (counts.get(name) ?? 0) + 1);
  }
  const objects = [...counts].map(([name, count]) => `${count} ${name}`);
  return `send: ${objects.join(", ")}`;
}

/** Does the operations one after the other. */
export async function timeCalls(
  operations: readonly (() => Promise<void>)[],
): Promise<Record<string, CallTimes>> {
  const found = new Map<string, { times: number; ns: number[] }>();
  for (const [at, operation] of operations.entries()) {
    await intercepting((call, carryOut) => {
      const name = label(call);
      let entry = found.get(name);
      if (entry === undefined) {
        entry = { times: 0, ns: operations.map(() => 0) };
        found.set(name, entry);
      }
      const start = wallNs();
      const result = carryOut();
      entry.ns[at] = (entry.ns[at] ?? 0) + wallNs() - start;
      entry.times += 1 / operations.length;
      return result;
    }, operation);
  }
  return Object.fromEntries(found);
}
