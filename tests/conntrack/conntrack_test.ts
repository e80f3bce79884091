import { assert, assertEquals, assertThrows } from "@std/assert";
import {
  type ConntrackFilter,
  flushConntrack,
  listConntrack,
} from "../../src/conntrack/conntrack.ts";
import { ConntrackMessage } from "../../src/conntrack/tables.ts";
import { IpAddress } from "../../src/net/ip.ts";
import { ByteWindow } from "../../src/netlink/bytes.ts";
import { Connection } from "../../src/netlink/connection.ts";
import { NETLINK_NETFILTER, readMessages } from "../../src/netlink/message.ts";
import {
  SocketTransport,
  type Transport,
} from "../../src/netlink/transport.ts";

function conntrack(...args: readonly string[]): void {
  const { success, stderr } = new Deno.Command("conntrack", { args: [...args] })
    .outputSync();
  if (!success) throw new Error(new TextDecoder().decode(stderr));
}

/** Connections by name: some alike but for what a filter tells apart. */
const entries = {
  // Host port 53 of a pod at 10.244.1.5.
  mapped: "-p udp -s 192.0.2.1 -d 192.0.2.9 --sport 1000 --dport 53 " +
    "--reply-src 10.244.1.5 --reply-dst 192.0.2.1 --reply-port-src 5353 --reply-port-dst 1000",
  unmapped: "-p udp -s 192.0.2.1 -d 192.0.2.9 --sport 1001 --dport 53",
  otherPort: "-p udp -s 192.0.2.2 -d 192.0.2.9 --sport 53 --dport 54",
  tcp:
    "-p tcp --state ESTABLISHED -s 192.0.2.2 -d 192.0.2.8 --sport 1000 --dport 53",
  sctp:
    "-p sctp --state ESTABLISHED -s 192.0.2.5 -d 192.0.2.9 --sport 1000 --dport 53 " +
    "--orig-vtag 1 --reply-vtag 2",
  otherSctp:
    "-p sctp --state ESTABLISHED -s 192.0.2.5 -d 192.0.2.9 --sport 1001 --dport 54 " +
    "--orig-vtag 1 --reply-vtag 2",
  zone: "-w 5 -p udp -s 192.0.2.3 -d 192.0.2.9 --sport 1000 --dport 53",
  ping:
    "-p icmp -s 192.0.2.4 -d 192.0.2.9 --icmp-type 8 --icmp-code 0 --icmp-id 53",
  v6: "-p udp -s fd00::1 -d fd00::9 --sport 1000 --dport 53",
  v6mapped: "-p udp -s fd00::2 -d fd00::9 --sport 1000 --dport 53 " +
    "--reply-src fd00:244::5 --reply-dst fd00::2 --reply-port-src 53 --reply-port-dst 1000",
} as const;
type Name = keyof typeof entries;
const names = Object.keys(entries) as Name[];

function seed(): void {
  conntrack("-F");
  for (const name of names) {
    conntrack("-I", "-t", "300", ...entries[name].split(" "));
  }
}

function left(connection: Connection): readonly Name[] {
  const clients = [
    ...listConntrack(connection, { family: 4 }),
    ...listConntrack(connection, { family: 6 }),
  ].map(({ protocol, original }) =>
    `${protocol} ${original.source} ${original.sourcePort ?? 0}`
  );
  const protocols: Record<string, number> = {
    udp: 17,
    tcp: 6,
    icmp: 1,
    sctp: 132,
  };
  return names.filter((name) => {
    const text = entries[name];
    const [, protocol = ""] = /-p (\S+)/.exec(text) ?? [];
    const [, source] = /-s (\S+)/.exec(text) ?? [];
    const [, port = 0] = /--sport (\S+)/.exec(text) ?? [];
    return clients.includes(`${protocols[protocol]} ${source} ${port}`);
  });
}

const ip = IpAddress.parse;

