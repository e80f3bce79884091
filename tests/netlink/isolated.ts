/** Network namespaces for tests, made and left by hand. */
import { O_RDONLY, open } from "../../ffi/file.ts";
import type { OwnedFd } from "../../ffi/fd.ts";
import { setNetworkNamespace, unshareNetwork } from "../../ffi/namespace.ts";

const OWN = "/proc/thread-self/ns/net";

/** Calls `fn` in a new network namespace, whose descriptor it is given, and returns to the old one. */
export function inNewNamespace<T>(fn: (namespace: OwnedFd) => T): T {
  using home = open(OWN, O_RDONLY);
  unshareNetwork();
  try {
    using namespace = open(OWN, O_RDONLY);
    return fn(namespace);
  } finally {
    setNetworkNamespace(home);
  }
}

/** Runs a command in the network namespace of the thread and returns what it prints. */
export function output(command: string, ...args: readonly string[]): string {
  const { success, stdout, stderr } = new Deno.Command(command, {
    args: [...args],
    stdin: "null",
  }).outputSync();
  const decoder = new TextDecoder();
  if (!success) {
    throw new Deno.errors.InvalidData(
      `${command} ${args.join(" ")}: ${decoder.decode(stderr)}`,
    );
  }
  return decoder.decode(stdout);
}
