/**
 * What a live kernel answers, recorded, and given again with damage.
 *
 * @module
 */
import { ByteWindow } from "../../src/netlink/bytes.ts";
import { CodecError } from "../../src/netlink/codec.ts";
import { Connection } from "../../src/netlink/connection.ts";
import {
  NETLINK_NETFILTER,
  NETLINK_ROUTE,
  NETLINK_SOCK_DIAG,
  readMessages,
} from "../../src/netlink/message.ts";
import {
  SocketTransport,
  type Transport,
} from "../../src/netlink/transport.ts";
import { listConntrack } from "../../src/conntrack/conntrack.ts";
import { ALL_SETS, TABLE } from "../../src/hostport/sets.ts";
import type { NetworkNamespace } from "../../src/namespace/network_namespace.ts";
import { NftablesConnection } from "../../src/nftables/connection.ts";
import { dumpAddresses } from "../../src/rtnetlink/address.ts";
import { dumpLinks } from "../../src/rtnetlink/link.ts";
import { dumpForwardingEntries } from "../../src/rtnetlink/forwarding.ts";
import { dumpNeighbours } from "../../src/rtnetlink/neighbour.ts";
import { dumpRoutes } from "../../src/rtnetlink/route.ts";
import { listListeners } from "../../src/sockdiag/listeners.ts";
import { createLab } from "../../src/testing/mod.ts";
import { command } from "../support/command.ts";
import { nodeAt } from "../support/pods.ts";
import { TestSocket } from "../support/sockets.ts";

/** A question to the kernel through the library. */
export interface Question {
  readonly name: string;
  readonly protocol: number;
  ask(connection: Connection): unknown;
}

/** Everything that the library asks of the kernel and reads the answer of. */
export const questions: readonly Question[] = [
  {
    name: "links",
    protocol: NETLINK_ROUTE,
    ask: (c) => c.dump(dumpLinks()),
  },
  {
    name: "addresses",
    protocol: NETLINK_ROUTE,
    ask: (c) => c.dump(dumpAddresses()),
  },
  {
    name: "routes",
    protocol: NETLINK_ROUTE,
    ask: (c) => c.dump(dumpRoutes()),
  },
  {
    name: "neighbours",
    protocol: NETLINK_ROUTE,
    ask: (c) => c.dump(dumpNeighbours()),
  },
  {
    name: "forwarding entries",
    protocol: NETLINK_ROUTE,
    ask: (c) => c.dump(dumpForwardingEntries()),
  },
  {
    name: "nf_tables table",
    protocol: NETLINK_NETFILTER,
    ask: (c) => new NftablesConnection(c).readTable(TABLE),
  },
  {
    name: "nf_tables elements",
    protocol: NETLINK_NETFILTER,
    ask: (c) =>
      ALL_SETS.map((set) => new NftablesConnection(c).listElements(TABLE, set)),
  },
  {
    name: "nf_tables foreign table",
    protocol: NETLINK_NETFILTER,
    ask: (c) => new NftablesConnection(c).readTable("foreign"),
  },
  {
    name: "conntrack",
    protocol: NETLINK_NETFILTER,
    ask: (c) => ([4, 6] as const).map((family) => listConntrack(c, { family })),
  },
  {
    name: "sockets",
    protocol: NETLINK_SOCK_DIAG,
    ask: (c) =>
      (["tcp", "udp"] as const).map((protocol) =>
        ([4, 6] as const).map((family) =>
          listListeners(c, { protocol, family, port: 5353 })
        )
      ),
  },
];

/** One exchange: what was sent, and the datagrams that came back. */
export interface Exchange {
  readonly answers: readonly Uint8Array<ArrayBuffer>[];
}

/** What the kernel answered to one question. */
export interface Recording {
  readonly question: Question;
  readonly exchanges: readonly Exchange[];
}

class Recorder implements Transport {
  readonly exchanges: { answers: Uint8Array<ArrayBuffer>[] }[] = [];
  readonly #socket: SocketTransport;

  constructor(socket: SocketTransport) {
    this.#socket = socket;
  }
  send(datagram: Uint8Array<ArrayBuffer>): void {
    this.exchanges.push({ answers: [] });
    this.#socket.send(datagram);
  }
  receive(): Uint8Array<ArrayBuffer> | undefined {
    const received = this.#socket.receive();
    if (received !== undefined) {
      this.exchanges.at(-1)?.answers.push(received.slice());
    }
    return received;
  }
  [Symbol.dispose](): void {
    this.#socket[Symbol.dispose]();
  }
}

/**
 * Gives recorded answers to a question, each to the message that the recorded one answered, and in the last one what
 * `damage` makes of it.
 */
