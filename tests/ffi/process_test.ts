import { assert, assertEquals, assertStringIncludes } from "@std/assert";
import { O_RDONLY, open, readDirectory, readTextFile } from "../../ffi/file.ts";
import {
  geteuid,
  growDescriptorTable,
  hostName,
  libcVersion,
  uptimeMs,
} from "../../ffi/process.ts";

Deno.test("geteuid() and hostName() agree with the runtime", () => {
  assertEquals(geteuid(), Deno.uid());
  assertEquals(hostName(), Deno.hostname());
});

Deno.test("uptimeMs() goes on as /proc/uptime does, and finer", () => {
  const told = () => Number.parseFloat(readTextFile("/proc/uptime")) * 1000;
  const [before, now, then, after] = [told(), uptimeMs(), uptimeMs(), told()];
  // It tells whole hundredths.
  assert(before <= now && now < then && then < after + 10, `${now} ${then}`);
});

Deno.test("libcVersion() agrees with getconf", () => {
  const { stdout } = new Deno.Command("getconf", {
    args: ["GNU_LIBC_VERSION"],
  }).outputSync();
  assertEquals(libcVersion(), new TextDecoder().decode(stdout).trim());
});

Deno.test("growDescriptorTable() makes room once, and leaves nothing open", async () => {
  const tableSize = () =>
    Number(readTextFile("/proc/self/status").match(/^FDSize:\s*(\d+)$/m)?.[1]);
  const before = readDirectory("/proc/self/fd").length;
  await growDescriptorTable(2048);
  assert(tableSize() >= 2048, `${tableSize()}`);
  // More than the limit on open files allows.
  await growDescriptorTable(2 ** 30);
  assertEquals(readDirectory("/proc/self/fd").length, before);
});

Deno.test("exitNow() ends the process with a message, running nothing else", async () => {
  const { code, stdout, stderr } = await new Deno.Command(Deno.execPath(), {
    args: [
      "eval",
      "--no-lock",
      `import { exitNow } from ${
        JSON.stringify(new URL("../../ffi/process.ts", import.meta.url))
      };
      addEventListener("unload", () => console.log("unload"));
      try { exitNow(70, "the reason"); } finally { console.log("finally"); }`,
    ],
  }).output();
  assertEquals(code, 70);
  assertEquals(new TextDecoder().decode(stdout), "");
  assertEquals(new TextDecoder().decode(stderr), "the reason\n");
});

Deno.test("everything in ffi/ runs with --allow-ffi alone", async () => {
  const script = new URL("./fixtures/ffi_alone.ts", import.meta.url);
  const { code, stdout, stderr } = await new Deno.Command(Deno.execPath(), {
    args: ["run", "--no-lock", "--no-prompt", "--allow-ffi", script.href],
  }).output();
  assertStringIncludes(new TextDecoder().decode(stdout), "done");
  assertEquals([code, new TextDecoder().decode(stderr)], [0, ""]);
});

Deno.test("libc() opens nothing, and asks for nothing, before it is used", async () => {
  const script = new URL("./fixtures/import_only.ts", import.meta.url);
  const { code, stdout } = await new Deno.Command(Deno.execPath(), {
    args: ["run", "--no-lock", "--no-prompt", script.href],
  }).output();
  assertEquals([code, new TextDecoder().decode(stdout)], [0, "NotCapable\n"]);
});

Deno.test("functions report their errors from the first use on, and are opened when they are used much", async () => {
  const script = new URL("./fixtures/first_uses.ts", import.meta.url);
  const { code, stdout } = await new Deno.Command(Deno.execPath(), {
    args: ["run", "--no-lock", "--no-prompt", "--allow-ffi", script.href],
  }).output();
  const opened = "open close read flock unlink rmdir umount2 socket send";
  assertEquals(
    [code, new TextDecoder().decode(stdout)],
    [0, `${opened}\n`],
  );
});

Deno.test("/proc/self/fd shows the descriptors that the leak tests count", () => {
  const before = readDirectory("/proc/self/fd").length;
  using _fd = open("/dev/null", O_RDONLY);
  assertEquals(readDirectory("/proc/self/fd").length, before + 1);
});
