/**
 * What it means that the kernel refuses something of the paths, and whom it concerns.
 *
 * @module
 */
import { Errno } from "../../ffi/errno.ts";
import { SandboxError } from "../errors.ts";
import { NetworkNamespace } from "../namespace/network_namespace.ts";
import { Connection } from "../netlink/connection.ts";
import { NETLINK_ROUTE } from "../netlink/message.ts";
import { isNetlinkError, NetlinkError } from "../netlink/netlink_error.ts";
import { newLink } from "../rtnetlink/link.ts";
import type { Part } from "./parts.ts";
import { PathError } from "./path_error.ts";
import type { PathBackend } from "./path_options.ts";
import type { TunnelLink } from "./path_plan.ts";

/** A route to a member that the kernel did not take. */
export interface Refused {
  readonly part: Part;
  /** Name of the member. */
  readonly member: string;
  readonly error: NetlinkError;
  /** What it was, to know it again. */
  readonly text: string;
}

/** What the kernel refuses of some requests, by their positions. */
export function failuresOf(
  execute: () => void,
): ReadonlyMap<number, NetlinkError> {
  try {
    execute();
    return new Map();
  } catch (error) {
    if (!(error instanceof NetlinkError)) throw error;
    return new Map(
      error.failures.map((one) => [one.index, new NetlinkError(one)]),
    );
  }
}

/** How it is told. */
export function refusalOf({ part, member, error }: Refused): PathError {
  return new PathError(
    "KernelRefused",
    member,
    `the kernel does not take ${part.text}: ${error.message}`,
  );
}

/** What the kernel's refusal means. */
export function explain(
  error: unknown,
  tunnels: readonly TunnelLink[],
  name: string,
): unknown {
  if (!(error instanceof NetlinkError)) return error;
  const tunnel = tunnels.find(({ name }) =>
    error.operation === `create vxlan ${name}`
  );
  if (tunnel === undefined) return error;
  if (isNetlinkError(error, Errno.EOPNOTSUPP)) {
    return new SandboxError("UnsupportedKernel", { feature: "VXLAN" }, {
      cause: error,
    });
  }
  return isNetlinkError(error, Errno.EEXIST)
    ? new PathError(
      "LinkTaken",
      name,
      `somebody else has link ${tunnel.name}, or a tunnel with identifier ${tunnel.vni} and port ${tunnel.port}: remove that, or use another identifier or port`,
    )
    : error;
}

/**
 * WireGuard is planned for; that the plan is carried out could not be tried, so it is not.
 *
 * @throws {SandboxError} with that backend: `UnsupportedKernel`, or else `InvalidSpec`
 */
export function refuseWireguard(backend: PathBackend): void {
  if (backend !== "wireguard") return;
  using namespace = NetworkNamespace.create();
  using route = namespace.run(() => Connection.open(NETLINK_ROUTE));
  try {
    route.execute([
      newLink({ name: "wg0", info: { $other: { name: "wireguard" } } }),
    ]);
  } catch (error) {
    if (!isNetlinkError(error, Errno.EOPNOTSUPP)) throw error;
    throw new SandboxError("UnsupportedKernel", { feature: "WireGuard" }, {
      cause: error,
    });
  }
  throw new SandboxError("InvalidSpec", {
    problems: [{
      path: "backend",
      message:
        'wireguard can be planned and not yet be carried out: write "auto", "host-gw" or "vxlan"',
      received: "wireguard",
    }],
  });
}