export class Replay implements Transport {
  readonly #exchanges: readonly Exchange[];
  readonly #damage: (bytes: Uint8Array) => Uint8Array<ArrayBuffer>;
  #asked = 0;
  #queue: Uint8Array<ArrayBuffer>[] = [];

  constructor(
    exchanges: readonly Exchange[],
    damage: (bytes: Uint8Array) => Uint8Array<ArrayBuffer>,
  ) {
    this.#exchanges = exchanges;
    this.#damage = damage;
  }
  send(datagram: Uint8Array<ArrayBuffer>): void {
    const asked = new DataView(datagram.buffer, datagram.byteOffset);
    const sequence = asked.getUint32(8, true);
    const exchange = this.#exchanges[this.#asked++ % this.#exchanges.length];
    this.#queue = (exchange?.answers ?? []).map((answer) => {
      const damaged = this.#damage(answer);
      addressTo(damaged, sequence);
      return damaged;
    });
  }
  receive(): Uint8Array<ArrayBuffer> | undefined {
    return this.#queue.shift();
  }
  [Symbol.dispose](): void {}
}

/** Makes the messages of a datagram answers to the one with this number, as far as they can be told apart. */
function addressTo(datagram: Uint8Array<ArrayBuffer>, sequence: number): void {
  const view = new DataView(datagram.buffer, datagram.byteOffset);
  for (let at = 0; at + 16 <= datagram.length;) {
    view.setUint32(at + 8, sequence, true);
    const size = view.getUint32(at, true);
    if (size < 16 || size > datagram.length - at) return;
    at += (size + 3) & ~3;
  }
}

/** The bodies of all recorded messages. */
export function bodiesOf(recordings: readonly Recording[]): Uint8Array[] {
  return recordings.flatMap(({ exchanges }) =>
    exchanges.flatMap(({ answers }) =>
      answers.flatMap((answer) => {
        try {
          return readMessages(new ByteWindow(answer))
            .map(({ body, end }) => answer.subarray(body, end));
        } catch (error) {
          if (error instanceof CodecError) return [];
          throw error;
        }
      })
    )
  );
}

/** Links, routes, rules and the like of every kind that this kernel has; what it lacks is left out. */
const FURNITURE: readonly string[] = [
  "ip link add br0 type bridge vlan_filtering 1 || ip link add br0 type veth peer br1",
  "ip link add d0 type dummy || ip link add d0 type veth peer d1",
  "ip link set br1 up; ip link set d1 up",
  "ip link set d0 master br0 up",
  "ip link add link d0 name d0.7 type vlan id 7",
  "ip link add vrf7 type vrf table 7",
  "ip link add link d0 name mv0 type macvlan mode bridge",
  "ip link add link d0 name iv0 type ipvlan mode l2",
  "ip link add vx0 type vxlan id 42 dstport 4789 remote 192.0.2.9 local 192.0.2.1 dev d0",
  "ip link add gn0 type geneve id 7 remote 192.0.2.9",
  "ip link add bond7 type bond mode active-backup",
  "ip link add team7 type team",
  "ip link add wg7 type wireguard",
  "ip link add gre7 type gre remote 192.0.2.9 local 192.0.2.1 ttl 64",
  "ip link add tun7 type ipip remote 192.0.2.9 local 192.0.2.1",
  "ip link add sit7 type sit remote 192.0.2.9 local 192.0.2.1",
  "ip link add ifb7 type ifb",
  "ip link add nlmon7 type nlmon",
  "ip tuntap add tap7 mode tap",
  "ip link add a0 type veth peer name b0",
  "ip link property add dev d0 altname a-very-long-alternative-name",
  "ip link set d0 alias 'привет \u{1f600}'",
  "ip addr add 192.0.2.1/24 dev br0 label br0:x",
  "ip addr add 192.0.2.3 peer 192.0.2.4/32 dev br0",
  "ip -6 addr add 2001:db8::1/64 dev br0 nodad",
  "ip link set br0 up",
  "ip link set a0 up; ip link set b0 up",
  "ip route add 198.51.100.0/24 via 192.0.2.9 metric 7 mtu 1400",
  "ip route add 203.0.113.0/24 nexthop via 192.0.2.8 weight 1 nexthop via 192.0.2.9 weight 2",
  "ip route add blackhole 10.9.0.0/16",
  "ip route add unreachable 10.8.0.0/16 table 1000",
  "ip -6 route add 2001:db8:1::/48 via 2001:db8::9",
  "ip route add 10.7.0.0/16 via inet6 2001:db8::9",
  "ip rule add fwmark 7 table 7",
  "ip neigh add 192.0.2.9 lladdr 02:00:00:00:00:09 dev br0 nud permanent",
  "ip -6 neigh add 2001:db8::9 lladdr 02:00:00:00:00:09 dev br0",
  "ip neigh add proxy 192.0.2.77 dev br0",
  "bridge fdb add 02:00:00:00:00:08 dev d0 master",
];

