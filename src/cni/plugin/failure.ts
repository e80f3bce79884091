/**
 * What an error of the library is to a runtime: a code, one line that says what to do, and details.
 *
 * @module
 */
import { SyscallError } from "../../../ffi/errno.ts";
import { UnsupportedPlatformError } from "../../../ffi/platform.ts";
import {
  type AnySandboxError,
  isSandboxError,
  type Problem,
  type SandboxErrorCode,
} from "../../errors.ts";
import { NetlinkError } from "../../netlink/netlink_error.ts";
import { printable } from "../../text.ts";
import { CniError, CniErrorCode } from "../model/error.ts";

/** podnet's own codes; the specification leaves those from 100 on to plugins. */
export const PluginErrorCode = {
  /** A host port has an owner, which the message names. */
  HOST_PORT_IN_USE: 100,
  /** The requested address has an owner. */
  ADDRESS_IN_USE: 101,
  /** A capability is missing. */
  NOT_PERMITTED: 102,
  /** The kernel or the platform lacks something. */
  UNSUPPORTED: 103,
  /** CHECK: something is not as ADD made it; the details list what. */
  DIFFERS: 104,
} as const;

const codes: Readonly<Record<SandboxErrorCode, number>> = {
  InvalidSpec: CniErrorCode.INVALID_NETWORK_CONFIG,
  SandboxNotFound: CniErrorCode.UNKNOWN_CONTAINER,
  SandboxConflict: CniErrorCode.INVALID_NETWORK_CONFIG,
  SandboxInUse: CniErrorCode.TRY_AGAIN_LATER,
  AddressInUse: PluginErrorCode.ADDRESS_IN_USE,
  AddressPoolExhausted: CniErrorCode.TRY_AGAIN_LATER,
  HostPortInUse: PluginErrorCode.HOST_PORT_IN_USE,
  ContainerPortInUse: CniErrorCode.INVALID_NETWORK_CONFIG,
  ContainerConflict: CniErrorCode.INVALID_NETWORK_CONFIG,
  HostAddressUnknown: CniErrorCode.INVALID_NETWORK_CONFIG,
  DeviceLost: CniErrorCode.TRY_AGAIN_LATER,
  InvalidNamespace: CniErrorCode.INVALID_NETNS,
  NodeConflict: CniErrorCode.INVALID_NETWORK_CONFIG,
  NetworkNotFound: 7,
  NodeNotFound: CniErrorCode.INVALID_NETWORK_CONFIG,
  NotPermitted: PluginErrorCode.NOT_PERMITTED,
  UnsupportedKernel: PluginErrorCode.UNSUPPORTED,
  StateUnusable: CniErrorCode.IO_FAILURE,
  RecordInvalid: CniErrorCode.IO_FAILURE,
  Timeout: CniErrorCode.TRY_AGAIN_LATER,
  LimitReached: CniErrorCode.TRY_AGAIN_LATER,
  AsyncInNamespace: CniErrorCode.INTERNAL,
  NodeClosed: CniErrorCode.INTERNAL,
  LeaseEnded: CniErrorCode.TRY_AGAIN_LATER,
  NotInCluster: CniErrorCode.INTERNAL,
  ClusterConflict: CniErrorCode.INTERNAL,
  NodeNameInUse: CniErrorCode.INTERNAL,
  PodCidrsExhausted: CniErrorCode.INTERNAL,
  PodCidrInUse: CniErrorCode.INTERNAL,
  MembershipInUse: CniErrorCode.INTERNAL,
  StoreUnreachable: CniErrorCode.INTERNAL,
  StoreRefused: CniErrorCode.INTERNAL,
};

/** Any error as the one that the runtime is told. */
export function failureOf(error: unknown): CniError {
  if (error instanceof CniError) return error;
  const message = printable(
    error instanceof Error ? error.message : String(error),
  );
  return new CniError(codeOf(error), message, {
    details: detailsOf(error),
    cause: error,
  });
}

/** The error for a configuration that is wrong in these places. */
export function invalidConfig(problems: readonly Problem[]): CniError {
  const lines = problems.map(({ path, message }) =>
    path === "" ? message : `${path}: ${message}`
  );
  return new CniError(
    CniErrorCode.INVALID_NETWORK_CONFIG,
    printable(
      lines.length === 1
        ? `the network configuration is wrong: ${lines[0]}`
        : `the network configuration is wrong in ${lines.length} places`,
    ),
    { details: lines.map(printable).join("\n") },
  );
}

function codeOf(error: unknown): number {
  if (isSandboxError(error)) return codes[error.code];
  if (error instanceof UnsupportedPlatformError) {
    return PluginErrorCode.UNSUPPORTED;
  }
  const isRefused =
    (error instanceof SyscallError || error instanceof NetlinkError) &&
    (error.code === "EPERM" || error.code === "EACCES");
  return isRefused ? PluginErrorCode.NOT_PERMITTED : CniErrorCode.INTERNAL;
}

/** What programs decide by, for those who read logs; and what undoing left behind. */
function detailsOf(error: unknown): string {
  if (!isSandboxError(error)) return causesOf(error);
  return [
    `podnet ${error.code} ${contextOf(error)}`,
    ...error.undoFailures.map((failure) => `could not be undone: ${failure}`),
    causesOf(error),
  ].filter((line) => line !== "").map(printable).join("\n");
}

function contextOf({ context }: AnySandboxError): string {
  return JSON.stringify(
    context,
    (_, value) => typeof value === "bigint" ? String(value) : value,
  );
}

function causesOf(error: unknown): string {
  const cause = error instanceof Error ? error.cause : undefined;
  return cause instanceof Error ? `caused by: ${printable(cause.message)}` : "";
}
