/**
 * What a machine has of networks, as lines: so that it can be asked what a runtime left behind.
 *
 * @module
 */
import { assertEquals } from "@std/assert";
import { added } from "../../scripts/leaks.ts";
import { eventually } from "../support/patience.ts";
import type { Machine } from "./machine.ts";

/** Without what runtimes, and the library by which they use CNI, note for themselves. */
const LOOK = `
sed -n 's/^ *\\([^ :]*\\):.*/link \\1/p' /proc/net/dev
ip -o address | sed 's/^[0-9]*: //; s/^/address /'
for family in 4 6; do ip -$family route show table all | sed 's/^/route /; s/ *linkdown *$//'; done
ip -4 rule
ip -6 rule
nft -s list ruleset | sed 's/# handle.*//'
tc qdisc | grep -v noqueue || true
grep ' nsfs ' /proc/self/mountinfo | cut -d' ' -f5 | sed 's/^/mount /'
find /run /var/lib/cni -xdev -regextype egrep -regex '/run/(containerd|containers|crun|image|layer|libpod|runc)|/var/lib/cni/results' -prune -o -type f -print
`;

/** Everything of networks that the machine has now. */
export async function networkState(machine: Machine): Promise<string[]> {
  const lines = (await machine.run("sh", "-ec", LOOK)).split("\n");
  // The bridge of the reference plugins stays, and its addresses come when the kernel likes.
  return lines.filter((line) => !/ cni\d /.test(line));
}

/** Waits until the machine has nothing that it did not have before: the kernel takes links away on its own time. */
export async function assertNothingLeft(
  machine: Machine,
  before: readonly string[],
): Promise<void> {
  await eventually(async () =>
    assertEquals(added(before, await networkState(machine)), [])
  );
}
