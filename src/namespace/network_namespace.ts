/**
 * Network namespaces.
 * @module
 */
import { Errno, isSyscallError } from "../../ffi/errno.ts";
import type { OwnedFd } from "../../ffi/fd.ts";
import { fstat, O_NONBLOCK, O_RDONLY, open, stat } from "../../ffi/file.ts";
import {
  isNetworkNamespace,
  namespaceId,
  namespaceOfSocket,
  setNetworkNamespace,
  THREAD_NETWORK_NAMESPACE_PATH,
  threadNetworkNamespace,
  unshareNetwork,
} from "../../ffi/namespace.ts";
import { SandboxError } from "../errors.ts";
import { leaveHome } from "./home.ts";
import { pin, unpin } from "./pin.ts";
import { refuseAsyncFunction, refuseAsyncResult, type Sync } from "./sync.ts";

/**
 * A network namespace that this process holds open.
 *
 * It exists for as long as something holds it: this object, a process or thread inside, a pin, or a socket made inside.
 *
 * @example
 * ```ts ignore
 * using pod = NetworkNamespace.create();
 * const host = pod.run(() => readTextFile("/proc/thread-self/net/dev"));
 * ```
 */
export class NetworkNamespace implements Disposable {
  /** Names it, uniquely among those that exist: `"net:[4026531840]"`, as `readlink /proc/self/ns/net` shows it. */
  readonly id: string;
  readonly #fd: OwnedFd;

  private constructor(fd: OwnedFd) {
    this.#fd = fd;
    this.id = namespaceId(fd);
  }

