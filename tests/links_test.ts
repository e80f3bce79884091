/** What the project's pages lead to is there. */
import { assert, assertEquals } from "@std/assert";

const root = new URL("../", import.meta.url);

/** The anchors that a page's headings have, as forges make them. */
function anchorsOf(text: string): string[] {
  return [...text.matchAll(/^#+ (.*)$/gm)].map(([, heading = ""]) =>
    heading.toLowerCase().replace(/[^\p{L}\p{N}\s_-]/gu, "").replace(/\s/g, "-")
  );
}

Deno.test("links of the pages lead to files and headings that there are", async () => {
  const names = ["README.md", "ARCHITECTURE.md"];
  for await (const { name } of Deno.readDir(new URL("docs", root))) {
    names.push(`docs/${name}`);
  }
  const index = await Deno.readTextFile(new URL("docs/README.md", root));
  for (const name of names) {
    const page = new URL(name, root);
    const text = await Deno.readTextFile(page);
    if (name !== "docs/README.md" && name.startsWith("docs/")) {
      assert(index.includes(`](${name.slice(5)})`), `${name} is in no index`);
    }
    for (const [, target = ""] of text.matchAll(/\]\(([^)\s]+)\)/g)) {
      if (/^[a-z]+:/.test(target)) continue;
      const [path = "", anchor] = target.split("#");
      const url = path === "" ? page : new URL(path, page);
      const { isFile } = await Deno.stat(url);
      if (anchor === undefined || !isFile) continue;
      const anchors = anchorsOf(await Deno.readTextFile(url));
      assertEquals(anchors.includes(anchor), true, `${name}: ${target}`);
    }
  }
});