const cases: readonly {
  readonly what: string;
  readonly filter: ConntrackFilter;
  readonly gone: readonly Name[];
  /** The kernel would select others, so that it is not asked to. */
  readonly mistaken?: true;
}[] = [
  {
    what: "protocol and original destination port",
    filter: { family: 4, protocol: 17, originalDestinationPort: 53 },
    gone: ["mapped", "unmapped", "zone"],
  },
  {
    what: "the same in IPv6",
    filter: { family: 6, protocol: 17, originalDestinationPort: 53 },
    gone: ["v6", "v6mapped"],
  },
  {
    what: "the same in TCP",
    filter: { family: 4, protocol: 6, originalDestinationPort: 53 },
    gone: ["tcp"],
  },
  {
    what: "the same in SCTP",
    filter: { family: 4, protocol: 132, originalDestinationPort: 53 },
    gone: ["sctp"],
    mistaken: true,
  },
  {
    what: "reply source",
    filter: { family: 4, replySource: ip("10.244.1.5") },
    gone: ["mapped"],
  },
  {
    what: "reply source in IPv6",
    filter: { family: 6, replySource: ip("fd00:244::5") },
    gone: ["v6mapped"],
    mistaken: true,
  },
  {
    what: "original source",
    filter: { family: 4, originalSource: ip("192.0.2.2") },
    gone: ["otherPort", "tcp"],
  },
  {
    what: "original source in IPv6",
    filter: { family: 6, originalSource: ip("fd00::1") },
    gone: ["v6"],
    mistaken: true,
  },
  {
    what: "original source of a protocol without ports",
    filter: { family: 4, originalSource: ip("192.0.2.4") },
    gone: ["ping"],
  },
  {
    what: "protocol alone",
    filter: { family: 4, protocol: 17 },
    gone: ["mapped", "unmapped", "otherPort", "zone"],
  },
  {
    what: "both directions",
    filter: {
      family: 4,
      protocol: 17,
      originalDestination: ip("192.0.2.9"),
      originalDestinationPort: 53,
      replySource: ip("192.0.2.9"),
    },
    gone: ["unmapped", "zone"],
  },
  {
    what: "address and port in IPv6",
    filter: {
      family: 6,
      protocol: 17,
      originalDestinationPort: 53,
      replySource: ip("fd00::9"),
    },
    gone: ["v6"],
    mistaken: true,
  },
  {
    what: "an address that none has",
    filter: { family: 4, originalSource: ip("198.51.100.1") },
    gone: [],
  },
];

/** Makes this kernel behave like one before 5.8, which does not know CTA_FILTER: it ignores the attribute. */
class OldKernelTransport implements Transport {
  readonly #inner = SocketTransport.open(NETLINK_NETFILTER);
  deletions = 0;

  send(datagram: Uint8Array<ArrayBuffer>): void {
    const old = datagram.slice();
    const view = new DataView(old.buffer);
    for (const { type, body, end } of readMessages(new ByteWindow(old))) {
      if (type === ConntrackMessage.delete) this.deletions++;
      const CTA_FILTER = 0x8000 | 25;
      for (let at = body + 4; at + 4 <= end;) {
        if (view.getUint16(at + 2, true) === CTA_FILTER) {
          view.setUint16(at + 2, 0x3fff, true);
        }
        at += (view.getUint16(at, true) + 3) & ~3;
      }
    }
    this.#inner.send(old);
  }

  receive(): Uint8Array<ArrayBuffer> | undefined {
    return this.#inner.receive();
  }

  [Symbol.dispose](): void {
    this.#inner[Symbol.dispose]();
  }
}

