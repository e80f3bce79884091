/**
 * Links that sandboxes had before, and that something keeps alive: they have the sandbox's alias and are not its link.
 *
 * @module
 */
import { Errno } from "../../ffi/errno.ts";
import { isNetlinkError } from "../netlink/netlink_error.ts";
import { deleteLink } from "../rtnetlink/link.ts";
import type { NodeContext } from "./context.ts";
import { type Difference, difference } from "./finding.ts";
import { podLinks } from "./pod_links.ts";

/**
 * By id of the sandbox, for sandboxes that are ready. Their removal looks at each again: it must be done under the lock of
 * the sandbox.
 */
export function strayLinks(
  context: NodeContext,
): ReadonlyMap<string, readonly Difference[]> {
  const { state } = context;
  const found = new Map<string, Difference[]>();
  for (const { name, index, id, retired } of podLinks(context)) {
    if (retired) continue;
    const isStray = () => {
      const record = state.readableSandbox(id);
      return record?.state === "ready" && record.link?.hostIndex !== index;
    };
    // Without a record it is garbage: see garbage.ts.
    if (!isStray()) continue;
    const finding = difference(
      id,
      `link ${name}`,
      "is one that the sandbox had before",
      {
        does: "deletes it",
        mend: () => {
          if (isStray()) remove(context, index);
        },
      },
    );
    found.set(id, [...found.get(id) ?? [], finding]);
  }
  return found;
}

function remove({ sockets: { route } }: NodeContext, index: number): void {
  try {
    route.execute([deleteLink({ index })]);
  } catch (error) {
    if (!isNetlinkError(error, Errno.ENODEV)) throw error;
  }
}