  /**
   * The namespace that the calling thread is in.
   *
   * @throws {SyscallError}
   */
  static current(): NetworkNamespace {
    return NetworkNamespace.#hold(
      open(THREAD_NETWORK_NAMESPACE_PATH, O_RDONLY),
    );
  }

  /**
   * Creates a namespace, which has a loopback link that is down and nothing else.
   *
   * Costs about 0.25 ms.
   *
   * @param inside runs inside the new namespace; what it throws is thrown on, and the namespace is gone again
   * @throws {SandboxError} NotPermitted without CAP_SYS_ADMIN; AsyncInNamespace if `inside` is asynchronous
   * @throws {TypeError} inside another namespace
   * @throws {SyscallError} such as ENOSPC when user.max_net_namespaces is reached
   */
  static create<T>(inside?: () => Sync<T>): NetworkNamespace {
    const operation = "what runs inside a new network namespace";
    refuseAsyncFunction(operation, inside);
    using _home = leaveHome();
    permitted("create a network namespace", "CAP_SYS_ADMIN", unshareNetwork);
    const namespace = NetworkNamespace.current();
    try {
      refuseAsyncResult(operation, inside?.());
    } catch (error) {
      namespace[Symbol.dispose]();
      throw error;
    }
    return namespace;
  }

  /**
   * Creates a namespace with a socket inside, which leads to it: 6 µs less than its path in `/proc` takes, and that of the
   * namespace the thread is in as much again.
   *
   * @param open makes the socket; what it throws is thrown on, and the namespace is gone again
   * @param home perhaps the one that the thread is in
   * @throws {SandboxError} NotPermitted without CAP_SYS_ADMIN and CAP_NET_ADMIN
   * @throws {TypeError} inside another namespace
   * @throws {SyscallError} such as ENOSPC when user.max_net_namespaces is reached
   */
  static createWith<S extends Disposable & { readonly fd: OwnedFd }>(
    open: () => S,
    home: NetworkNamespace,
  ): { readonly namespace: NetworkNamespace; readonly socket: S } {
    const at = threadNetworkNamespace();
    const way = leaveHome(
      at,
      home.id === at && !home.#fd.closed ? home.#fd : undefined,
    );
    // `using` costs 1 µs here, for each pod.
    try {
      permitted("create a network namespace", "CAP_SYS_ADMIN", unshareNetwork);
      const socket = open();
      try {
        return { namespace: NetworkNamespace.#ofSocket(socket.fd), socket };
      } catch (error) {
        socket[Symbol.dispose]();
        throw error;
      }
    } finally {
      way[Symbol.dispose]();
    }
  }

  static #ofSocket(socket: OwnedFd): NetworkNamespace {
    try {
      return NetworkNamespace.#hold(namespaceOfSocket(socket));
    } catch (error) {
      throw notPermitted(error, "open a network namespace", "CAP_NET_ADMIN");
    }
  }

  /**
   * Opens the namespace that a file is: a pin such as `/run/netns/blue`, or `/proc/1234/ns/net`.
   *
   * @throws {SandboxError} InvalidNamespace if there is none; NotPermitted
   * @throws {SyscallError}
   */
  static open(path: string): NetworkNamespace {
    try {
      // Asked first, since opening a device or sending it a request can do anything.
      const { kind } = stat(path);
      if (kind !== "file") {
        throw new SandboxError("InvalidNamespace", {
          path,
          reason: kind === "unknown" ? "it is no file" : `it is a ${kind}`,
        });
      }
      return NetworkNamespace.#adopt(open(path, O_RDONLY | O_NONBLOCK), path);
    } catch (error) {
      throw openFailure(error, path);
    }
  }

  /**
   * Opens the namespace of a process.
   *
   * @throws {RangeError} if `pid` is no process number
   * @throws {SandboxError} InvalidNamespace if there is no such process; NotPermitted without CAP_SYS_PTRACE
   * @throws {SyscallError}
   */
  static fromPid(pid: number): NetworkNamespace {
    if (!Number.isSafeInteger(pid) || pid < 1) {
      throw new RangeError(`${pid} is no process number: give one from 1 on`);
    }
    return NetworkNamespace.open(`/proc/${pid}/ns/net`);
  }

  /**
   * Opens the namespace that `ip netns` knows by a name: the file of that name in `/run/netns` (ip-netns(8)).
   *
   * @throws {RangeError} if `name` cannot be a file name
   * @throws {SandboxError} InvalidNamespace if there is none; NotPermitted
   * @throws {SyscallError}
   */
  static fromName(name: string): NetworkNamespace {
    if (!/^[^/\0]+$/.test(name) || name === "." || name === "..") {
      throw new RangeError(
        `${
          JSON.stringify(name)
        } is no name of a namespace: give one that "ip netns" lists`,
      );
    }
    return NetworkNamespace.open(`/run/netns/${name}`);
  }

  /**
   * Takes ownership of an open file that is a network namespace.
   *
   * @throws {SandboxError} InvalidNamespace if it is none; the file is closed then
   * @throws {SyscallError}
   */
  static adopt(fd: OwnedFd): NetworkNamespace {
    return NetworkNamespace.#adopt(fd, `/proc/self/fd/${fd.fd}`);
  }

  /**
   * Ends what {@linkcode NetworkNamespace.pin} began; does nothing when it has ended already.
   *
   * @param id of the namespace, if it is known: that makes it cheaper
   * @throws {SandboxError} InvalidNamespace if something else than a pin is at `path`; NotPermitted
   * @throws {SyscallError}
   */
  static unpin(path: string, id?: string): void {
    permitted(`unpin ${path}`, "CAP_SYS_ADMIN", () => unpin(path, id));
  }

  static #adopt(fd: OwnedFd, path: string): NetworkNamespace {
    return NetworkNamespace.#hold(fd, () => {
      if (fstat(fd).kind === "file" && isNetworkNamespace(fd)) return;
      throw new SandboxError("InvalidNamespace", {
        path,
        reason: "it is a file of another kind",
      });
    });
  }

  /** Owns the descriptor from now on: it is closed when it cannot be had. */
  static #hold(fd: OwnedFd, refuse?: () => void): NetworkNamespace {
    try {
      refuse?.();
      return new NetworkNamespace(fd);
    } catch (error) {
      fd[Symbol.dispose]();
      throw error;
    }
  }

  /**
   * The descriptor that holds it open, still owned by this object.
   *
   * @throws {TypeError} when disposed
   */
  get fd(): number {
    return this.#fd.fd;
  }

  /**
   * Runs a function inside the namespace, and returns what it returns. Costs about 6 µs.
   *
   * The thread is moved in and back again, and nothing else of the program can run meanwhile. So the function must not
   * be asynchronous: what it started would go on outside, or leave a thread of the runtime's pool inside. Sockets made
   * inside stay there for good; nothing that waits, looks up a name or uses the runtime's asynchronous files belongs here.
   *
   * @throws {SandboxError} AsyncInNamespace if the function is asynchronous or returns a promise or a generator;
   * NotPermitted without CAP_SYS_ADMIN
   * @throws {TypeError} inside another namespace, or when disposed
   */
  run<T>(fn: () => Sync<T>): T {
    const operation = "what runs inside a network namespace";
    refuseAsyncFunction(operation, fn);
    const at = threadNetworkNamespace();
    // Going nowhere: also the way to work in the thread's own namespace without a capability.
    if (at === this.id) return refuseAsyncResult<T>(operation, fn());
    using _home = leaveHome(at);
    this.#enter();
    return refuseAsyncResult<T>(operation, fn());
  }

  #enter(): void {
    try {
      setNetworkNamespace(this.#fd);
    } catch (error) {
      throw notPermitted(error, `enter ${this.id}`, "CAP_SYS_ADMIN");
    }
  }

  /**
   * Makes the namespace outlive this process, as a file that `ip netns`, `nsenter` and container runtimes accept.
   *
   * The file is created, and the namespace mounted on it: see `shareMounts` for the directory it is in.
   *
   * @throws {SyscallError} EEXIST if there is a file already
   * @throws {SandboxError} NotPermitted without CAP_SYS_ADMIN
   */
  pin(path: string): void {
    permitted(`pin ${this.id}`, "CAP_SYS_ADMIN", () => pin(this.fd, path));
  }

  /** Lets go of the namespace; does nothing when done already. */
  [Symbol.dispose](): void {
    this.#fd[Symbol.dispose]();
  }
}

function permitted(
  operation: string,
  capability: string,
  call: () => void,
): void {
  try {
    call();
  } catch (error) {
    throw notPermitted(error, operation, capability);
  }
}

/** `error`, or what it means if the kernel refused for want of a capability. */
function notPermitted(
  error: unknown,
  operation: string,
  capability: string,
): unknown {
  return isSyscallError(error, Errno.EPERM)
    ? new SandboxError("NotPermitted", { operation, capability }, {
      cause: error,
    })
    : error;
}

function openFailure(error: unknown, path: string): unknown {
  if (isSyscallError(error, Errno.EACCES, Errno.EPERM)) {
    return new SandboxError("NotPermitted", {
      operation: `open ${path}`,
      capability: path.startsWith("/proc/")
        ? "CAP_SYS_PTRACE"
        : "CAP_DAC_READ_SEARCH",
    }, { cause: error });
  }
  if (
    isSyscallError(
      error,
      Errno.ENOENT,
      Errno.ESRCH,
      Errno.ENOTDIR,
      Errno.ELOOP,
      Errno.ENAMETOOLONG,
    )
  ) {
    return new SandboxError("InvalidNamespace", {
      path,
      reason: error.errno === Errno.ENOENT || error.errno === Errno.ESRCH
        ? "it does not exist"
        : `it cannot be reached (${error.code})`,
    }, { cause: error });
  }
  return error;
}
