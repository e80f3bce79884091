/**
 * What is noted of a link of the node before it becomes a pod's.
 *
 * Whoever gives a link back has its note until the link is what it was. Between its coming and that, everybody sees it on
 * the node, down and bare, and may take it: so what another note says of it counts, and not what it looks like. The same
 * note leads whoever takes it after somebody has died there.
 *
 * @module
 */
import { Errno } from "../../../ffi/errno.ts";
import { nodeDevice } from "../../attachment/node_device.ts";
import { findLink } from "../../attachment/questions.ts";
import { linkIdentity } from "../../namespace/link_identity.ts";
import { isNetlinkError } from "../../netlink/netlink_error.ts";
import type { Link } from "../../rtnetlink/link.ts";
import type { NodeContext } from "../node/context.ts";
import type { SandboxRecord } from "../records/records.ts";
import { type NotedDevice, noteOf } from "./recorded_interface.ts";

/** What a link of the node is to be when it comes back; undefined when somebody has taken it since it was found. */
export function deviceNote(
  context: NodeContext,
  record: SandboxRecord,
  { name, index }: Link,
): NotedDevice | undefined {
  const { sockets: { route }, namespace } = context;
  const identity = linkIdentity(namespace, name);
  if (identity === undefined) return undefined;
  // Looked for first: who has no note of it any more has finished.
  const noted = findNote(context, record, identity);
  if (noted !== undefined) return noted;
  try {
    const link = findLink(route, index);
    return link && noteOf(nodeDevice(route, link, identity));
  } catch (error) {
    if (isNetlinkError(error, Errno.ENODEV)) return undefined;
    throw error;
  }
}

function findNote(
  { state }: NodeContext,
  record: SandboxRecord,
  identity: string,
): NotedDevice | undefined {
  const isIt = (device?: NotedDevice) => device?.identity === identity;
  const among = (one?: SandboxRecord) =>
    one?.interfaces.find(({ device }) => isIt(device))?.device;
  const own = among(record);
  if (own !== undefined) return own;
  for (const id of state.sandboxIds()) {
    const found = id === record.id
      ? undefined
      : among(state.readableSandbox(id));
    if (found !== undefined) return found;
  }
  return undefined;
}
