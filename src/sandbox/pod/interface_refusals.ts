/**
 * What it means when the kernel refuses an interface, and what to ask for instead.
 *
 * @module
 */
import { Errno } from "../../../ffi/errno.ts";
import type { SandboxError } from "../../errors.ts";
import { isNetlinkError } from "../../netlink/netlink_error.ts";
import type { Link } from "../../rtnetlink/link.ts";
import { joinPath, refusal } from "../../spec/problems.ts";
import type { InterfaceAttachment } from "../../spec/sandbox_spec.ts";
import type { RecordedInterface } from "../records/records.ts";
import { sourceOf } from "./recorded_interface.ts";

/** Field of an attachment that names the link of the node. */
const SOURCE_FIELDS = {
  bridge: "bridge",
  device: "device",
  macvlan: "parent",
} as const;

/** Where the name of the node's link stands. */
export function sourcePath(
  { type }: InterfaceAttachment,
  path: string,
): string {
  return joinPath(joinPath(path, "attachment"), SOURCE_FIELDS[type]);
}

/** The node does not have the link that an interface is to be made from, or not any more. */
export function noSuchLink(
  attachment: InterfaceAttachment,
  path: string,
): SandboxError {
  return refusal(
    sourcePath(attachment, path),
    sourceOf(attachment),
    "the node has no such link",
  );
}

/** What an interface was to be, and where that is said. */
interface Wish {
  readonly own: RecordedInterface;
  /** Of the node, which it was to be made from. */
  readonly link: Link;
  /** Of the interface in what the caller wrote. */
  readonly path: string;
}

/** `error` of making the interface from the link, or what cannot be. */
export function explainMaking(error: unknown, wish: Wish): unknown {
  const { own: { spec: { attachment } }, path } = wish;
  return isNetlinkError(error, Errno.ENODEV) && attachment.type !== "bridge"
    ? noSuchLink(attachment, path)
    : error;
}
