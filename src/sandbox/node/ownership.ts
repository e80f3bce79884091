/**
 * What of the kernel's is really the sandbox's whose record names it. A record is a file: what it says is looked up before
 * anything is changed or deleted that another sandbox, or the machine, could have.
 *
 * @module
 */
import { Errno } from "../../../ffi/errno.ts";
import { isNetlinkError } from "../../netlink/netlink_error.ts";
import { getLink } from "../../rtnetlink/link.ts";
import type { NodeContext } from "./context.ts";
import { idOfAlias } from "../records/identity.ts";
import type { SandboxRecord } from "../records/records.ts";

/** The link of a record. */
type RecordedLink = NonNullable<SandboxRecord["link"]>;

/**
 * The recorded link, if the kernel's link of that number is the sandbox's: it bears the sandbox's alias, or it has the
 * recorded name, which is random, and nobody's alias.
 */
export function ownLink(
  { sockets, settings }: NodeContext,
  { id, link }: SandboxRecord,
): RecordedLink | undefined {
  if (link === undefined) return undefined;
  try {
    const [found] = sockets.route.request(getLink({ index: link.hostIndex }));
    const owner = idOfAlias(settings.name, found?.alias);
    if (owner !== undefined) return owner === id ? link : undefined;
    const isUnmarked = found?.alias?.startsWith("podnet:") !== true;
    return found?.name === link.hostInterface && isUnmarked ? link : undefined;
  } catch (error) {
    if (isNetlinkError(error, Errno.ENODEV)) return undefined;
    throw error;
  }
}
