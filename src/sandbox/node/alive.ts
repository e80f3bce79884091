/**
 * Whether what a record tells of is still there.
 *
 * @module
 */
import { Errno } from "../../../ffi/errno.ts";
import { isSandboxError } from "../../errors.ts";
import { NetworkNamespace } from "../../namespace/network_namespace.ts";
import { isNetlinkError } from "../../netlink/netlink_error.ts";
import { getLink } from "../../rtnetlink/link.ts";
import type { NodeContext } from "./context.ts";
import { idOfAlias, idOfFurtherAlias } from "../records/identity.ts";
import type { SandboxRecord } from "../records/records.ts";

/** Whether the pin still leads to the namespace that was made; a reboot or an unmount leaves an empty file. */
export function isAlive(
  { state }: NodeContext,
  record: SandboxRecord,
): boolean {
  try {
    using namespace = NetworkNamespace.open(state.pinPath(record.id));
    return namespace.id === record.netnsId;
  } catch (error) {
    if (isSandboxError(error, "InvalidNamespace")) return false;
    throw error;
  }
}

/**
 * Whether the node still has its end of the sandbox's link, or of one on a bridge, by index and alias; false on the host
 * network, where there is none. The other end is then alive too, and with it the pod's namespace: so no other can have its number, which the
 * kernel gives anew once a namespace is gone, and after each boot.
 */
export function hasLink(
  { sockets, settings }: NodeContext,
  { id, link, interfaces }: SandboxRecord,
): boolean {
  const index = link?.hostIndex ??
    interfaces.find(({ port }) => port !== undefined)?.port?.index;
  if (index === undefined) return false;
  try {
    const [found] = sockets.route.request(getLink({ index }));
    const { name } = settings;
    return (idOfAlias(name, found?.alias) ??
      idOfFurtherAlias(name, found?.alias)) === id;
  } catch (error) {
    if (isNetlinkError(error, Errno.ENODEV)) return false;
    throw error;
  }
}
