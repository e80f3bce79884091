/**
 * The platforms whose C interface the declarations in this folder describe.
 * @module
 */

/** What {@linkcode assertSupportedPlatform} looks at. */
export interface Platform {
  /** Operating system, as in `Deno.build.os`. */
  readonly os: string;
  /** Processor architecture, as in `Deno.build.arch`. */
  readonly arch: string;
  /** Whether the least significant byte of a number comes first in memory. */
  readonly littleEndian: boolean;
}

/** This process cannot use podnet: not Linux, not x86-64 or arm64, or no glibc. */
export class UnsupportedPlatformError extends Error {
  /** `"UnsupportedPlatformError"`. */
  override readonly name = "UnsupportedPlatformError";
}

/** The platform of this process. */
export function currentPlatform(): Platform {
  return {
    os: Deno.build.os,
    arch: Deno.build.arch,
    littleEndian: new Uint8Array(Uint32Array.of(1).buffer)[0] === 1,
  };
}

/**
 * Refuses a platform for which the struct layouts and constants of `ffi/` are not known to hold.
 *
 * Runs before the C library is opened. That it is glibc shows when opening it: see `libc.ts`.
 *
 * @throws {UnsupportedPlatformError}
 */
export function assertSupportedPlatform(
  platform: Platform = currentPlatform(),
): void {
  if (platform.os !== "linux") {
    throw new UnsupportedPlatformError(
      `podnet drives the Linux kernel and cannot run on ${platform.os}`,
    );
  }
  if (platform.arch !== "x86_64" && platform.arch !== "aarch64") {
    throw new UnsupportedPlatformError(
      `podnet supports x86_64 and aarch64, not ${platform.arch}`,
    );
  }
  if (!platform.littleEndian) {
    throw new UnsupportedPlatformError(
      `podnet supports little-endian machines only`,
    );
  }
}
