/**
 * Addresses are given back without the event loop standing still.
 *
 * Who changes a route waits while the kernel destroys the namespaces of pods that were removed before: 30 to 80 ms where
 * they are many, since it takes all that there are at once (cleanup_net), and holds rtnl. So of many removals, and once a wait
 * was noticed, the waiting is done on another thread, and what comes meanwhile is sent together. That takes 0.1 ms more, so a
 * removal that has nobody to wait for does without.
 *
 * @module
 */
import type { IpAddress } from "../net/ip.ts";
import type { Connection } from "../netlink/connection.ts";
import { isGone, releaseAddresses, releaseRequests } from "./address_claims.ts";

/** A release that takes as long has waited while others destroyed many; by itself it takes 20 µs, beside a few 2 ms. */
const NOTICEABLE_MS = 10;
/** For so long the kernel is expected to go on. */
const BUSY_MS = 100;
/** So many removals are many: what the kernel has to do for those holds up the next. */
const MANY = 32;
/** When they come within this time; it takes longer to make pods between. */
const AT_ONCE_MS = 30;

/** Of one removal. */
interface Release {
  readonly hostIndex: number;
  readonly addresses: readonly IpAddress[];
  readonly settle: PromiseWithResolvers<void>;
}

/** See the module. */
export class AddressRelease {
  readonly #route: Connection;
  readonly #open: () => Connection;
  readonly #many: number;
  #busyUntil = 0;
  /** When those were begun to be counted that are recent. */
  #countedFrom = 0;
  #recent = 0;
  #waiting: Release[] = [];
  #isAtWork = false;

  /**
   * @param route stays its owner's
   * @param open makes a connection like it, for what is done on another thread
   * @param many how many at once are too many for this thread
   */
  constructor(route: Connection, open: () => Connection, many: number = MANY) {
    this.#route = route;
    this.#open = open;
    this.#many = many;
  }

  /**
   * Gives addresses back, as {@linkcode releaseAddresses} does.
   *
   * @returns undefined when that is done; otherwise it is when the promise resolves
   * @throws {NetlinkError}
   */
  release(
    hostIndex: number,
    addresses: readonly IpAddress[],
  ): Promise<void> | undefined {
    const start = performance.now();
    this.#count(start);
    if (!this.#isAtWork && start >= this.#busyUntil) {
      releaseAddresses(this.#route, hostIndex, addresses);
      this.#notice(start);
      return undefined;
    }
    const settle = Promise.withResolvers<void>();
    this.#waiting.push({ hostIndex, addresses, settle });
    void this.#work();
    return settle.promise;
  }

  #count(now: number): void {
    if (now - this.#countedFrom > AT_ONCE_MS) {
      this.#countedFrom = now;
      this.#recent = 0;
    }
    if (++this.#recent > this.#many) this.#busyUntil = now + BUSY_MS;
  }

  #notice(start: number): void {
    const now = performance.now();
    if (now - start >= NOTICEABLE_MS) this.#busyUntil = now + BUSY_MS;
  }

  async #work(): Promise<void> {
    if (this.#isAtWork) return;
    this.#isAtWork = true;
    while (this.#waiting.length > 0) {
      const some = this.#waiting.splice(0);
      const start = performance.now();
      const isDone = await this.#tryTogether(some);
      this.#notice(start);
      for (const { hostIndex, addresses, settle } of some) {
        try {
          if (!isDone) releaseAddresses(this.#route, hostIndex, addresses);
          settle.resolve();
        } catch (error) {
          settle.reject(error);
        }
      }
    }
    this.#isAtWork = false;
  }

  /** False when something else failed than that some are gone already: who has failed is to be found out one by one. */
  async #tryTogether(some: readonly Release[]): Promise<boolean> {
    try {
      using own = this.#open();
      await own.executeAsync(
        some.flatMap(({ hostIndex, addresses }) =>
          releaseRequests(hostIndex, addresses)
        ),
      );
      return true;
    } catch (error) {
      return isGone(error);
    }
  }
}
