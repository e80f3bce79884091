/**
 * What the kernel can do, found out by doing it in a network namespace that is gone afterwards. Versions and
 * configuration files do not tell: modules may be missing, and a filter of system calls may forbid what is there.
 *
 * Trying something makes the kernel load the module that has it.
 *
 * @module
 */
import { Errno, isSyscallError, SyscallError } from "../../../ffi/errno.ts";
import { AF_INET, AF_INET6, SOCK_STREAM, socket } from "../../../ffi/socket.ts";
import { SandboxError } from "../../errors.ts";
import { NetworkNamespace } from "../../namespace/network_namespace.ts";
import { Connection } from "../../netlink/connection.ts";
import { NETLINK_ROUTE, NETLINK_SOCK_DIAG } from "../../netlink/message.ts";
import {
  IncompleteReplyError,
  isNetlinkError,
  NetlinkError,
} from "../../netlink/netlink_error.ts";
import { NftablesConnection } from "../../nftables/connection.ts";
import { listListeners } from "../../sockdiag/listeners.ts";
import { type Attempt, type TrialGround, Untried } from "./attempt.ts";
import type { Trial } from "./trial.ts";
import { linkAttempts } from "./trial_links.ts";
import { netfilterAttempts } from "./trial_netfilter.ts";

const SCTP = 132;

const attempts: readonly Attempt[] = [
  ...linkAttempts,
  ...netfilterAttempts,
  {
    feature: "IPv6",
    needed: false,
    without: "pods have IPv4 only",
    run: () => openSocket(AF_INET6, 0),
  },
  ...(["tcp", "udp"] as const).map((protocol): Attempt => ({
    feature: `${protocol} socket list`,
    needed: true,
    without: "host ports that a process of the node has cannot be seen",
    run({ diag }) {
      if (diag === undefined) throw new Untried();
      listListeners(diag, { protocol, family: 4 });
    },
  })),
  {
    feature: "SCTP sockets",
    needed: false,
    without: "pods cannot use SCTP themselves; SCTP host ports work",
    run: ({ namespace }) => namespace.run(() => openSocket(AF_INET, SCTP)),
  },
];

/** Tries everything. Costs about 30 ms, most of it the kernel's waiting for a grace period. */
export function tryKernel(): Trial[] {
  using opened = new DisposableStack();
  const inNamespace: Attempt = {
    feature: "network namespaces",
    needed: true,
    without: "there are no pods",
    run() {},
  };
  let namespace: NetworkNamespace;
  try {
    namespace = opened.use(NetworkNamespace.create());
  } catch (error) {
    return [
      { ...description(inNamespace), ...failure(error) },
      ...attempts.map((attempt): Trial => ({
        ...description(attempt),
        outcome: "untried",
      })),
    ];
  }
  const open = <T extends Disposable>(make: () => T): T | undefined => {
    try {
      return opened.use(namespace.run(make as () => never));
    } catch {
      return undefined; // the trials that need it tell
    }
  };
  const route = open(() => Connection.open(NETLINK_ROUTE));
  if (route === undefined) return [];
  const ground: TrialGround = {
    namespace,
    route,
    nft: open(() => NftablesConnection.open()),
    diag: open(() => Connection.open(NETLINK_SOCK_DIAG)),
  };
  return [inNamespace, ...attempts].map((attempt) => run(attempt, ground));
}

function run(attempt: Attempt, ground: TrialGround): Trial {
  try {
    const works = attempt.run(ground) !== false;
    return {
      ...description(attempt),
      outcome: works ? "works" : "absent",
    };
  } catch (error) {
    return { ...description(attempt), ...failure(error) };
  }
}

function description({ feature, needed, without }: Attempt) {
  return { feature, needed, without };
}

function failure(error: unknown): Pick<Trial, "outcome" | "error"> {
  if (error instanceof Untried) return { outcome: "untried" };
  const isRefused = (e: unknown) =>
    isNetlinkError(e, Errno.EPERM, Errno.EACCES) ||
    isSyscallError(e, Errno.EPERM, Errno.EACCES) ||
    e instanceof SandboxError && e.code === "NotPermitted";
  return {
    outcome: isRefused(error) ? "refused" : "absent",
    error: nameOf(error),
  };
}

/** `EPERM`, or what else the error calls itself. */
function nameOf(error: unknown): string {
  if (error instanceof SandboxError && error.cause !== undefined) {
    return nameOf(error.cause);
  }
  if (
    error instanceof SandboxError || error instanceof NetlinkError ||
    error instanceof SyscallError
  ) return error.code;
  if (error instanceof IncompleteReplyError) return error.reason;
  return error instanceof Error ? error.name : String(error);
}

function openSocket(domain: number, protocol: number): void {
  socket(domain, SOCK_STREAM, protocol)[Symbol.dispose]();
}
