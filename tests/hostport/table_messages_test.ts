import { assert, assertEquals } from "@std/assert";
import fc from "fast-check";
import {
  elementsOf,
  type Placed,
  type PortOwner,
} from "../../src/hostport/elements.ts";
import { toHostPort } from "../../src/hostport/mapping.ts";
import {
  transactionOf,
  usualChange,
} from "../../src/hostport/table_messages.ts";
import { IpAddress } from "../../src/net/ip.ts";
import { encodeBatch, NO_ANSWER } from "../../src/netlink/batch.ts";
import { ByteWriter } from "../../src/netlink/bytes.ts";

/** All elements of a pod with some ports, of which some are for one address. */
const pods = fc.record({
  number: fc.integer({ min: 2, max: 0xffff }),
  ports: fc.uniqueArray(fc.integer({ min: 1, max: 0xffff }), { maxLength: 12 }),
  hostIP: fc.constantFrom(undefined, "192.0.2.1", "::1"),
}).map(({ number, ports, hostIP }) => {
  const owner: PortOwner = {
    id: number.toString(16).padStart(16, "0"),
    addresses: [
      IpAddress.fromBigInt(0x0a40_0000n + BigInt(number), 4),
      IpAddress.fromBigInt((0xfdn << 120n) + BigInt(number), 6),
    ],
  };
  const mappings = ports.map((hostPort) =>
    toHostPort({
      protocol: "tcp",
      hostPort,
      containerPort: 80,
      ...(hostIP === undefined ? {} : { hostIP }),
    }, [4, 6])
  );
  return elementsOf(mappings, owner);
});

const change = fc.oneof(
  pods.map((add) => ({ add, delete: undefined })),
  pods.map((gone) => ({ add: undefined, delete: gone })),
  fc.tuple(pods, pods).map(([add, gone]) => ({ add, delete: gone })),
);

Deno.test("a usual change is sent as the transaction that it is", () => {
  fc.assert(
    fc.property(
      change,
      fc.integer({ min: 1, max: 0xffff_ffff }),
      (change, generation) => {
        const usual = usualChange(change, generation);
        const requests = transactionOf(change).requests(generation, false);
        const plain = encodeBatch(new ByteWriter(), { requests }, NO_ANSWER);
        assert(!plain.isAnswered);
        // Of two pods with many ports there are too many.
        if (usual === undefined) return;
        assertEquals(usual.out.written(), plain.out.written());
        assertEquals(usual.starts, plain.starts);
        assertEquals(usual.last, plain.last);
        const last = usual.requestAt(usual.last);
        assertEquals(last.operation, requests[plain.last]?.operation);
      },
    ),
    { numRuns: 500 },
  );
});

Deno.test("all of a pod with ten ports is a usual change", () => {
  const mappings = Array.from({ length: 10 }, (_, i) =>
    toHostPort(
      { protocol: "tcp", hostPort: 8000 + i, containerPort: 80 },
      [4, 6],
    ));
  const addresses = ["10.64.0.9", "fd00::9"].map((a) => IpAddress.parse(a));
  const add = elementsOf(mappings, { id: "pod", addresses });
  for (let i = 1; i < 8; i++) {
    assert(usualChange({ add, delete: undefined }, i) !== undefined);
    assert(usualChange({ add: undefined, delete: add }, i) !== undefined);
  }
});

Deno.test("what is no usual change of one pod is left to a transaction", () => {
  const [first] = fc.sample(pods, 1);
  assert(first !== undefined);
  const many: Placed[] = Array.from({ length: 64 }, () => first[0]!);
  assertEquals(usualChange({ add: many, delete: undefined }, 1), undefined);
  const ofTwo = ["a", "b"].map((comment): Placed => {
    const { set, element } = first[0]!;
    return { set, element: { ...element, comment } };
  });
  assertEquals(usualChange({ add: ofTwo, delete: undefined }, 1), undefined);
});
