import { assert, assertEquals, assertThrows } from "@std/assert";
import fc from "fast-check";
import {
  bySet,
  elementsOf,
  type Placed,
  type PortOwner,
} from "../../src/hostport/elements.ts";
import { toHostPorts } from "../../src/hostport/mapping.ts";
import { IpAddress } from "../../src/net/ip.ts";
import {
  encodeBatch,
  type EncodedBatch,
  NO_ANSWER,
} from "../../src/netlink/batch.ts";
import { ByteWindow, ByteWriter } from "../../src/netlink/bytes.ts";
import { readMessages } from "../../src/netlink/message.ts";
import {
  ElementBatch,
  type ElementChange,
} from "../../src/nftables/element_batch.ts";
import { elementMessage, NftMessage } from "../../src/nftables/tables.ts";
import { Transaction } from "../../src/nftables/transaction.ts";

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
  const mappings = ports.map((hostPort) => ({
    protocol: "tcp" as const,
    hostPort,
    containerPort: 80,
    ...(hostIP === undefined ? {} : { hostIP }),
  }));
  return elementsOf(toHostPorts(mappings, owner.addresses), owner);
});

const change = fc.oneof(
  pods.map((add) => ({ add, delete: undefined })),
  pods.map((gone) => ({ add: undefined, delete: gone })),
  fc.tuple(pods, pods).map(([add, gone]) => ({ add, delete: gone })),
);

const batch = new ElementBatch("podnet");

function asTransaction(
  { add, delete: gone }: ElementChange,
  generation: number,
): EncodedBatch<unknown> {
  const transaction = new Transaction();
  for (const [set, elements] of bySet(gone ?? [])) {
    transaction.deleteElements("podnet", set, elements);
  }
  for (const [set, elements] of bySet(add ?? [])) {
    transaction.addElements("podnet", set, elements, { exclusive: true });
  }
  const requests = transaction.requests(generation, false);
  return encodeBatch(new ByteWriter(), { requests }, NO_ANSWER);
}

function assertAsTransaction(change: ElementChange, generation = 1): void {
  const encoded = batch.encode(change, generation);
  const plain = asTransaction(change, generation);
  assert(!encoded.isAnswered && !plain.isAnswered);
  assertEquals(encoded.out.written(), plain.out.written());
  assertEquals(encoded.starts, plain.starts);
  assertEquals(encoded.last, plain.last);
  for (const i of plain.starts.keys()) {
    const { operation, type, flags } = plain.requestAt(i);
    const request = encoded.requestAt(i);
    assertEquals(request.operation, operation);
    assertEquals(request.type, type);
    assertEquals(request.flags, flags);
  }
}

Deno.test("a change of elements is sent as the transaction that it is", () => {
  fc.assert(
    fc.property(
      change.filter(({ add, delete: gone }) =>
        (add?.length ?? 0) + (gone?.length ?? 0) > 0
      ),
      fc.integer({ min: 1, max: 0xffff_ffff }),
      assertAsTransaction,
    ),
    { numRuns: 500 },
  );
});

function podWithPorts(count: number): Placed[] {
  const mappings = Array.from({ length: count }, (_, i) => ({
    protocol: "tcp" as const,
    hostPort: 8000 + i,
    containerPort: 80,
  }));
  const addresses = ["10.64.0.9", "fd00::9"].map((a) => IpAddress.parse(a));
  return elementsOf(toHostPorts(mappings, addresses), { id: "pod", addresses });
}

/** Each element with its set and whether it is added, in order. */
function elementsIn({ out }: EncodedBatch<unknown>): string[] {
  const from = new ByteWindow(out.finish());
  return readMessages(from).flatMap(({ type, body, end }) => {
    if (type !== NftMessage.newSetElem && type !== NftMessage.delSetElem) {
      return [];
    }
    const { table, set, elements = [] } =
      elementMessage.read(from, body, end).attrs;
    assertEquals(table, "podnet");
    assert(elements.length > 0);
    return elements.map(({ key, data, userdata }) =>
      [type, set, key?.value?.toHex(), data?.value?.toHex(), userdata?.toHex()]
        .join(" ")
    );
  });
}

Deno.test("elements are in as many messages as they need, all of them and in their order", () => {
  for (const count of [128, 129, 256, 1000]) {
    const all = podWithPorts(count);
    for (
      const change of [
        { add: all, delete: undefined },
        { add: undefined, delete: all },
      ]
    ) {
      const expected = elementsIn(asTransaction(change, 1));
      assertEquals(expected.length, 2 + 4 * count);
      const encoded = batch.encode(change, 1);
      assertEquals(elementsIn(encoded), expected);
      assertEquals(encoded.starts.length, 2 + 2 + 4 * Math.ceil(count / 128));
    }
  }
});

Deno.test("a change of elements may be of several owners", () => {
  const of = (comment: string) =>
    podWithPorts(2).map(({ set, element }): Placed => {
      return { set, element: { ...element, comment } };
    });
  const owners = ["a", "b", "a".repeat(127), "", "ä", "ä".repeat(63)];
  assertAsTransaction({ add: owners.flatMap(of), delete: undefined });
});

Deno.test("an owner that nft could not read is refused", () => {
  const [first] = podWithPorts(1);
  assert(first !== undefined);
  const { set, element } = first;
  for (const comment of ["a\0b", 'a"b', "a".repeat(128)]) {
    const add = [{ set, element: { ...element, comment } }];
    assertThrows(() => batch.encode({ add, delete: undefined }, 1), RangeError);
  }
});
