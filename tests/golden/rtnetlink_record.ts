/**
 * Records what ip(8) says to the kernel, for tests/rtnetlink/golden_test.ts. Run as root where strace is installed:
 *
 *     unshare --net deno run -A tests/golden/rtnetlink_record.ts
 *
 * Each file has the command on line 1, and below the message in hexadecimal as it went through ip's socket: the request,
 * or for `show` the kernel's reply. Sequence numbers and ports are zero here.
 */
const LINK = "pn-0123456789ab";

/** Commands in their order; the messages of those with a name are recorded. */
const commands: readonly (readonly [name: string, command: string])[] = [
  [
    "link_add_veth",
    `ip link add name ${LINK} index 100 address 02:00:5e:00:00:01 mtu 1400 numtxqueues 1 numrxqueues 1` +
    " type veth peer name eth0 index 200 address 02:00:5e:00:00:02 mtu 1400 numtxqueues 1 numrxqueues 1",
  ],
  [
    "link_add_bridge",
    "ip link add name br0 index 300 type bridge stp_state 0 mcast_snooping 0",
  ],
  ["link_set_addrgenmode", `ip link set dev ${LINK} addrgenmode none`],
  ["link_set_alias", `ip link set dev ${LINK} alias podnet:n1/0123`],
  ["link_set_master", `ip link set dev ${LINK} master br0`],
  ["link_show", `ip -d link show dev ${LINK}`],
  ["link_set_nomaster", `ip link set dev ${LINK} nomaster`],
  ["link_set_up", `ip link set dev ${LINK} up`],
  ["link_set_down", "ip link set dev eth0 down"],
  ["", "ip link set dev eth0 up"],
  ["", "ip link set dev lo up"],
  ["address_add", `ip address add 10.244.1.7/32 dev ${LINK}`],
  ["address_add_nodad", `ip address add fd00::7/128 dev ${LINK} nodad`],
  [
    "address_add_scope",
    "ip address add 10.244.1.1/32 dev lo scope link label lo:podnet",
  ],
  [
    "route_add",
    `ip route add 10.244.1.8/32 dev ${LINK} src 10.244.1.1 protocol 112`,
  ],
  ["route_add_v6", `ip route add fd00::8/128 dev ${LINK} protocol 112`],
  [
    "route_add_onlink",
    `ip route add default via 169.254.1.1 dev ${LINK} onlink protocol 112`,
  ],
  [
    "route_add_table",
    `ip route add 10.9.0.0/16 dev ${LINK} table 1000 protocol 112`,
  ],
  [
    "route_add_blackhole",
    "ip route add blackhole 10.245.0.0/16 protocol 112",
  ],
  [
    "route_replace",
    `ip route replace 10.244.1.8/32 dev ${LINK} protocol 112`,
  ],
  ["route_show", "ip route show table 1000"],
  [
    "rule_add",
    "ip rule add from 10.244.1.8/32 lookup 1000 priority 1120 protocol 112",
  ],
  [
    "rule_delete",
    "ip rule delete from 10.244.1.8/32 lookup 1000 priority 1120 protocol 112",
  ],
  [
    "neighbour_replace",
    `ip neighbour replace 169.254.1.1 lladdr 02:00:5e:00:00:01 dev ${LINK} nud permanent`,
  ],
  ["neighbour_show", `ip neighbour show dev ${LINK}`],
  ["address_show", `ip address show dev ${LINK} to fd00::7`],
  ["neighbour_delete", `ip neighbour delete 169.254.1.1 dev ${LINK}`],
  ["route_delete", "ip route delete 10.244.1.8/32 protocol 112"],
  ["address_delete", `ip address delete 10.244.1.7/32 dev ${LINK}`],
  ["link_delete", "ip link delete dev br0"],
  [
    "link_add_vxlan",
    "ip link add name vx0 index 400 address 02:00:5e:00:00:03 mtu 1450" +
    " type vxlan id 112 dstport 8472 local 192.0.2.1 df inherit nolearning",
  ],
  ["", "ip link set dev vx0 up"],
  [
    "forwarding_replace",
    "bridge fdb replace 02:00:5e:00:00:04 dev vx0 dst 192.0.2.2 self permanent",
  ],
  ["forwarding_show", "bridge fdb show dev vx0"],
  [
    "forwarding_delete",
    "bridge fdb delete 02:00:5e:00:00:04 dev vx0 dst 192.0.2.2 self",
  ],
];

/** The buffers that a command gives to one system call. */
function buffersOf(command: string, call: string): Uint8Array[] {
  const kind = call === "sendmsg" ? "write=all" : "read=all";
  const { stderr } = new Deno.Command("strace", {
    args: ["-e", `trace=${call}`, "-e", kind, ...command.split(" ")],
  }).outputSync();
  // " * 32 bytes in buffer 0" and then " | 00000  20 00 00 00 …  text |".
  return new TextDecoder().decode(stderr).split(/ \* \d+ bytes in buffer \d+\n/)
    .slice(1).map((dump) => {
      const hex = [...dump.matchAll(/^ \| [0-9a-f]{5} {2}(.{48}) /gm)]
        .map(([, bytes]) => (bytes ?? "").replaceAll(" ", "")).join("");
      return Uint8Array.fromHex(hex);
    });
}

function write(name: string, command: string, message: Uint8Array): void {
  // nlmsg_seq and nlmsg_pid.
  message.fill(0, 8, 16);
  const lines = message.toHex().replace(/(.{8})/g, "$1 ").match(/.{1,72}/g) ??
    [];
  const text = [command, ...lines.map((line) => line.trimEnd())].join("\n") +
    "\n";
  Deno.writeTextFileSync(
    new URL(`rtnetlink_${name}.txt`, import.meta.url),
    text,
  );
}

const NLM_F_ACK = 4;
/** RTM_NEWLINK, RTM_NEWADDR, RTM_NEWROUTE and RTM_NEWNEIGH, by what is shown. */
const replyTypes: Readonly<Record<string, number>> = {
  link: 16,
  address: 20,
  route: 24,
  neighbour: 28,
  forwarding: 28,
};

/** The message of a command that is worth keeping. */
function messageOf(name: string, command: string): Uint8Array | undefined {
  const uint16 = (bytes: Uint8Array, at: number) =>
    new DataView(bytes.buffer).getUint16(at, true);
  if (!name.endsWith("_show")) {
    // ip looks names up first; what changes something asks for an acknowledgement.
    return buffersOf(command, "sendmsg")
      .find((bytes) => (uint16(bytes, 6) & NLM_F_ACK) !== 0);
  }
  const type = replyTypes[name.replace("_show", "")];
  const reply = buffersOf(command, "recvmsg")
    .find((bytes) => uint16(bytes, 4) === type);
  // The first of several messages in one datagram.
  return reply?.slice(0, uint16(reply, 0));
}

for (const [name, command] of commands) {
  const message = messageOf(name, command);
  if (message === undefined) throw new RangeError(`${command} says nothing`);
  if (name !== "") write(name, command, message);
}
