/**
 * All that is done with a pod, by one program in its turn.
 *
 * @module
 */
import type { Driver } from "./driver.ts";
import type { Series } from "./rounds.ts";

/** In one turn so many pods are made, then removed. */
export const PODS_A_TURN = 20;

/** What is done in a turn, in this order. */
export const TURN_VERBS = [
  "create",
  "addPorts",
  "removePorts",
  "remove",
] as const;

/** The first host port of the pods, and of those that are added to them. */
const POD_PORTS = 20_000;
const ADDED_PORTS = 40_000;

/** Makes pods, gives them ports, takes these away, removes the pods, and waits until the kernel has done its part. */
export async function turn(
  driver: Driver,
  first: number,
  ports: number,
  series?: Series,
): Promise<void> {
  const links = await driver.links();
  const bases = {
    create: POD_PORTS,
    addPorts: ADDED_PORTS,
    removePorts: ADDED_PORTS,
    remove: 0,
  };
  for (const verb of TURN_VERBS) {
    const laps = await driver.laps(
      verb,
      first,
      PODS_A_TURN,
      ports,
      bases[verb],
    );
    series?.add(driver.name, verb, laps);
  }
  await driver.settle(links);
}
