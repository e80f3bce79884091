/**
 * The sandbox of an attachment: one network's interface in one container.
 *
 * @module
 */
import { sha256 } from "@noble/hashes/sha2.js";

/** What tells attachments apart, all three of it: a container may be on a network twice, and on several. */
export interface AttachmentKey {
  /** Name of the network. */
  readonly network: string;
  readonly containerID: string;
  readonly ifname: string;
}

/** Labels that lead from a sandbox to its attachment. */
export const LABELS = {
  network: "cni.network",
  containerID: "cni.containerID",
  ifname: "cni.ifname",
} as const;

/** The id of the attachment's sandbox. Hashed, since an interface's name may have letters that no id has. */
export function attachmentId(
  { network, containerID, ifname }: AttachmentKey,
): string {
  // No name holds a slash, so no two keys give the same text.
  const text = `${network}/${containerID}/${ifname}`;
  const digest = sha256(new TextEncoder().encode(text));
  return `cni-${digest.subarray(0, 12).toHex()}`;
}

/** The labels of the attachment's sandbox. */
export function attachmentLabels(
  { network, containerID, ifname }: AttachmentKey,
): Record<string, string> {
  return {
    [LABELS.network]: network,
    [LABELS.containerID]: containerID,
    [LABELS.ifname]: ifname,
  };
}

/** The attachment that labels lead to; undefined when the sandbox was not made by the plugin. */
export function attachmentOf(
  labels: Readonly<Record<string, string>> | undefined,
): AttachmentKey | undefined {
  const network = labels?.[LABELS.network];
  const containerID = labels?.[LABELS.containerID];
  const ifname = labels?.[LABELS.ifname];
  return network === undefined || containerID === undefined ||
      ifname === undefined
    ? undefined
    : { network, containerID, ifname };
}
