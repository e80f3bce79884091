/**
 * The sandbox of an attachment: one network's interface in one container.
 *
 * @module
 */
import { sha256 } from "@noble/hashes/sha2.js";
import type { AttachmentKey } from "../model/attachment_labels.ts";

/** The id of the attachment's sandbox. Hashed, since an interface's name may have letters that no id has. */
export function attachmentId(
  { network, containerID, ifname }: AttachmentKey,
): string {
  // No name holds a slash, so no two keys give the same text.
  const text = `${network}/${containerID}/${ifname}`;
  const digest = sha256(new TextEncoder().encode(text));
  return `cni-${digest.subarray(0, 12).toHex()}`;
}
