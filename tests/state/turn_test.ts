import { assert, assertEquals, assertThrows } from "@std/assert";
import { Turn } from "../../src/state/turn.ts";

Deno.test("a turn is waited for while others have theirs, and not for ever", () => {
  const directory = Deno.makeTempDirSync();
  try {
    using one = Turn.open(directory);
    using other = Turn.open(directory);
    assertEquals(one.take(() => "done"), "done");
    const order: string[] = [];
    one.take(() => {
      // Whoever holds it is stopped, it seems.
      other.take(() => order.push("other"));
      order.push("one");
    });
    assertEquals(order, ["other", "one"]);
    assertThrows(() => one.take(() => assert(false, "told")), Error, "told");
    assertEquals(other.take(() => "free again"), "free again");
  } finally {
    Deno.removeSync(directory);
  }
});
