/**
 * What it means when the kernel refuses for want of a capability.
 *
 * @module
 */
import { Errno, isSyscallError } from "../../ffi/errno.ts";
import { SandboxError } from "../errors.ts";
import { isNetlinkError } from "../netlink/netlink_error.ts";

/** These need CAP_SYS_ADMIN in the user namespace that owns what they act on. */
const OF_THE_ADMINISTRATOR: readonly string[] = [
  "mount",
  "umount",
  "setns",
  "unshare",
];

/** `error`, or `NotPermitted` with the capability that is missing. */
export function explainRefusal(error: unknown): unknown {
  if (isNetlinkError(error, Errno.EPERM)) {
    return new SandboxError("NotPermitted", {
      operation: error.operation,
      capability: "CAP_NET_ADMIN",
    }, { cause: error });
  }
  if (
    isSyscallError(error, Errno.EPERM) &&
    OF_THE_ADMINISTRATOR.includes(error.syscall)
  ) {
    return new SandboxError("NotPermitted", {
      operation: `${error.syscall} ${error.path ?? ""}`.trim(),
      capability: "CAP_SYS_ADMIN",
    }, { cause: error });
  }
  return error;
}
