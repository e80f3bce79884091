import { assertEquals } from "@std/assert";
import {
  decodeComment,
  encodeComment,
  encodeElementUserdata,
  encodeSetByteorder,
} from "../../src/nftables/userdata.ts";

Deno.test("encodeComment() writes what nft writes", () => {
  // nft add element ... comment "abc"
  assertEquals(encodeComment("abc").toHex(), "000461626300");
  assertEquals(decodeComment(encodeComment("größer")), "größer");
});

Deno.test("decodeComment() finds the comment among other notes", () => {
  assertEquals(decodeComment(encodeElementUserdata("abc", true)), "abc");
  assertEquals(
    decodeComment(Uint8Array.fromHex("010401000000" + "00026100")),
    "a",
  );
  assertEquals(
    decodeComment(encodeElementUserdata(undefined, true)),
    undefined,
  );
  assertEquals(decodeComment(undefined), undefined);
});

Deno.test("decodeComment() gives nothing when the userdata is of another program", () => {
  for (const hex of ["", "00", "0005", "00056162", "02ff61", "0102030405"]) {
    assertEquals(decodeComment(Uint8Array.fromHex(hex)), undefined, hex);
  }
});

Deno.test("encodeSetByteorder() writes what nft writes", () => {
  assertEquals(encodeSetByteorder("big").toHex(), "000402000000");
  assertEquals(encodeSetByteorder("host").toHex(), "000401000000");
  assertEquals(
    encodeSetByteorder("concatenation", "concatenation").toHex(),
    "000400000000" + "010400000000",
  );
});
