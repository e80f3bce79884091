/**
 * Why there is no path to a member.
 *
 * @module
 */
import { printable } from "../text.ts";

/**
 * What is wrong:
 *
 * - `Invalid`: what it says of itself cannot be.
 * - `Conflict`: it claims what somebody else has, or what is not of the cluster.
 * - `OffLink`: backend `host-gw`, and it is on no network of this node.
 * - `NoTunnel`: it must be reached by a tunnel, and one of the two nodes has none, or another kind.
 * - `NoCommonFamily`: the two have no addresses of the same IP version.
 * - `KernelRefused`: the kernel does not take a route to it, as when its address is a broadcast address of this node's network.
 * - `LinkTaken`: the node has a link of the tunnel's name, or a tunnel with its identifier and port, that is not podnet's.
 */
export type PathErrorCode =
  | "Invalid"
  | "Conflict"
  | "OffLink"
  | "NoTunnel"
  | "NoCommonFamily"
  | "KernelRefused"
  | "LinkTaken";

/** There is no path to a member, or not to all of its pods. */
export class PathError extends Error {
  /** `"PathError"`. */
  override readonly name = "PathError";
  /** What is wrong. */
  readonly code: PathErrorCode;
  /** Name of the member; of this node itself with `LinkTaken`. */
  readonly member: string;
  /** What is wrong with it, and what to do. */
  readonly reason: string;

  /** Makes an error; its message follows from code and context. */
  constructor(code: PathErrorCode, member: string, reason: string) {
    super(printable(`no path to node "${member}": ${reason}`));
    this.code = code;
    this.member = member;
    this.reason = printable(reason);
  }
}
