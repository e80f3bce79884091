/**
 * Ports of bridges, and the entries of their forwarding tables that are set by hand: linux/if_link.h (IFLA_BRPORT_*),
 * linux/neighbour.h.
 *
 * @module
 */
import { AF_BRIDGE } from "../../ffi/socket.ts";
import type { MacAddress } from "../net/mac.ts";
import { type Attrs, attrs, decode, NLA_TYPE_MASK } from "../netlink/attrs.ts";
import { type Codec, type Infer, u8 } from "../netlink/codec.ts";
import {
  NLM_F_CREATE,
  NLM_F_EXCL,
  NLM_F_REPLACE,
  type Request,
} from "../netlink/message.ts";
import { body } from "../netlink/struct.ts";
import {
  NTF_MASTER,
  NTF_STICKY,
  NUD_NOARP,
  NUD_PERMANENT,
  RTM_GETNEIGH,
  RTM_NEWNEIGH,
  RTM_SETLINK,
} from "./constants.ts";
import { forwardingEntry, type KnownForwardingEntry } from "./forwarding.ts";
import type { Link } from "./link.ts";
import type { NeighbourMessage } from "./neighbour.ts";
import { ifinfomsg, neighbourMessage } from "./tables.ts";

const portRows = {
  state: [1, u8, "of the spanning tree: 3 is forwarding"],
  mode: [4, u8, "hairpin: may send back where it came from"],
  isolated: [33, u8, "does not reach other isolated ports"],
  locked: [39, u8, "takes only sources that the table has on this port"],
} as const;
/** What makes a port of a bridge different from others. */
export const bridgePortAttrs: Attrs<typeof portRows> = attrs(
  "IFLA_BRPORT_",
  portRows,
);

const portMessageRows = {
  protinfo: [12, bridgePortAttrs],
} as const;
const portMessageAttrs: Attrs<typeof portMessageRows> = attrs(
  "IFLA_",
  portMessageRows,
);
const portMessage: Codec<
  { header: Infer<typeof ifinfomsg>; attrs: Infer<typeof portMessageAttrs> }
> = body(ifinfomsg, portMessageAttrs);

/** The body of a message about a port. */
export type BridgePortMessage = Infer<typeof portMessage>;

/** What a port of a bridge does besides what all do. */
export interface BridgePortFlags {
  /** Sends back by the port what came from it. */
  readonly hairpin: boolean;
  /** Does not reach other isolated ports. */
  readonly isolated: boolean;
  /** Takes only what comes from a MAC that the bridge's table has on this port (Linux 5.16). */
  readonly locked: boolean;
}

/** Sets the flags of the port with this number. The kernel ignores those that it does not know: look at {@linkcode bridgePortOf}. */
export function setBridgePort(
  index: number,
  { hairpin, isolated, locked }: BridgePortFlags,
): Request<BridgePortMessage> {
  return {
    operation: `set bridge port #${index}`,
    type: RTM_SETLINK,
    flags: 0,
    codec: portMessage,
    value: {
      header: { family: AF_BRIDGE, index },
      attrs: {
        protinfo: {
          mode: Number(hairpin),
          isolated: Number(isolated),
          locked: Number(locked),
        },
      },
    },
  };
}

const IFLA_INFO_SLAVE_KIND = 4;
const IFLA_INFO_SLAVE_DATA = 5;

/** The flags of a link that is a port of a bridge; undefined of any other. */
export function bridgePortOf({ info }: Link): BridgePortFlags | undefined {
  const of = (id: number) =>
    info?.$unknown?.find(({ type }) => (type & NLA_TYPE_MASK) === id)?.payload;
  const kind = of(IFLA_INFO_SLAVE_KIND);
  const data = of(IFLA_INFO_SLAVE_DATA);
  const name = new TextDecoder().decode(kind).replace(/\0$/, "");
  if (name !== "bridge" || data === undefined) return undefined;
  const { mode, isolated, locked } = decode(bridgePortAttrs, data);
  return {
    hairpin: mode === 1,
    isolated: isolated === 1,
    locked: locked === 1,
  };
}

/** A MAC on a port. */
export interface PortEntry {
  /** Number of the port. */
  readonly index: number;
  /** Who is behind it. */
  readonly mac: MacAddress;
}

/** Options of {@linkcode newPortEntry}. */
export interface NewPortEntryOptions extends PortEntry {
  /**
   * Refuse with EEXIST if the bridge has the MAC on any port, though it be only learnt.
   * @default false
   */
  readonly exclusive?: boolean;
}

/** Says for good which port of a bridge a MAC is behind, wherever else it shows up (NTF_STICKY). It goes with the port. */
export function newPortEntry(
  { exclusive = false, ...entry }: NewPortEntryOptions,
): Request<NeighbourMessage> {
  return entryRequest("set", RTM_NEWNEIGH, entry, {
    flags: NLM_F_CREATE | (exclusive ? NLM_F_EXCL : NLM_F_REPLACE),
    state: NUD_NOARP,
    entryFlags: NTF_STICKY,
  });
}

/** Asks for the entry of a MAC in the table of the bridge that the port is of, whichever port it is on. Refused with ENOENT if there is none. */
export function getPortEntry(
  entry: PortEntry,
): Request<NeighbourMessage, KnownForwardingEntry> {
  return {
    ...entryRequest("get", RTM_GETNEIGH, entry),
    reply: forwardingEntry,
  };
}

/** Whether it was set by hand or is the kernel's own, and not learnt. */
export function isSet({ state }: KnownForwardingEntry): boolean {
  return (state & (NUD_NOARP | NUD_PERMANENT)) !== 0;
}

function entryRequest(
  verb: string,
  type: number,
  { index, mac }: PortEntry,
  { flags = 0, state = 0, entryFlags = 0 }: {
    readonly flags?: number;
    readonly state?: number;
    readonly entryFlags?: number;
  } = {},
): Request<NeighbourMessage> {
  return {
    operation: `${verb} forwarding entry ${mac} on port #${index}`,
    type,
    flags,
    codec: neighbourMessage,
    value: {
      header: {
        family: AF_BRIDGE,
        ifindex: index,
        state,
        flags: NTF_MASTER | entryFlags,
      },
      attrs: { lladdr: mac.bytes },
    },
  };
}
