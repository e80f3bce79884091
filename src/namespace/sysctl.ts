/**
 * The `net.*` kernel parameters of a network namespace.
 * @module
 */
import { Errno, isSyscallError } from "../../ffi/errno.ts";
import { readTextFile, writeFile } from "../../ffi/file.ts";
import { SandboxError } from "../errors.ts";
import type { NetworkNamespace } from "./network_namespace.ts";

/**
 * The file of a kernel parameter: `/proc/sys/net/core/somaxconn` for `net.core.somaxconn`.
 *
 * Names are read as sysctl(8) and sysctl.d(5) do: if the first separator is a dot, dots separate and slashes stand for
 * dots in an interface's name (`net.ipv4.conf.eth0/1.forwarding`); if it is a slash, slashes separate and dots are dots
 * (`net/ipv4/conf/eth0.1/forwarding`).
 *
 * The file is that of the namespace the thread is in when it opens it.
 *
 * @throws {SandboxError} InvalidSpec if it is no `net` parameter
 */
export function sysctlPath(name: string): string {
  const separator = /[./]/.exec(name)?.[0];
  const parts = separator === "."
    ? name.split(".").map((part) => part.replaceAll("/", "."))
    : name.split("/");
  const valid = parts.length > 1 && parts[0] === "net" &&
    parts.every((part) =>
      part !== "" && part !== "." && part !== ".." &&
      !BLANK_OR_CONTROL.test(part)
    );
  if (!valid) {
    throw invalid(
      name,
      'write a parameter below "net", such as net.core.somaxconn',
      name,
    );
  }
  return `/proc/sys/${parts.join("/")}`;
}

/** As `\p{Cc}` has them, which V8 takes 0.2 ms to look up. */
// deno-lint-ignore no-control-regex
const BLANK_OR_CONTROL = /[\s\x00-\x1f\x7f-\x9f]/;

/**
 * Reads a kernel parameter of a namespace, without the newline at its end.
 *
 * @param name as for {@linkcode sysctlPath}
 * @throws {SandboxError} InvalidSpec if the name is invalid or this kernel has no such parameter there; NotPermitted
 * @throws {SyscallError}
 */
export function readSysctl(namespace: NetworkNamespace, name: string): string {
  const path = sysctlPath(name);
  try {
    return namespace.run(() => readTextFile(path)).replace(/\n$/, "");
  } catch (error) {
    throw failure(error, `read ${name}`, name);
  }
}

/**
 * Sets a kernel parameter of a namespace.
 *
 * @param name as for {@linkcode sysctlPath}
 * @throws {SandboxError} InvalidSpec if the name is invalid, this kernel has no such parameter there, or refuses the
 * value; NotPermitted
 * @throws {SyscallError}
 */
export function writeSysctl(
  namespace: NetworkNamespace,
  name: string,
  value: string | number,
): void {
  const path = sysctlPath(name);
  try {
    namespace.run(() => writeFile(path, String(value)));
  } catch (error) {
    throw failure(error, `set ${name}`, name, value);
  }
}

function failure(
  error: unknown,
  operation: string,
  name: string,
  value?: string | number,
): unknown {
  if (isSyscallError(error, Errno.ENOENT, Errno.ENOTDIR, Errno.EISDIR)) {
    return invalid(
      name,
      "this kernel has no such parameter in a network namespace",
      name,
      error,
    );
  }
  if (isSyscallError(error, Errno.EINVAL, Errno.ERANGE)) {
    return invalid(name, "the kernel does not accept this value", value, error);
  }
  if (isSyscallError(error, Errno.EPERM, Errno.EACCES)) {
    return new SandboxError("NotPermitted", {
      operation,
      capability: "CAP_NET_ADMIN",
    }, { cause: error });
  }
  return error;
}

function invalid(
  path: string,
  message: string,
  received: unknown,
  cause?: unknown,
): SandboxError<"InvalidSpec"> {
  return new SandboxError("InvalidSpec", {
    problems: [{ path, message, received }],
  }, { cause });
}
