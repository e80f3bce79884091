/**
 * Connections are forgotten without the event loop standing still.
 *
 * Of IPv6 and of SCTP the kernel only lists what matches, for which it locks each bucket of its hash table by turns: 10 ms on a
 * machine with 262,144 of them, however few connections there are. So that is done on another thread, and together for all who
 * ask meanwhile. Whoever asks the kernel anything about connections while it does, be it how many there are, waits until it is
 * done (nfnl_lock, net/netfilter/nfnetlink.c): so nobody does here.
 *
 * @module
 */
import type { Connection } from "../netlink/connection.ts";
import {
  type ConntrackFilter,
  countConnections,
  flushConntrack,
  flushConntrackAsync,
  isForgottenAtOnce,
} from "./conntrack.ts";

/** So few are read together faster than looked for one port after the other. */
const FEW_CONNECTIONS = 4096;

/** What is wanted by one who asks. */
interface Wish {
  readonly filters: readonly ConntrackFilter[];
  readonly settle: PromiseWithResolvers<void>;
}

/** See the module. */
export class ConntrackWalks implements Disposable {
  readonly #connection: Connection;
  readonly #own: Connection;
  readonly #few: number;
  #waiting: Wish[] = [];
  /** Connections that were tracked when somebody asked last. */
  #count = 0;
  #isAtWork = false;
  #isClosed = false;

  /**
   * @param connection of the protocol NETLINK_NETFILTER; stays its owner's
   * @param own a connection like it, for what is done on another thread; closed with this
   * @param few how many tracked connections are read for all together
   */
  constructor(
    connection: Connection,
    own: Connection,
    few: number = FEW_CONNECTIONS,
  ) {
    this.#connection = connection;
    this.#own = own;
    this.#few = few;
  }

  /**
   * Forgets connections, as `flushConntrack` does.
   *
   * @returns undefined when that is done; otherwise it is when the promise resolves
   * @throws what `flushConntrack` throws
   */
  forget(filters: readonly ConntrackFilter[]): Promise<void> | undefined {
    if (filters.length === 0 || !this.mayHaveConnections()) return undefined;
    if (!this.#isAtWork && filters.every(isForgottenAtOnce)) {
      flushConntrack(this.#connection, filters);
      return undefined;
    }
    const settle = Promise.withResolvers<void>();
    this.#waiting.push({ filters, settle });
    void this.#work();
    return settle.promise;
  }

  /**
   * Whether anything is tracked; true while connections are looked for.
   *
   * @throws {NetlinkError} EPERM without CAP_NET_ADMIN
   */
  mayHaveConnections(): boolean {
    if (this.#isAtWork) return true;
    this.#count = countConnections(this.#connection) ?? Infinity;
    return this.#count > 0;
  }

  async #work(): Promise<void> {
    if (this.#isAtWork) return;
    this.#isAtWork = true;
    while (this.#waiting.length > 0) {
      const some = this.#together();
      try {
        const filters = some.flatMap(({ filters }) => filters);
        await flushConntrackAsync(this.#own, filters);
        for (const { settle } of some) settle.resolve();
      } catch (error) {
        for (const { settle } of some) settle.reject(error);
      }
    }
    this.#isAtWork = false;
    if (this.#isClosed) this.#own[Symbol.dispose]();
  }

  /** Takes those who can be answered by one walk: of one port, or all when there is little to read. */
  #together(): Wish[] {
    const [first] = this.#waiting;
    const all = this.#waiting;
    this.#waiting = [];
    if (first === undefined || this.#count <= this.#few) return all;
    return all.filter((wish) => {
      const isTaken = wish === first || portOf(wish) === portOf(first);
      if (!isTaken) this.#waiting.push(wish);
      return isTaken;
    });
  }

  /** Closes its own connection, once nothing is looked for any more. */
  [Symbol.dispose](): void {
    this.#isClosed = true;
    if (!this.#isAtWork) this.#own[Symbol.dispose]();
  }
}

/** What a dump can be asked for, if it is the same for all of the filters. */
function portOf({ filters }: Wish): string {
  const all = filters.map(({ protocol, originalDestinationPort }) =>
    `${protocol} ${originalDestinationPort}`
  );
  return [...new Set(all)].sort().join();
}
