import { assertEquals, assertStringIncludes } from "@std/assert";
import { beside, box } from "../../scripts/demo/picture.ts";

Deno.test("scripts/demo.ts shows a pod of two containers, and ends well", async () => {
  const { code, stdout, stderr } = await new Deno.Command(Deno.execPath(), {
    args: ["run", "--allow-all", "--cached-only", "scripts/demo.ts"],
    cwd: new URL("../..", import.meta.url),
    stdin: "null",
  }).output();
  const decoder = new TextDecoder();
  assertEquals([code, decoder.decode(stderr)], [0, ""]);
  for (
    const line of [
      "app asks 127.0.0.1:9090             sidecar here, you are 127.0.0.1",
      "client asks 10.244.1.10:80          app here, you are 10.244.1.20",
      "outside asks [fd50::1]:8080         app here, you are fd50::fe",
      "links of node-1                     4, now 2",
      "processes of containers             2, now 0",
      "│ host port tcp 8080 → pod web, tcp 80",
    ]
  ) {
    assertStringIncludes(decoder.decode(stdout), line);
  }
});

Deno.test("box() and beside() keep frames whole whatever is in them", () => {
  const picture = beside(box("a", ["long text", ""]), box("long title", ["b"]));
  assertEquals(picture, [
    "┌─── a ─────┐ ┌─── long title ─┐",
    "│ long text │ │ b              │",
    "│           │ └────────────────┘",
    "└───────────┘",
  ]);
});
