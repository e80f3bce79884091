/**
 * The container's network namespace, looked at before anything is done in it.
 *
 * @module
 */
import { Errno, isSyscallError } from "../../../ffi/errno.ts";
import { readTextFile } from "../../../ffi/file.ts";
import { NetworkNamespace } from "../../namespace/network_namespace.ts";
import { CniError, CniErrorCode } from "../model/error.ts";
import { invalidEnvironment, type Invocation } from "./invocation.ts";

/** The namespace that `CNI_NETNS` leads to, as far as ADD and CHECK need to know it. */
export interface ContainerNamespace {
  /** As `NetworkNamespace.id`. */
  readonly id: string;
  /** The names of its links. */
  readonly links: readonly string[];
  /** Whether some link of it has a default route already. */
  readonly hasDefaultRoute: boolean;
}

/**
 * Looks into the container's namespace.
 *
 * @throws {CniError} 8 when it is none, or the plugin's own
 */
export function lookInto(invocation: Invocation): ContainerNamespace {
  using namespace = openNamespace(invocation.netns);
  refuseOwn(invocation, namespace);
  return {
    id: namespace.id,
    links: linkNames(namespace),
    hasDefaultRoute: linesOf(namespace, "route", "ipv6_route").some((line) =>
      DEFAULT_ROUTE.test(line)
    ),
  };
}

/** The names of a namespace's links. */
export function linkNames(namespace: NetworkNamespace): string[] {
  return linesOf(namespace, "dev").flatMap((line) =>
    /^\s*(\S+):/.exec(line)?.[1] ?? []
  );
}

/**
 * A line of route, `eth0 00000000 0100A8C0 0003 0 0 0 00000000 …` with network and mask, or of ipv6_route, with network
 * and prefix length; the kernel's own `unreachable` one is on lo.
 */
const DEFAULT_ROUTE =
  /^\S+\t0{8}\t\S+(?:\t\S+){4}\t0{8}\t|^0{32} 00 .*\s(?!lo$)\S+$/;

/** Of files of `/proc/net`; those of IPv6 may be missing. */
function linesOf(
  namespace: NetworkNamespace,
  ...files: readonly string[]
): string[] {
  const texts = namespace.run(() =>
    files.map((file) => {
      try {
        return readTextFile(`/proc/thread-self/net/${file}`);
      } catch (error) {
        if (isSyscallError(error, Errno.ENOENT)) return "";
        throw error;
      }
    })
  );
  return texts.flatMap((text) => text.trimEnd().split("\n"));
}

/**
 * For commands that work without a namespace: one that is missing, or gone, is nobody's.
 *
 * @throws {CniError} 8 when it is the plugin's own
 */
export function refuseOwnNamespace(invocation: Invocation): void {
  if (invocation.netns === "") return;
  let namespace: NetworkNamespace;
  try {
    namespace = NetworkNamespace.open(invocation.netns);
  } catch {
    return;
  }
  using opened = namespace;
  refuseOwn(invocation, opened);
}

/**
 * The plugin makes the container's interface, and leaves others' alone.
 *
 * @throws {CniError} 4
 */
export function refuseExisting(
  { ifname, netns }: Invocation,
  { links }: ContainerNamespace,
): void {
  if (!links.includes(ifname)) return;
  throw invalidEnvironment([
    `CNI_IFNAME is ${
      JSON.stringify(ifname)
    }, which ${netns} has already: delete it first, or use another name`,
  ]);
}

function openNamespace(path: string): NetworkNamespace {
  try {
    return NetworkNamespace.open(path);
  } catch (error) {
    throw new CniError(
      CniErrorCode.INVALID_NETNS,
      `CNI_NETNS leads to no network namespace: ${
        error instanceof Error ? error.message : error
      }`,
      { cause: error },
    );
  }
}

function refuseOwn(
  { netns, mayBeOwnNamespace }: Invocation,
  namespace: NetworkNamespace,
): void {
  if (mayBeOwnNamespace) return;
  using own = NetworkNamespace.current();
  if (own.id !== namespace.id) return;
  throw new CniError(
    CniErrorCode.INVALID_NETNS,
    `CNI_NETNS ${netns} is the network namespace that the plugin runs in: give the container one of its own`,
  );
}
