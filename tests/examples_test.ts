/** The examples, run as their readers run them. `examples/unit_test.ts` is a test itself. */
import { assertEquals, assertMatch, assertStringIncludes } from "@std/assert";
import { makeRootfs } from "../scripts/rootfs.ts";

const root = new URL("..", import.meta.url).pathname;
const decoder = new TextDecoder();

/** Runs a script in a network and with a /run of its own. */
async function isolated(
  script: string,
): Promise<{ code: number; stdout: string; stderr: string }> {
  const own = "mount -t tmpfs tmpfs /run && ip link set lo up";
  const { code, stdout, stderr } = await new Deno.Command("unshare", {
    args: ["--net", "--mount", "sh", "-c", `${own}\n${script}`],
    cwd: root,
    env: { DENO: Deno.execPath() },
    stdin: "null",
  }).output();
  return {
    code,
    stdout: decoder.decode(stdout).trim(),
    stderr: decoder.decode(stderr).trim(),
  };
}

const SETUP =
  '"$DENO" run --cached-only --allow-ffi --no-prompt examples/setup.ts';

Deno.test("examples/setup.ts sets up a sandbox that can be entered", async () => {
  const { code, stdout, stderr } = await isolated(`set -e
    ${SETUP} up web 8080:80 >/run/up
    cat /run/up
    $(sed -n "s/^enter it with: //p" /run/up) ip -o -4 address show eth0`);
  assertEquals([code, stderr], [0, ""]);
  assertMatch(
    stdout,
    /^web has (\S+) and fd00:\S+\nenter it with: .+\n\d+: eth0 +inet \1\/32 /,
  );
});

Deno.test("examples/setup.ts says why it cannot", async () => {
  const { code, stderr } = await isolated(
    `${SETUP} up web 8080:80 && ${SETUP} up other 8080:80`,
  );
  assertEquals(code, 1);
  assertMatch(
    stderr,
    /^tcp host port .*8080 is taken by sandbox default\/web /,
  );
});

Deno.test("examples/setup.ts takes everything away", async () => {
  const list =
    "nft list tables; ip -o address; ip route show table all; ls /run/podnet";
  const { code, stdout } = await isolated(`set -e
    mkdir /run/podnet
    before=$(${list})
    ${SETUP} up web 8080:80 >&2
    ${SETUP} down web
    ${SETUP} down web
    test "$before" = "$(${list})"`);
  assertEquals([code, stdout], [0, "web is gone\nthere is no web"]);
});

Deno.test("examples/tiny_runtime.ts runs containers that share localhost", async () => {
  const rootfs = await Deno.makeTempDir({ prefix: "rootfs-" });
  try {
    await makeRootfs(rootfs, ["bash", "cat", "sh", "socat"]);
    const { code, stdout, stderr } = await isolated(
      `exec "$DENO" run --cached-only -A examples/tiny_runtime.ts ${rootfs} \\
        socat TCP6-LISTEN:80,fork SYSTEM:'echo hello from the other container' -- \\
        bash -c 'until exec 3<>/dev/tcp/127.0.0.1/80; do :; done 2>/dev/null; cat <&3; exit 7'`,
    );
    assertEquals([code, stderr], [7, ""]);
    assertMatch(stdout, /^the pod has 10\.88\.0\.\d+ and fd00:10:88:\S+\n/);
    assertStringIncludes(stdout, "c2: hello from the other container");
  } finally {
    await Deno.remove(rootfs, { recursive: true });
  }
});
