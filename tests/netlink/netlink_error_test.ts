/** Extended acknowledgements, through a connection to a fake kernel. */
import { assertEquals, assertThrows } from "@std/assert";
import { Errno } from "../../ffi/errno.ts";
import { ByteWriter } from "../../src/netlink/bytes.ts";
import { Connection } from "../../src/netlink/connection.ts";
import { type Request, writeMessage } from "../../src/netlink/message.ts";
import { NetlinkError } from "../../src/netlink/netlink_error.ts";
import { MacAddress } from "../../src/net/mac.ts";
import { newLink, newVeth } from "../../src/rtnetlink/link.ts";
import { error, FakeKernel, together, type Words } from "./fake_kernel.ts";

function encodeMessage<T, R>(request: Request<T, R>): Uint8Array<ArrayBuffer> {
  const out = new ByteWriter();
  writeMessage(out, request, 0);
  return out.finish();
}

const veth = newVeth({
  name: "pn-12ab",
  mac: MacAddress.parse("02:00:00:00:00:01"),
  peer: {
    name: "eth0",
    mac: MacAddress.parse("02:00:00:00:00:02"),
    mtu: 0x12345678,
  },
});
const bytes = encodeMessage(veth);
const mtuAt = bytes.toHex().indexOf("78563412") / 2;

function refuse(errno: number, words?: Words, echo?: Uint8Array): NetlinkError {
  const kernel = new FakeKernel(([first]) => [
    error(first?.sequence ?? 0, errno, words, echo),
  ]);
  return assertThrows(
    () => new Connection(kernel).execute([veth]),
    NetlinkError,
  );
}

Deno.test("NetlinkError has the kernel's words and the attribute that it blames", () => {
  const refusal = refuse(Errno.ERANGE, {
    msg: "mtu less than device minimum",
    offs: mtuAt,
  });
  assertEquals(
    refusal.message,
    "create veth pn-12ab: ERANGE: mtu less than device minimum (linkinfo.veth.peer.mtu)",
  );
  assertEquals(refusal.attribute, "linkinfo.veth.peer.mtu");
  assertEquals(refusal.kernelMessage, "mtu less than device minimum");
  assertEquals(refusal.missing, undefined);
});

Deno.test("NetlinkError finds the words behind an echo of the request", () => {
  const refusal = refuse(Errno.EINVAL, { msg: "no" }, bytes.subarray(16));
  assertEquals(refusal.message, "create veth pn-12ab: EINVAL: no");
});

Deno.test("NetlinkError names a missing attribute", () => {
  const kind = refuse(Errno.EINVAL, { missType: 3 });
  assertEquals(kind.message, "create veth pn-12ab: EINVAL (missing ifname)");
  assertEquals([kind.attribute, kind.missing], ["ifname", true]);
});

Deno.test("NetlinkError names the nest that lacks an attribute", () => {
  const request = newLink({ name: "x", info: { bridge: { stpState: 1 } } });
  const body = encodeMessage(request);
  // struct nlattr of IFLA_INFO_DATA: 12 bytes, type 2, nested.
  const nest = body.toHex().indexOf("0c000280") / 2;
  const kernel = new FakeKernel(([first]) => [
    error(first?.sequence ?? 0, Errno.EINVAL, { missType: 7, missNest: nest }),
  ]);
  assertThrows(
    () => new Connection(kernel).execute([request]),
    NetlinkError,
    "create bridge x: EINVAL (missing linkinfo.bridge.vlanFiltering)",
  );
});

Deno.test("NetlinkError is without words when the kernel has none", () => {
  const refusal = refuse(Errno.EINVAL);
  assertEquals(refusal.message, "create veth pn-12ab: EINVAL");
  assertEquals(Object.hasOwn(refusal, "kernelMessage"), false);
  assertEquals(Object.hasOwn(refusal, "attribute"), false);
});

Deno.test("NetlinkError keeps the error number when the words about it are damaged", () => {
  const whole = error(0, Errno.EBUSY, { msg: "busy", offs: 99999 });
  for (let size = 36; size < whole.length; size++) {
    const kernel = new FakeKernel(([first]) => {
      const cut = whole.slice(0, size);
      const view = new DataView(cut.buffer);
      view.setUint32(0, size, true);
      view.setUint32(8, first?.sequence ?? 0, true);
      return [together(cut)];
    });
    const refusal = assertThrows(
      () => new Connection(kernel).execute([veth]),
      NetlinkError,
    );
    assertEquals(refusal.code, "EBUSY");
  }
});

Deno.test("NetlinkError names an error number that has no name", () => {
  assertEquals(refuse(999).code, "errno 999");
});
