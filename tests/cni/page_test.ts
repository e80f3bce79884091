/** docs/wiring.md, run as it is. */
import { Machine } from "../clients/machine.ts";
import { Page } from "../support/page.ts";

Deno.test("docs/wiring.md says what happens", async () => {
  await using machine = await Machine.start();
  await Page.read("wiring.md").run((script) => machine.shell(script));
});
