/**
 * What a link of the node's heeds over IPv6: no advertisements and no redirects of a pod's (CVE-2020-10749). net.ipv6.conf is
 * in `/proc` only.
 *
 * A link that forwards heeds neither, save advertisements with `accept_ra` 2 (ipv6_accept_ra, net/ipv6/addrconf.c;
 * rt6_do_redirect, net/ipv6/route.c). It is made with the namespace's defaults, and these forward on any node that podnet
 * has opened: so a link has to be told of nothing, unless somebody has set the defaults otherwise.
 *
 * @module
 */
import { utf8 } from "../../ffi/buffer.ts";
import { Errno, isSyscallError } from "../../ffi/errno.ts";
import type { OwnedFd } from "../../ffi/fd.ts";
import { O_DIRECTORY, O_RDONLY, open, writeFileAt } from "../../ffi/file.ts";
import { reread } from "../../ffi/reread.ts";

/** A switch of a link: its name below `net.ipv6.conf.<link>`, and its value. */
export type Ipv6Switch = readonly [name: string, value: string];

/** What is set on a link: one that has IPv6 forwards and heeds nobody, and one of a pod without an IPv6 address has no IPv6. */
export function ipv6Switches(hasIpv6: boolean): readonly Ipv6Switch[] {
  return hasIpv6
    ? [["forwarding", "1"], ["accept_ra", "0"]]
    : [["disable_ipv6", "1"]];
}

/** Whether a value will do instead of the one that {@linkcode ipv6Switches} has. */
export function isHarmless(name: string, value: string): boolean {
  return name === "accept_ra" && value !== "2";
}

/** The settings of the namespace in which they were opened, whichever one the thread is in. */
export class Ipv6Settings implements Disposable {
  readonly #links: OwnedFd;
  readonly #forwarding: OwnedFd;
  readonly #acceptRa: OwnedFd;
  readonly #opened: DisposableStack;

  private constructor(opened: DisposableStack) {
    this.#links = opened.use(open(CONF, O_RDONLY | O_DIRECTORY));
    this.#forwarding = opened.use(open(`${CONF}/default/forwarding`, O_RDONLY));
    this.#acceptRa = opened.use(open(`${CONF}/default/accept_ra`, O_RDONLY));
    this.#opened = opened.move();
  }

  /**
   * Opens those of the namespace that the thread is in; undefined if its kernel has no IPv6.
   *
   * @throws {SyscallError}
   */
  static open(): Ipv6Settings | undefined {
    using opened = new DisposableStack();
    try {
      return new Ipv6Settings(opened);
    } catch (error) {
      if (isSyscallError(error, Errno.ENOENT)) return undefined;
      throw error;
    }
  }

  /**
   * Sees to it that a link that was just made heeds nobody, and that one of a pod without an IPv6 address has no IPv6.
   *
   * Call it before the pod's end comes up, since until then nothing can arrive. To look at the defaults takes 3 µs, and to set
   * the switches 40.
   *
   * @throws {SyscallError}
   */
  guard(link: string, hasIpv6: boolean): void {
    if (hasIpv6 && this.#areDefaultsHarmless()) return;
    for (const [name, value] of ipv6Switches(hasIpv6)) {
      try {
        writeFileAt(this.#links, `${link}/${name}`, utf8(value));
      } catch (error) {
        // There is no IPv6 on a link with an MTU below 1280.
        if (hasIpv6 || !isSyscallError(error, Errno.ENOENT)) throw error;
      }
    }
  }

  /** The first character of either tells. */
  #areDefaultsHarmless(): boolean {
    return firstOf(this.#forwarding) === ONE && firstOf(this.#acceptRa) !== TWO;
  }

  [Symbol.dispose](): void {
    this.#opened.dispose();
  }
}

function firstOf(file: OwnedFd): number {
  return reread(file, BYTE) === 1 ? BYTE[0] as number : 0;
}

const CONF = "/proc/sys/net/ipv6/conf";
const BYTE = new Uint8Array(1);
const [ONE, TWO] = [0x31, 0x32];
