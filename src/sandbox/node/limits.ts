/**
 * What it means when the kernel or the system has no room for more.
 *
 * @module
 */
import { Errno, isSyscallError, SyscallError } from "../../../ffi/errno.ts";
import { SandboxError } from "../../errors.ts";
import {
  IncompleteReplyError,
  NetlinkError,
} from "../../netlink/netlink_error.ts";

/** A limit, and what to do about it. */
interface Limit {
  readonly limit: string;
  readonly remedy: string;
}

const OPEN_FILES: Limit = {
  limit: "the number of files that this process may have open",
  remedy:
    "raise it (ulimit -n, LimitNOFILE= of systemd), or dispose of nodes and sandboxes that are not in use",
};

const SYSTEM_FILES: Limit = {
  limit: "fs.file-max",
  remedy: "raise it (sysctl fs.file-max), or find the process that leaks files",
};

const NAMESPACES: Limit = {
  limit: "user.max_net_namespaces",
  remedy: "raise it, or remove sandboxes that are not needed",
};

const MOUNTS: Limit = {
  limit: "fs.mount-max",
  remedy: "raise it, or remove sandboxes and mounts that are not needed",
};

const MESSAGE_SIZE: Limit = {
  limit: "net.core.wmem_max, which bounds one change of the ruleset,",
  remedy:
    "raise it as root (sysctl -w net.core.wmem_max=4194304), or ask for fewer host ports at once",
};

const MEMORY: Limit = {
  limit: "the memory that the kernel has for this",
  remedy: "free some, or raise the limit of the cgroup, and try again",
};

const NEIGHBOURS: Limit = {
  limit: "the number of neighbours",
  remedy:
    "raise net.ipv4.neigh.default.gc_thresh3 and net.ipv6.neigh.default.gc_thresh3",
};

/** By system call where that decides (unshare(2), mount(2)), and by error number. */
function limitOfCall({ syscall, errno }: SyscallError): Limit | undefined {
  switch (errno) {
    case Errno.EMFILE:
      return OPEN_FILES;
    case Errno.ENFILE:
      return SYSTEM_FILES;
    case Errno.ENOSPC:
      if (syscall === "unshare") return NAMESPACES;
      return syscall === "mount" ? MOUNTS : undefined;
    case Errno.EMSGSIZE:
      return MESSAGE_SIZE;
    case Errno.ENOMEM:
    case Errno.ENOBUFS:
      return MEMORY;
    default:
      return undefined;
  }
}

function limitOfMessage(
  { operation, errno }: NetlinkError,
): Limit | undefined {
  if (errno === Errno.ENOBUFS && operation.includes("neighbour")) {
    return NEIGHBOURS;
  }
  return errno === Errno.ENOBUFS || errno === Errno.ENOMEM ? MEMORY : undefined;
}

/** `LimitReached`, if that is what the error comes from. */
export function explainLimit(error: unknown): SandboxError | undefined {
  const [operation, limit] = error instanceof SyscallError
    ? [`${error.syscall} ${error.path ?? ""}`.trim(), limitOfCall(error)]
    : error instanceof NetlinkError
    ? [error.operation, limitOfMessage(error)]
    : error instanceof IncompleteReplyError &&
        isSyscallError(error.cause, Errno.ENOBUFS)
    ? ["read the kernel's answer", MEMORY]
    : ["", undefined];
  return limit === undefined
    ? undefined
    : new SandboxError("LimitReached", { operation, ...limit }, {
      cause: error,
    });
}
