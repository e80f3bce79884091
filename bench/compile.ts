/**
 * Until V8 has compiled all that podnet runs. It does so by how often a function was called: not at all at first, a little
 * after 8 calls, more after 400 and fully after 3,000, and much is called once for each pod.
 *
 * @module
 */
import type { Driver } from "./driver.ts";

/** Pods of a process after which it gets no faster. */
export const PODS_UNTIL_COMPILED = 4000;

const PODS_AT_ONCE = 100;
/** Others than are measured: the kernel still destroys the last ones. */
const FIRST = 40_000;
const POD_PORTS = 20_000;
const ADDED_PORTS = 40_000;

/** Does all that is done with a pod until then. */
export async function compile(driver: Driver): Promise<void> {
  const links = await driver.links();
  for (let done = 0; done < PODS_UNTIL_COMPILED; done += PODS_AT_ONCE) {
    const first = FIRST + done;
    // What was compiled for one port only is not used for several, and has to be compiled again.
    const ports = done % (2 * PODS_AT_ONCE) === 0 ? 1 : 10;
    await driver.ask("create", first, PODS_AT_ONCE, ports, POD_PORTS);
    await driver.ask("addPorts", first, PODS_AT_ONCE, ports, ADDED_PORTS);
    await driver.ask("removePorts", first, PODS_AT_ONCE, ports, ADDED_PORTS);
    await driver.ask("remove", first, PODS_AT_ONCE);
    await driver.settle(links);
  }
}
