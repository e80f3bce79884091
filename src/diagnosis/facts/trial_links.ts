/**
 * Trials of links: what pods are wired with, and what other networks are made of.
 *
 * @module
 */
import { MacAddress } from "../../net/mac.ts";
import type { Connection } from "../../netlink/connection.ts";
import { newLink, newVeth, setLink } from "../../rtnetlink/link.ts";
import { newQdisc } from "../../rtnetlink/qdisc.ts";
import type { LinkInfo } from "../../rtnetlink/tables.ts";
import type { Attempt } from "./attempt.ts";

/** Numbers of the links of the trials. */
const VETH = 10;
const FIRST_OTHER = 20;

const mac = (last: number) =>
  MacAddress.fromBytes(Uint8Array.of(0x02, 0, 0, 0, 0, last));

/** A link that is tried alone. */
function link(
  feature: string,
  without: string,
  info: LinkInfo,
  index: number,
  options: { readonly parent?: number } = {},
): Attempt {
  return {
    feature,
    needed: false,
    without,
    run({ route }) {
      add(route, info, index, options.parent);
    },
  };
}

function add(
  route: Connection,
  info: LinkInfo,
  index: number,
  parent?: number,
): void {
  route.execute([
    newLink({
      name: `try${index}`,
      index,
      info,
      ...(parent === undefined ? {} : { parent }),
    }),
  ]);
}

/** A `struct tc_tbf_qopt` in TCA_TBF_PARMS: 1 MB/s, a bucket of 15625 ticks, a queue of 10 kB (linux/pkt_sched.h). */
function tbfOptions(): Uint8Array {
  const SIZE_OF_QOPT = 36;
  const TCA_TBF_PARMS = 1;
  const bytes = new Uint8Array(4 + SIZE_OF_QOPT);
  const view = new DataView(bytes.buffer);
  view.setUint16(0, bytes.length, true);
  view.setUint16(2, TCA_TBF_PARMS, true);
  // struct tc_ratespec rate: cell_log, linklayer (1: Ethernet), overhead, cell_align, mpu, rate.
  view.setUint8(4, 3);
  view.setUint8(5, 1);
  view.setUint32(4 + 8, 1_000_000, true);
  // limit, buffer and mtu follow the second tc_ratespec.
  view.setUint32(4 + 24, 10_000, true);
  view.setUint32(4 + 28, 15_625, true);
  return bytes;
}

/** In an order in which later ones can use the links of earlier ones. */
export const linkAttempts: readonly Attempt[] = [
  {
    feature: "veth",
    needed: true,
    without: "pods cannot be wired",
    run({ route, namespace }) {
      route.execute([newVeth({
        name: `try${VETH}`,
        index: VETH,
        mac: mac(1),
        peer: {
          name: "peer",
          index: VETH + 1,
          mac: mac(2),
          namespaceFd: namespace.fd,
        },
      })]);
    },
  },
  {
    feature: "link settings by netlink",
    needed: true,
    without: "pods' links cannot be set up",
    run({ route }) {
      route.execute([
        setLink({
          index: VETH,
          alias: "podnet",
          addrGenMode: "none",
          ipv4: { rpFilter: 1 },
        }),
      ]);
    },
  },
  link("dummy", "the node has no dummy links", { dummy: {} }, FIRST_OTHER),
  link(
    "bridge",
    "test labs (createLab) do not work",
    { bridge: { mcastSnooping: 0 } },
    FIRST_OTHER + 1,
  ),
  link(
    "bridge VLAN filtering",
    "bridges do not keep VLANs apart",
    { bridge: { vlanFiltering: 1 } },
    FIRST_OTHER + 2,
  ),
  link(
    "vlan",
    "the node has no VLAN links",
    { vlan: { id: 7 } },
    FIRST_OTHER + 3,
    { parent: VETH },
  ),
  link(
    "macvlan",
    "the node has no macvlan links",
    { macvlan: { mode: "bridge" } },
    FIRST_OTHER + 4,
    { parent: VETH },
  ),
  link(
    "ipvlan",
    "the node has no ipvlan links",
    { $other: { name: "ipvlan" } },
    FIRST_OTHER + 5,
    { parent: VETH },
  ),
  link(
    "vxlan",
    "no overlay between nodes by VXLAN",
    { vxlan: { id: 7, port: 4789 } },
    FIRST_OTHER + 6,
  ),
  link(
    "wireguard",
    "no encrypted overlay between nodes by WireGuard",
    { $other: { name: "wireguard" } },
    FIRST_OTHER + 7,
  ),
  link(
    "netkit",
    "pods' links are veth",
    { $other: { name: "netkit" } },
    FIRST_OTHER + 8,
  ),
  link(
    "ifb",
    "no limit on what pods send",
    { $other: { name: "ifb" } },
    FIRST_OTHER + 9,
  ),
  {
    feature: "tbf",
    needed: false,
    without: "no limit on what pods receive",
    run({ route }) {
      route.execute([
        newQdisc({ index: VETH, kind: "tbf", options: tbfOptions() }),
      ]);
    },
  },
];
