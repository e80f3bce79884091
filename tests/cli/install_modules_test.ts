/** What an installation leaves out of the modules that it bundles. */
import { assert, assertEquals } from "@std/assert";
import { withoutMargins } from "../../src/install/modules.ts";

const root = new URL("../..", import.meta.url).pathname;

async function bundle(...args: readonly string[]): Promise<void> {
  const { success, stderr } = await new Deno.Command(Deno.execPath(), {
    args: ["bundle", "--quiet", `--config=${root}deno.json`, ...args],
  }).output();
  assert(success, new TextDecoder().decode(stderr));
}

Deno.test("comments and margins go, and what is in templates stays", () => {
  const text = [
    "/** `of two",
    " * lines` */",
    "function f() {",
    "  // it's one",
    "  return `",
    "    // ${x}",
    "  ` + '/* no */' /** none */;",
    "  /** about g */ g();",
    "}",
    "",
  ].join("\n");
  const left = [
    "function f() {",
    "return `",
    "    // ${x}",
    "  ` + '/* no */' /** none */;",
    "/** about g */ g();",
    "}",
    "",
  ].join("\n");
  assertEquals(withoutMargins(text), left);
  assertEquals(withoutMargins(left), left);
});

for (const program of ["main", "pods", "cni_plugin"]) {
  Deno.test(`what is left of the modules of ${program} is the same program`, async () => {
    const directory = await Deno.makeTempDir({ prefix: "podnet-modules-" });
    try {
      const path = (name: string) => `${directory}/${name}`;
      await bundle(
        ...["--code-splitting", "--outdir", path("whole")],
        `${root}src/cli/${program}.ts`,
      );
      await Deno.mkdir(path("left"));
      const sizes = { whole: 0, left: 0 };
      for (const { name } of Deno.readDirSync(path("whole"))) {
        const whole = await Deno.readTextFile(path(`whole/${name}`));
        const left = withoutMargins(whole);
        sizes.whole += whole.length;
        sizes.left += left.length;
        await Deno.writeTextFile(path(`left/${name}`), left);
      }
      assert(sizes.left < 0.85 * sizes.whole, JSON.stringify(sizes));
      // Minified, programs are the same that differ in nothing but comments and blanks.
      const [whole, left] = await Promise.all(
        ["whole", "left"].map(async (name) => {
          const entry = path(`${name}/${program}.js`);
          await bundle("--minify", "--output", path(`${name}.js`), entry);
          return await Deno.readTextFile(path(`${name}.js`));
        }),
      );
      assert(whole === left, `${whole?.length} and ${left?.length} characters`);
    } finally {
      await Deno.remove(directory, { recursive: true });
    }
  });
}
