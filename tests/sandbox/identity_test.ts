/** Names and numbers that lead back to a sandbox. */
import { assert, assertEquals } from "@std/assert";
import {
  idOfAlias,
  isChosenIndex,
  isHostInterface,
  newHostLink,
} from "../../src/sandbox/records/identity.ts";

Deno.test("idOfAlias() of any text is an id or undefined", () => {
  const cases: readonly [string | undefined, string | undefined][] = [
    [undefined, undefined],
    ["", undefined],
    ["podnet:", undefined],
    ["podnet:n", undefined],
    ["podnet:n/x", "x"],
    ["podnet:nn/x", undefined],
  ];
  for (const [alias, id] of cases) assertEquals(idOfAlias("n", alias), id);
});

Deno.test("newHostLink() makes what isHostInterface() and isChosenIndex() know", () => {
  for (let i = 0; i < 100; i++) {
    const { name, index } = newHostLink();
    assert(isHostInterface(name) && isChosenIndex(index), `${name} ${index}`);
  }
  for (const name of ["pn-", "pn-xyz", "../x", "pn-0123456789AB"]) {
    assert(!isHostInterface(name), name);
  }
  for (const index of [1, 2, 0.5, 2 ** 31, NaN]) assert(!isChosenIndex(index));
});
