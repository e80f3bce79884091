/**
 * What it means when the kernel refuses for want of a capability, or of room, or when the node was closed.
 *
 * @module
 */
import { Errno, isSyscallError } from "../../../ffi/errno.ts";
import { SandboxError } from "../../errors.ts";
import { ClosedError } from "../../../ffi/fd.ts";
import { isNetlinkError } from "../../netlink/netlink_error.ts";
import { unusable } from "../../state/store.ts";
import type { NodeState } from "../records/node_state.ts";
import { explainLimit } from "./limits.ts";

/** These need CAP_SYS_ADMIN in the user namespace that owns what they act on. */
const OF_THE_ADMINISTRATOR: readonly string[] = [
  "mount",
  "fsopen",
  "fsmount",
  "umount",
  "setns",
  "unshare",
];

/**
 * Does something by an open node, and explains what the kernel refuses; see {@linkcode explainRefusal}.
 *
 * @throws {SandboxError} `NodeClosed`, also when it is closed meanwhile
 */
export async function explained<T>(
  state: NodeState,
  call: () => Promise<T>,
): Promise<T> {
  try {
    state.refuseClosed();
    return await call();
  } catch (error) {
    throw explainRefusal(error, state);
  }
}

/**
 * `error`, or `NotPermitted` with the capability that is missing, or `LimitReached` with the limit, or `NodeClosed`; it is
 * their `cause` then.
 */
export function explainRefusal(
  error: unknown,
  state?: NodeState,
): unknown {
  const explained = explainPermission(error) ?? explainLimit(error) ??
    explainFileSystem(error) ?? explainClosed(error, state);
  if (explained === undefined) return error;
  if (error instanceof Error && "undoFailures" in error) {
    Object.assign(explained, { undoFailures: error.undoFailures });
  }
  return explained;
}

/** What is removed meets a file system that has become read-only, too. */
function explainFileSystem(error: unknown): SandboxError | undefined {
  if (
    !isSyscallError(error, Errno.EROFS, Errno.ENOSPC, Errno.EDQUOT) ||
    error.path === undefined
  ) return undefined;
  // As in most containers.
  if (error.path.startsWith("/proc/sys/")) {
    return new SandboxError("NotPermitted", {
      operation: `write ${error.path}`,
      capability: "CAP_SYS_ADMIN",
      obstacle:
        "/proc/sys is read-only here, so remount it read-write; what is the node's can be set from outside (docker run --sysctl)",
    }, { cause: error });
  }
  const found = unusable(error.path, error);
  return found instanceof SandboxError ? found : undefined;
}

/** Whatever else was closed is the fault of who closed it. */
function explainClosed(
  error: unknown,
  state: NodeState | undefined,
): SandboxError | undefined {
  if (!(error instanceof ClosedError) || !state?.closed.aborted) {
    return undefined;
  }
  const { name } = state;
  return new SandboxError("NodeClosed", { name }, { cause: error });
}

function explainPermission(error: unknown): SandboxError | undefined {
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
  return undefined;
}
