/**
 * Links that processes keep ready, of a node that is taken down: a living one holds their namespaces until it looks at its
 * pool again, also when their pins are gone.
 *
 * @module
 */
import { Errno, isSyscallError } from "../../../ffi/errno.ts";
import { isSandboxError } from "../../errors.ts";
import { NetworkNamespace } from "../../namespace/network_namespace.ts";
import { Connection } from "../../netlink/connection.ts";
import { NETLINK_ROUTE } from "../../netlink/message.ts";
import { isNetlinkError } from "../../netlink/netlink_error.ts";
import { getLink, type Link } from "../../rtnetlink/link.ts";
import type { NodeContext } from "../node/context.ts";
import { deletePodLinks } from "../node/pod_links.ts";
import { isHostInterface } from "../records/identity.ts";
import { warmPins } from "../records/warm_directory.ts";
import { FIRST_INDEX } from "./pod_namespace.ts";

/** Deletes them. The caller has the node alone, so none becomes a sandbox's meanwhile. */
export function removeWarmLinks(
  { state, sockets: { route } }: Pick<NodeContext, "state" | "sockets">,
): void {
  const links = warmPins(state.warmDirectory).flatMap((pin) => {
    const index = podEnd(pin)?.peerIndex;
    return index === undefined ? [] : found(route, index) ?? [];
  });
  deletePodLinks(
    route,
    links.filter(({ name, alias }) =>
      isHostInterface(name) && alias === undefined
    ),
  );
}

/** The link of a pod that is not there yet; undefined when its process takes it away just now. */
function podEnd(pin: string): Link | undefined {
  try {
    using namespace = NetworkNamespace.open(pin);
    using inside = namespace.run(() => Connection.open(NETLINK_ROUTE));
    return found(inside, FIRST_INDEX);
  } catch (error) {
    const isGone = isSandboxError(error, "InvalidNamespace") ||
      isSyscallError(error, Errno.ENOENT);
    if (isGone) return undefined;
    throw error;
  }
}

function found(route: Connection, index: number): Link | undefined {
  try {
    return route.request(getLink({ index }))[0];
  } catch (error) {
    if (isNetlinkError(error, Errno.ENODEV)) return undefined;
    throw error;
  }
}
