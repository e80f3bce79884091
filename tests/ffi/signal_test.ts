import { assert, assertEquals, assertThrows } from "@std/assert";
import { Errno, SyscallError } from "../../ffi/errno.ts";
import { ignore, isIgnored } from "../../ffi/signal.ts";

Deno.test("ignore() has this process and its children ignore a signal, and isIgnored() says so", async () => {
  // Nobody else uses it.
  const realTime = 40;
  assertEquals(isIgnored(realTime), false);
  ignore(realTime);
  assertEquals(isIgnored(realTime), true);
  assertEquals(isIgnored(realTime + 1), false);
  const { stdout } = await new Deno.Command("grep", {
    args: ["SigIgn:", "/proc/self/status"],
  }).output();
  const [, ignored] = new TextDecoder().decode(stdout).split(/\s+/);
  assertEquals(BigInt(`0x${ignored}`) >> BigInt(realTime - 1) & 3n, 1n);
});

Deno.test("no process can ignore SIGKILL, nor a signal that there is not", () => {
  for (const call of [() => ignore(9), () => isIgnored(0)]) {
    const error = assertThrows(call, SyscallError);
    assert(error.errno === Errno.EINVAL, `${error}`);
  }
});
