import {
  assert,
  assertEquals,
  assertNotEquals,
  assertThrows,
} from "@std/assert";
import { Errno, isSyscallError } from "../../ffi/errno.ts";
import { fstat, O_RDONLY, open, readLink } from "../../ffi/file.ts";
import {
  isNetworkNamespace,
  setNetworkNamespace,
  THREAD_NETWORK_NAMESPACE_PATH,
  threadNetworkNamespace,
  unshareNetwork,
} from "../../ffi/namespace.ts";

Deno.test("unshareNetwork() moves this thread alone, and setNetworkNamespace() brings it back", () => {
  using home = open(THREAD_NETWORK_NAMESPACE_PATH, O_RDONLY);
  const id = threadNetworkNamespace();
  const firstThread = readLink("/proc/self/ns/net");
  assertEquals(id, readLink(THREAD_NETWORK_NAMESPACE_PATH));
  assertEquals(id, `net:[${fstat(home).ino}]`);
  unshareNetwork();
  let inside: string;
  try {
    inside = threadNetworkNamespace();
    assertEquals(readLink("/proc/self/ns/net"), firstThread);
  } finally {
    setNetworkNamespace(home);
  }
  assertNotEquals(inside, id);
  assertEquals(threadNetworkNamespace(), id);
});

Deno.test("isNetworkNamespace() tells network namespaces from others and from files", () => {
  using net = open(THREAD_NETWORK_NAMESPACE_PATH, O_RDONLY);
  using uts = open("/proc/thread-self/ns/uts", O_RDONLY);
  using file = open("/proc/self/status", O_RDONLY);
  assert(isNetworkNamespace(net));
  assert(!isNetworkNamespace(uts));
  assert(!isNetworkNamespace(file));
});

Deno.test("setNetworkNamespace() refuses another kind of namespace", () => {
  using uts = open("/proc/thread-self/ns/uts", O_RDONLY);
  assert(
    isSyscallError(assertThrows(() => setNetworkNamespace(uts)), Errno.EINVAL),
  );
});
