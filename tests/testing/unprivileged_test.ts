/**
 * A lab of a user without any privilege.
 *
 * @module
 */
import { assert, assertEquals } from "@std/assert";
import { resultOf } from "../node/bare.ts";

/** User and group that own nothing. */
const NOBODY = "65534";

/**
 * Becomes another user. Deno, its cache and the checkout may lie in a home directory that is closed to others, so they
 * are mounted elsewhere, for this process and its children alone. Arguments: deno, its cache, the checkout.
 */
const BECOME_NOBODY = `set -e
mount -t tmpfs -o mode=0755 tmpfs /mnt
touch /mnt/deno
mkdir /mnt/cache /mnt/checkout
mount --bind "$0" /mnt/deno
mount --bind "$1" /mnt/cache
mount --bind "$2" /mnt/checkout
cd /mnt/checkout
export DENO_DIR=/mnt/cache HOME=/nonexistent NO_COLOR=1
exec setpriv --reuid=${NOBODY} --regid=${NOBODY} --clear-groups \\
  --inh-caps=-all --bounding-set=-all --no-new-privs \\
  unshare -Urnm /mnt/deno run --quiet --cached-only --frozen --no-check \\
  --no-prompt -A tests/testing/fixtures/lab.ts`;

/** Where Deno keeps its modules. */
async function cacheDirectory(): Promise<string> {
  const { success, stdout } = await new Deno.Command(Deno.execPath(), {
    args: ["info", "--json"],
    stdin: "null",
  }).output();
  assert(success);
  return JSON.parse(new TextDecoder().decode(stdout)).denoDir;
}

Deno.test({
  name:
    "createLab() works for an unprivileged user through unshare -Urnm (needs user ids besides one's own)",
  // Where the tests themselves run as an ordinary user, in a user namespace of one id, every one of them is this test.
  ignore: /^\s*\d+\s+\d+\s+1$/m.test(
    Deno.readTextFileSync("/proc/self/uid_map"),
  ),
  async fn() {
    const checkout = new URL("../..", import.meta.url).pathname;
    const child = new Deno.Command("unshare", {
      args: [
        "-m",
        "sh",
        "-c",
        BECOME_NOBODY,
        Deno.execPath(),
        await cacheDirectory(),
        checkout,
      ],
      stdin: "null",
      stdout: "piped",
      stderr: "piped",
    }).spawn();
    assertEquals(await resultOf(child), {
      // Who is root there is nobody here.
      user: "0",
      outside: NOBODY,
      answers: ["hello", "hello"],
      findings: [],
      network: ["net1", true, "StateUnusable"],
    });
  },
});
