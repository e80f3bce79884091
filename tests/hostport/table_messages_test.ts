import { assert, assertEquals, assertThrows } from "@std/assert";
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
import type { ElementChange } from "../../src/nftables/element_batch.ts";

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

/** Whether the change is a usual one, and sent as the transaction that it is then. */
function isUsual(change: ElementChange, generation: number): boolean {
  const usual = usualChange(change, generation);
  if (usual === undefined) return false;
  const requests = transactionOf(change).requests(generation, false);
  const plain = encodeBatch(new ByteWriter(), { requests }, NO_ANSWER);
  assert(!usual.isAnswered && !plain.isAnswered);
  assertEquals(usual.out.written(), plain.out.written());
  assertEquals(usual.starts, plain.starts);
  assertEquals(usual.last, plain.last);
  for (const [i, { operation }] of requests.entries()) {
    assertEquals(usual.requestAt(i).operation, operation);
  }
  return true;
}

Deno.test("a usual change is sent as the transaction that it is", () => {
  fc.assert(
    fc.property(
      change.filter((change) => !isEmpty(change)),
      fc.integer({ min: 1, max: 0xffff_ffff }),
      (change, generation) => assert(isUsual(change, generation)),
    ),
    { numRuns: 500 },
  );
});

function isEmpty({ add, delete: gone }: ElementChange): boolean {
  return (add?.length ?? 0) + (gone?.length ?? 0) === 0;
}

function podWithPorts(count: number): Placed[] {
  const mappings = Array.from({ length: count }, (_, i) =>
    toHostPort(
      { protocol: "tcp", hostPort: 8000 + i, containerPort: 80 },
      [4, 6],
    ));
  const addresses = ["10.64.0.9", "fd00::9"].map((a) => IpAddress.parse(a));
  return elementsOf(mappings, { id: "pod", addresses });
}

Deno.test("all of a pod with a hundred ports is a usual change; more may not fit one message", () => {
  for (const [count, expected] of [[128, true], [129, false]] as const) {
    const all = podWithPorts(count);
    assertEquals(isUsual({ add: all, delete: undefined }, 1), expected);
    assertEquals(isUsual({ add: undefined, delete: all }, 1), expected);
  }
});

Deno.test("a usual change may be of several pods", () => {
  const of = (comment: string) =>
    podWithPorts(2).map(({ set, element }): Placed => {
      return { set, element: { ...element, comment } };
    });
  const owners = ["a", "b", "a".repeat(127), "", "ä", "ä".repeat(63)];
  assert(isUsual({ add: owners.flatMap(of), delete: undefined }, 1));
});

Deno.test("an owner that nft could not read is refused", () => {
  const [first] = podWithPorts(1);
  assert(first !== undefined);
  const { set, element } = first;
  for (const comment of ["a\0b", 'a"b', "a".repeat(200)]) {
    const add = [{ set, element: { ...element, comment } }];
    assertThrows(() => usualChange({ add, delete: undefined }, 1), RangeError);
  }
});
