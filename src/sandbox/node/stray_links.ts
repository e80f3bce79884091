/**
 * Links that sandboxes had before, and that something keeps alive: they have the sandbox's alias and are not its link.
 *
 * @module
 */
import { Errno } from "../../../ffi/errno.ts";
import { isNetlinkError } from "../../netlink/netlink_error.ts";
import { addressesOfLink } from "../../attachment/address_claims.ts";
import type { Connection } from "../../netlink/connection.ts";
import { deleteLink } from "../../rtnetlink/link.ts";
import type { NodeContext } from "./context.ts";
import { type Difference, difference } from "./finding.ts";
import { podLinks } from "./pod_links.ts";

/** A link of the node that bears a sandbox's alias. */
export interface SandboxLink {
  readonly name: string;
  readonly index: number;
}

/** The links that bear sandboxes' aliases and were not given up, by id of the sandbox. */
export function linksOfSandboxes(
  context: NodeContext,
): ReadonlyMap<string, readonly SandboxLink[]> {
  const kept = podLinks(context).filter(({ retired }) => !retired);
  return Map.groupBy(kept, ({ id }) => id);
}

/** Those of a sandbox's links that are not the one it has now. The caller holds its lock. */
export function strayLinks(
  { sockets: { route }, state }: NodeContext,
  id: string,
  links: readonly SandboxLink[],
): Difference[] {
  if (links.length === 0) return [];
  const record = state.readableSandbox(id);
  // Without a record they are garbage: see garbage.ts.
  if (record?.state !== "ready") return [];
  // Since it was seen, its sandbox may have been removed and made again: then it claims nothing, and goes by itself.
  const isStray = ({ index }: SandboxLink) =>
    index !== record.link?.hostIndex &&
    addressesOfLink(route, index).length > 0;
  return links.filter(isStray)
    .map(({ name, index }) =>
      difference(
        `${record.spec.namespace}/${record.spec.name}`,
        `link ${name}`,
        "is one that the sandbox had before",
        { does: "deletes it", mend: () => remove(route, index) },
      )
    );
}

function remove(route: Connection, index: number): void {
  try {
    route.execute([deleteLink({ index })]);
  } catch (error) {
    if (!isNetlinkError(error, Errno.ENODEV)) throw error;
  }
}
