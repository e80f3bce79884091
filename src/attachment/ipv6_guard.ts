/**
 * What the node's end of a pod's link is not to do with IPv6: to believe the pod that it is a router (CVE-2020-10749), or, for
 * a pod without an IPv6 address, to have IPv6 at all.
 *
 * @module
 */
import { utf8 } from "../../ffi/buffer.ts";
import { Errno, isSyscallError } from "../../ffi/errno.ts";
import type { OwnedFd } from "../../ffi/fd.ts";
import { O_DIRECTORY, O_RDONLY, open, readStart } from "../../ffi/file.ts";
import { openAt, writeFileAt } from "../../ffi/file_at.ts";
import type { Link } from "../rtnetlink/link.ts";

/** `/proc/sys/net/ipv6/conf` of a namespace, whichever one the thread is in. */
export class Ipv6Guard implements Disposable {
  readonly #settings: OwnedFd;
  /** What new links get. */
  readonly #forwarding: OwnedFd;
  readonly #acceptRa: OwnedFd;

  private constructor(
    settings: OwnedFd,
    forwarding: OwnedFd,
    acceptRa: OwnedFd,
  ) {
    this.#settings = settings;
    this.#forwarding = forwarding;
    this.#acceptRa = acceptRa;
  }

  /**
   * That of the namespace that the thread is in; undefined if its kernel has no IPv6.
   *
   * @throws {SyscallError}
   */
  static open(): Ipv6Guard | undefined {
    using opened = new DisposableStack();
    try {
      const settings = opened.use(
        open("/proc/sys/net/ipv6/conf", O_RDONLY | O_DIRECTORY),
      );
      const guard = new Ipv6Guard(
        settings,
        opened.use(openAt(settings, "default/forwarding", O_RDONLY)),
        opened.use(openAt(settings, "default/accept_ra", O_RDONLY)),
      );
      opened.move();
      return guard;
    } catch (error) {
      if (isSyscallError(error, Errno.ENOENT)) return undefined;
      throw error;
    }
  }

  /**
   * Guards a new link. Call it before the pod's end comes up, since until then nothing can arrive.
   *
   * @param hasIpv6 whether the pod has an IPv6 address
   * @throws {SyscallError}
   */
  guard(link: string, hasIpv6: boolean): void {
    if (hasIpv6) {
      // To look takes 3 µs, to write 35.
      if (this.#areNewLinksDeaf()) return;
      for (const name of BELIEFS) {
        writeFileAt(this.#settings, `${link}/${name}`, ZERO);
      }
      return;
    }
    try {
      writeFileAt(this.#settings, `${link}/disable_ipv6`, ONE);
    } catch (error) {
      // There is no IPv6 on a link with an MTU below 1280.
      if (!isSyscallError(error, Errno.ENOENT)) throw error;
    }
  }

  /**
   * Whether new links believe nobody as they are: they forward, and are not told to listen to routers all the same
   * (ipv6_accept_ra() and rt6_do_redirect() in the kernel).
   */
  #areNewLinksDeaf(): boolean {
    return this.#first(this.#forwarding) === ONE_DIGIT &&
      this.#first(this.#acceptRa) <= ONE_DIGIT;
  }

  /** The first character of a setting. */
  #first(setting: OwnedFd): number {
    return readStart(setting, FIRST) === 1 ? FIRST[0] : NaN;
  }

  [Symbol.dispose](): void {
    this.#settings[Symbol.dispose]();
    this.#forwarding[Symbol.dispose]();
    this.#acceptRa[Symbol.dispose]();
  }
}

const FIRST = new Uint8Array(1) as Uint8Array<ArrayBuffer> & { 0: number };
const ONE_DIGIT = 0x31;
const ONE = utf8("1");
const ZERO = utf8("0");
/** Settings of a link that are 0 where it believes no router. */
export const BELIEFS = ["accept_ra", "accept_redirects"] as const;
export type Belief = typeof BELIEFS[number];

/** Their numbers (enum DEVCONF_*, linux/ipv6.h). */
const NUMBERS = { accept_ra: 3, accept_redirects: 4 } as const;

/** Which of them a link has on, as rtnetlink tells: to look into a pod's /proc/sys is slow for all (see pod_namespace.ts). */
export function beliefsOf({ raw }: Link): Belief[] {
  const conf = raw.attrs.afSpec?.inet6?.conf ?? new Uint8Array();
  const values = new Int32Array(conf.slice().buffer);
  return BELIEFS.filter((name) => (values[NUMBERS[name]] ?? 0) !== 0);
}

/** A setting of a link in net.ipv6.conf that is not as it must be. */
export interface UnguardedSetting {
  readonly name: string;
  readonly found: string;
  readonly wanted: string;
}

/**
 * How the settings of a link differ from those of a guarded one.
 *
 * @param hasIpv6 whether the pod has an IPv6 address
 * @param read a setting of the link, or of `all`; undefined when there is none, which is told otherwise
 */
export function unguarded(
  link: string,
  hasIpv6: boolean,
  read: (link: string, name: string) => string | undefined,
): UnguardedSetting[] {
  const isOff = (of: string) => read(of, "forwarding") === "0";
  const wanted: readonly Setting[] = !hasIpv6
    ? [["disable_ipv6", ["1"]]]
    // Where the node does not forward at all, that is told of the node.
    : isOff(link) && !isOff("all")
    ? BELIEFS.map((name) => [name, ["0"]])
    : [["accept_ra", ["0", "1"]]];
  return wanted.flatMap(([name, values]) => {
    const found = read(link, name);
    return found === undefined || values.includes(found)
      ? []
      : [{ name, found, wanted: values[0] }];
  });
}

/** A name, and the values that do; the first is the one to be set. */
type Setting = readonly [name: string, values: readonly [string, ...string[]]];
