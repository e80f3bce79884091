/**
 * Labels by which the sandbox of an attachment says whose it is: one network's interface in one container.
 *
 * @module
 */

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
