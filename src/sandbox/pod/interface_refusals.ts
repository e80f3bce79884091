/**
 * What it means when the kernel refuses an interface, and what to ask for instead.
 *
 * @module
 */
import { Errno } from "../../../ffi/errno.ts";
import type { SandboxError } from "../../errors.ts";
import { isNetlinkError } from "../../netlink/netlink_error.ts";
import type { MacvlanMode } from "../../net/macvlan_mode.ts";
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
  const { own: { spec: { attachment } }, link, path } = wish;
  const { type } = attachment;
  if (isNetlinkError(error, Errno.ENODEV) && type !== "bridge") {
    return noSuchLink(attachment, path);
  }
  if (type === "macvlan") {
    const explained = explainMtu(error, wish);
    if (explained !== undefined) return explained;
  }
  const reason = type === "macvlan"
    ? macvlanReason(error, link, attachment.mode)
    : type === "device"
    ? isNetlinkError(error, Errno.EINVAL) &&
      "the kernel does not move it: it belongs to its namespace, as bridges do"
    : isNetlinkError(error, Errno.EXFULL) &&
      "it has all the ports that a bridge can have (1023): use another bridge, or remove pods from this one";
  return reason
    ? refusal(sourcePath(attachment, path), sourceOf(attachment), reason)
    : error;
}

function macvlanReason(
  error: unknown,
  { master, raw }: Link,
  mode: MacvlanMode,
): string | undefined {
  if (isNetlinkError(error, Errno.EBUSY) && master !== undefined) {
    return "it is a port of another link, which gets all that arrives: name that one";
  }
  if (!isNetlinkError(error, Errno.EINVAL)) return undefined;
  if (raw.header.type !== ARPHRD_ETHER) {
    return "it is no Ethernet link, and only those have macvlans";
  }
  return mode === "passthru"
    ? "it has other macvlans, and one in mode passthru needs it for itself: detach them, or use another mode"
    : "it has a macvlan in mode passthru, which needs it for itself: detach that one";
}

/** `error` of configuring the interface, or what it cannot have. */
export function explainSettings(error: unknown, wish: Wish): unknown {
  const { own: { spec: { attachment }, mac }, path } = wish;
  const place = joinPath(path, "mac");
  const from = sourceOf(attachment);
  if (isNetlinkError(error, Errno.EADDRINUSE)) {
    const reason = `another interface of ${from} has it: choose another`;
    return refusal(place, mac, reason);
  }
  if (isNetlinkError(error, Errno.EOPNOTSUPP) && mac !== undefined) {
    return refusal(place, mac, `${from} cannot have another: leave it out`);
  }
  return explainMtu(error, wish) ?? error;
}

function explainMtu(
  error: unknown,
  { own: { spec: { attachment: { type }, mtu } }, link, path }: Wish,
): SandboxError | undefined {
  if (!isNetlinkError(error, Errno.EINVAL) || mtu === undefined) return;
  const { minMtu = 0, maxMtu = Infinity } = link.raw.attrs;
  const most = type === "macvlan" ? link.mtu : maxMtu;
  if (minMtu <= mtu && mtu <= most) return;
  const { name } = link;
  return refusal(
    joinPath(path, "mtu"),
    mtu,
    type === "macvlan"
      ? `a macvlan has no more than its parent, and ${name} has ${most}: choose that, or raise it there`
      : `${name} can have ${minMtu} to ${most}: choose one of these`,
  );
}

const ARPHRD_ETHER = 1;
