/**
 * What the program runs on.
 *
 * @module
 */
import { currentPlatform } from "../../../ffi/platform.ts";
import { libcVersion } from "../../../ffi/process.ts";
import { readIfPresent, type Witness } from "./witness.ts";

/** Program, machine and kernel. */
export interface PlatformFacts {
  /** Version of Deno. */
  readonly deno: string;
  /** Such as `x86_64`. */
  readonly architecture: string;
  /** Such as `glibc 2.36`. */
  readonly libc?: string;
  /** Release of the kernel, as `uname -r` prints it. */
  readonly kernel?: string;
}

/** Looks. */
export function platformFacts(witness: Witness): PlatformFacts {
  const libc = witness.see("C library", libcVersion);
  const kernel = witness.see(
    "kernel release",
    () => readIfPresent("/proc/sys/kernel/osrelease"),
  );
  return {
    deno: Deno.version.deno,
    architecture: currentPlatform().arch,
    ...(libc === undefined ? {} : { libc }),
    ...(kernel === undefined ? {} : { kernel }),
  };
}
