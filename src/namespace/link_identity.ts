/**
 * Which link it is, whatever is called what.
 *
 * @module
 */
import { statAt } from "../../ffi/file_at.ts";
import { mountNowhere } from "../../ffi/mount.ts";
import type { NetworkNamespace } from "./network_namespace.ts";

/**
 * What tells a link from all others for as long as the machine runs: the number of its directory in sysfs. It stays when the
 * link is renamed, renumbered, given another MAC, or moved to another namespace, and nobody can choose it; all that netlink
 * tells of a link, whoever has its namespace can give to another.
 *
 * @returns undefined when the namespace has no link of this name
 * @throws {SyscallError} EPERM without CAP_SYS_ADMIN, or in a user namespace that does not see all of /sys
 */
export function linkIdentity(
  namespace: NetworkNamespace,
  name: string,
): string | undefined {
  // Each mount shows the links of the namespace that it is made in.
  using sysfs = namespace.run(() => mountNowhere("sysfs"));
  const directory = statAt(sysfs, `class/net/${name}`);
  return directory && String(directory.ino);
}
