/**
 * What the tests of namespaces share.
 * @module
 */
import { assertEquals } from "@std/assert";
import { check, Errno, isSyscallError } from "../../ffi/errno.ts";
import { makeTempDirectory, readDirectory, readLink } from "../../ffi/file.ts";
import { libc } from "../../ffi/libc.ts";
import { threadNetworkNamespace } from "../../ffi/namespace.ts";
import { AF_INET, SOCK_DGRAM, socket } from "../../ffi/socket.ts";
import { NetworkNamespace } from "../../src/namespace/network_namespace.ts";

const SIOCSIFFLAGS = 0x8914n;
const SIOCSIFNAME = 0x8923n;
const IFF_UP = 1;
const IFNAMSIZ = 16;
const SIZE_OF_IFREQ = 40;

function ioctlLoopback(
  request: bigint,
  fill: (ifreq: Uint8Array<ArrayBuffer>) => void,
): void {
  const ifreq = new Uint8Array(SIZE_OF_IFREQ);
  ifreq.set(new TextEncoder().encode("lo"));
  fill(ifreq);
  using fd = socket(AF_INET, SOCK_DGRAM, 0);
  const c = libc();
  check("ioctl", c.ioctl(fd.fd, request, ifreq), c.errno[0]);
}

/** Brings `lo` up in the namespace the thread is in. */
export function loopbackUp(): void {
  ioctlLoopback(SIOCSIFFLAGS, (ifreq) => ifreq[IFNAMSIZ] = IFF_UP);
}

/** Renames `lo`, which has to be down, in the namespace the thread is in. */
export function renameLoopback(name: string): void {
  ioctlLoopback(
    SIOCSIFNAME,
    (ifreq) => ifreq.set(new TextEncoder().encode(name), IFNAMSIZ),
  );
}

/** A namespace in which 127.0.0.1 and ::1 work. */
export function createPod(): NetworkNamespace {
  return NetworkNamespace.create(loopbackUp);
}

/** What this process has open, but for what the runtime opens and closes as it likes: `"net:[4026531840]"`. */
export function openFiles(): string[] {
  const files: string[] = [];
  for (const { name } of readDirectory("/proc/self/fd")) {
    try {
      files.push(readLink(`/proc/self/fd/${name}`));
    } catch (error) {
      // The descriptor that read the directory is closed by now.
      if (!isSyscallError(error, Errno.ENOENT)) throw error;
    }
  }
  return files.filter((file) => !file.startsWith("anon_inode:[event")).sort();
}

/** Runs `body`, and asserts that it left the thread where it was, and no file open. */
export async function leavesNothing(
  body: () => void | Promise<void>,
): Promise<void> {
  const namespace = threadNetworkNamespace();
  const files = openFiles();
  await body();
  assertEquals(threadNetworkNamespace(), namespace);
  assertEquals(openFiles(), files, "files left open");
}

/** A directory that is gone at the end of the block, with what is mounted below it. */
export function temporaryDirectory(): Disposable & { readonly path: string } {
  const path = makeTempDirectory("/tmp/podnet-namespace-");
  return {
    path,
    [Symbol.dispose]: () => Deno.removeSync(path, { recursive: true }),
  };
}

/** What a child process did. */
export interface Outcome {
  /** Its exit code. */
  readonly code: number;
  /** What it wrote to standard output. */
  readonly stdout: string;
  /** What it wrote to standard error. */
  readonly stderr: string;
}

/** Runs a script of `fixtures/` in a process of its own, with no permission but `--allow-ffi`. */
export async function runFixture(
  name: string,
  ...args: readonly string[]
): Promise<Outcome> {
  const output = await new Deno.Command(Deno.execPath(), {
    args: [
      "run",
      "--no-lock",
      "--no-prompt",
      "--allow-ffi",
      new URL(`./fixtures/${name}`, import.meta.url).href,
      ...args,
    ],
    env: { NO_COLOR: "1" },
  }).output();
  const decoder = new TextDecoder();
  return {
    code: output.code,
    stdout: decoder.decode(output.stdout),
    stderr: decoder.decode(output.stderr),
  };
}
