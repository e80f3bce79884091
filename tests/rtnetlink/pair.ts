/** A veth pair between two new network namespaces, for tests. */
import type { OwnedFd } from "../../ffi/fd.ts";
import { O_RDONLY, open } from "../../ffi/file.ts";
import { setNetworkNamespace } from "../../ffi/namespace.ts";
import { Cidr } from "../../src/net/cidr.ts";
import { IpAddress } from "../../src/net/ip.ts";
import { MacAddress } from "../../src/net/mac.ts";
import { Connection } from "../../src/netlink/connection.ts";
import { NETLINK_ROUTE } from "../../src/netlink/message.ts";
import { newVeth, setLink } from "../../src/rtnetlink/link.ts";
import { inNewNamespace, output } from "../netlink/isolated.ts";

export const ip = IpAddress.parse;
export const mac = MacAddress.parse;
/** The network of one address. */
export const host = (text: string): Cidr => Cidr.host(ip(text));

export const LO = 1;
/** The end in the first namespace. */
export const NEAR = 100;
/** The end in the second namespace. */
export const FAR = 2;
export const NEAR_MAC = mac("02:00:5e:00:00:01");
export const FAR_MAC = mac("02:00:5e:00:00:02");

/** A network namespace and a connection to it. */
export class Side implements Disposable {
  readonly route: Connection = Connection.open(NETLINK_ROUTE);
  readonly namespace: OwnedFd = open("/proc/thread-self/ns/net", O_RDONLY);

  /** Calls `fn` with the thread in this namespace. */
  inside<T>(fn: () => T): T {
    using home = open("/proc/thread-self/ns/net", O_RDONLY);
    setNetworkNamespace(this.namespace);
    try {
      return fn();
    } finally {
      setNetworkNamespace(home);
    }
  }

  /** What `ip -json` with these arguments tells. */
  ip(args: string): Record<string, unknown>[] {
    const text = this.inside(() => output("ip", "-json", ...args.split(" ")));
    return JSON.parse(text || "[]");
  }

  [Symbol.dispose](): void {
    this.route[Symbol.dispose]();
    this.namespace[Symbol.dispose]();
  }
}

/** Calls `fn` with two new namespaces whose lo are up, and a veth pair between them whose ends are up. */
export function withPair(fn: (near: Side, far: Side) => void): void {
  using near = inNewNamespace(() => new Side());
  using far = inNewNamespace(() => new Side());
  near.route.execute([
    setLink({ index: LO, up: true }),
    newVeth({
      name: "near0",
      index: NEAR,
      mac: NEAR_MAC,
      peer: {
        name: "far0",
        index: FAR,
        mac: FAR_MAC,
        namespaceFd: far.namespace.fd,
      },
    }),
    setLink({ index: NEAR, addrGenMode: "none" }),
    setLink({ index: NEAR, up: true }),
  ]);
  far.route.execute([
    setLink({ index: LO, up: true }),
    setLink({ index: FAR, addrGenMode: "none" }),
    setLink({ index: FAR, up: true }),
  ]);
  fn(near, far);
}