/** Rules and sets of other programs, one statement each, for kernels that lack some. */
const FOREIGN_TABLE: readonly string[] = [
  'add table inet foreign { comment "theirs"; }',
  "add set inet foreign intervals { type ipv4_addr; flags interval; }",
  'add element inet foreign intervals { 10.0.0.0/8 comment "ten", 192.0.2.0/24 }',
  "add map inet foreign verdicts { type inet_service : verdict; }",
  'add element inet foreign verdicts { 80 comment "x" : accept, 81 : drop }',
  "add set inet foreign timeouts { type ipv4_addr; flags timeout, dynamic; timeout 1h; counter; }",
  "add element inet foreign timeouts { 192.0.2.1 timeout 2h }",
  "add counter inet foreign seen",
  "add chain inet foreign other",
  "add chain inet foreign last",
  "add chain inet foreign base { type filter hook input priority -5; policy accept; }",
  'add rule inet foreign base ct state vmap { established : accept, invalid : drop } comment "by state"',
  "add rule inet foreign base meta mark and 0xff == 7 counter accept",
  "add rule inet foreign base limit rate 10/second counter",
  'add rule inet foreign base log prefix "odd: "',
  "add rule inet foreign base ip saddr @intervals tcp dport { 80, 443, 1000-2000 } queue num 3",
  "add rule inet foreign base tcp dport vmap @verdicts",
  "add rule inet foreign base tcp option maxseg size set rt mtu",
  "add rule inet foreign base update @timeouts { ip saddr }",
  "add rule inet foreign base counter name seen",
  "add rule inet foreign base fib daddr type local jump other",
  "add rule inet foreign other meta l4proto tcp reject with tcp reset",
  "add rule inet foreign other goto last",
  "add rule inet foreign last numgen random mod 5 vmap { 0 : accept, 1 : drop }",
];

/** Asks a node of a lab, with pods, and with everything there is beside them. */
export async function recordKernel(): Promise<Recording[]> {
  await using lab = await createLab();
  const { namespace, node } = nodeAt(lab.nodes, 0);
  await using _pod = await node.createSandbox({
    name: "recorded",
    ports: [
      { hostPort: 8080, containerPort: 80 },
      { hostPort: 5353, containerPort: 53, protocol: "udp" },
      { hostPort: 9090, containerPort: 90, hostIP: "127.0.0.1" },
    ],
  });
  for (const line of FURNITURE) command(namespace, `${line} || true`);
  for (const line of FOREIGN_TABLE) {
    command(namespace, `nft '${line}' || true`);
  }
  connections(namespace);
  using _tcp = namespace.run(() => Deno.listen({ port: 5353 }));
  using _udp = TestSocket.open(namespace, {
    kind: "udp",
    family: 6,
    local: { address: "::", port: 5353 },
  });
  return questions.map((question) => {
    const recorder = new Recorder(
      namespace.run(() => SocketTransport.open(question.protocol)),
    );
    using connection = new Connection(recorder);
    question.ask(connection);
    return { question, exchanges: recorder.exchanges };
  });
}

/** Tracked connections of several protocols and both families, as far as conntrack(8) can make them. */
function connections(namespace: NetworkNamespace): void {
  const protocols = [
    "-p udp --sport 1000 --dport 53",
    "-p tcp --sport 1001 --dport 80 --state ESTABLISHED",
    "-p icmp --icmp-type 8 --icmp-code 0 --icmp-id 7",
    "-p icmpv6 --icmpv6-type 128 --icmpv6-code 0 --icmpv6-id 7",
    "-p sctp --sport 1002 --dport 99 --state ESTABLISHED --orig-vtag 1 --reply-vtag 2",
    "-p dccp --sport 1003 --dport 99 --state OPEN --role client",
    "-p gre --srckey 1 --dstkey 2",
  ];
  for (const protocol of protocols) {
    for (
      const addresses of [
        "-s 192.0.2.1 -d 192.0.2.9",
        "-f ipv6 -s 2001:db8::1 -d 2001:db8::9",
      ]
    ) {
      command(
        namespace,
        `conntrack -I ${addresses} ${protocol} -t 300 -m 7 2>&1 || true`,
      );
    }
  }
}
