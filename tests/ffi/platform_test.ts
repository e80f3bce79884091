import { assertThrows } from "@std/assert";
import {
  assertSupportedPlatform,
  currentPlatform,
  UnsupportedPlatformError,
} from "../../ffi/platform.ts";

const linux = { os: "linux", arch: "x86_64", littleEndian: true };

Deno.test("assertSupportedPlatform() accepts Linux on x86-64 and arm64, and this machine", () => {
  assertSupportedPlatform(linux);
  assertSupportedPlatform({ ...linux, arch: "aarch64" });
  assertSupportedPlatform(currentPlatform());
});

Deno.test("assertSupportedPlatform() refuses what the struct layouts do not hold for", () => {
  for (
    const [other, named] of [
      [{ os: "darwin" }, "darwin"],
      [{ arch: "riscv64" }, "riscv64"],
      [{ littleEndian: false }, "little-endian"],
    ] as const
  ) {
    assertThrows(
      () => assertSupportedPlatform({ ...linux, ...other }),
      UnsupportedPlatformError,
      named,
    );
  }
});