for (const { what, filter, gone, mistaken = false } of cases) {
  const expected = names.filter((name) => !gone.includes(name));

  Deno.test(`flushConntrack() forgets by ${what}, and no other connection`, () => {
    using connection = Connection.open(NETLINK_NETFILTER);
    seed();
    assertEquals(left(connection), names);
    // Linux 6.8 and later: one message, and no count.
    assertEquals(
      flushConntrack(connection, filter),
      mistaken ? gone.length : undefined,
    );
    assertEquals(left(connection), expected);
    conntrack("-F");
  });

  Deno.test(`flushConntrack() forgets by ${what} on a kernel that ignores filters`, () => {
    using transport = new OldKernelTransport();
    const connection = new Connection(transport);
    seed();
    assertEquals(flushConntrack(connection, filter), gone.length);
    assertEquals(left(connection), expected);
    // The refused one, and one a connection.
    assertEquals(transport.deletions, (mistaken ? 0 : 1) + gone.length);
    conntrack("-F");
  });
}

Deno.test("flushConntrack() takes several filters, whichever way each of them goes", () => {
  using connection = Connection.open(NETLINK_NETFILTER);
  const several = [
    { family: 4, protocol: 17, originalDestinationPort: 54 },
    { family: 4, protocol: 132, originalDestinationPort: 53 },
    { family: 6, originalSource: ip("fd00::1") },
    { family: 6, replySource: ip("fd00:244::5") },
  ] as const;
  const gone: readonly Name[] = ["otherPort", "sctp", "v6", "v6mapped"];
  const expected = names.filter((name) => !gone.includes(name));
  seed();
  assertEquals(flushConntrack(connection, several), undefined);
  assertEquals(left(connection), expected);

  seed();
  assertEquals(flushConntrack(connection, several.slice(1)), 3);
  assertEquals(
    left(connection),
    names.filter((n) => n === "otherPort" || expected.includes(n)),
  );

  seed();
  assertEquals(flushConntrack(connection, []), 0);
  assertEquals(left(connection), names);

  using old = new OldKernelTransport();
  assertEquals(flushConntrack(new Connection(old), several), 4);
  assertEquals(left(connection), expected);
  conntrack("-F");
});

Deno.test("flushConntrack() does nothing when one of several filters is wrong", () => {
  using connection = Connection.open(NETLINK_NETFILTER);
  seed();
  assertThrows(
    () =>
      flushConntrack(connection, [{ family: 4, protocol: 17 }, { family: 4 }]),
    TypeError,
  );
  assertEquals(left(connection), names);
  conntrack("-F");
});

Deno.test("flushConntrack() does not take a filter that means everything", () => {
  using connection = Connection.open(NETLINK_NETFILTER);
  seed();
  for (
    const filter of [{ family: 4 }, {
      family: 4,
      originalDestinationPort: 53,
    }] as const
  ) {
    assertThrows(() => flushConntrack(connection, filter), TypeError);
  }
  assertThrows(
    () =>
      flushConntrack(connection, {
        family: 4,
        originalSource: ip("fd00::1"),
      }),
    RangeError,
  );
  assertEquals(left(connection), names);
  conntrack("-F");
});

Deno.test("listConntrack() tells addresses, ports, status and mark of both directions", () => {
  using connection = Connection.open(NETLINK_NETFILTER);
  conntrack("-F");
  conntrack("-I", "-t", "300", "-m", "7", ...entries.mapped.split(" "));
  const [entry, ...others] = listConntrack(connection, { family: 4 });
  assert(entry);
  assertEquals(others, []);
  const text = (
    { source, sourcePort, destination, destinationPort }: typeof entry.original,
  ) => `${source}:${sourcePort} > ${destination}:${destinationPort}`;
  assertEquals(text(entry.original), "192.0.2.1:1000 > 192.0.2.9:53");
  assertEquals(text(entry.reply), "10.244.1.5:5353 > 192.0.2.1:1000");
  assertEquals([entry.family, entry.protocol, entry.mark], [4, 17, 7]);
  // IPS_CONFIRMED is 8.
  assertEquals(entry.status & 8, 8);
  assertEquals(listConntrack(connection, { family: 6 }), []);
  conntrack("-F");
});
