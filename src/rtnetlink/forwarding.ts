/**
 * Forwarding entries of a link that works as a bridge of its own, such as a VXLAN tunnel: behind which machine an Ethernet
 * address is (bridge(8), `bridge fdb`).
 *
 * @module
 */
import { AF_BRIDGE } from "../../ffi/socket.ts";
import { IpAddress } from "../net/ip.ts";
import { MacAddress } from "../net/mac.ts";
import { type Codec, CodecError, converted } from "../netlink/codec.ts";
import {
  NLM_F_CREATE,
  NLM_F_REPLACE,
  type Request,
} from "../netlink/message.ts";
import {
  NTF_SELF,
  NTF_STICKY,
  NUD_NOARP,
  NUD_PERMANENT,
  RTM_DELNEIGH,
  RTM_GETNEIGH,
  RTM_NEWNEIGH,
} from "./constants.ts";
import type { NeighbourMessage } from "./neighbour.ts";
import { neighbourMessage } from "./tables.ts";

/** A forwarding entry. */
export interface ForwardingEntry {
  /** Number of the tunnel's link. */
  readonly index: number;
  /** The Ethernet address. */
  readonly mac: MacAddress;
  /** The machine behind which it is. */
  readonly remote: IpAddress;
}

/** A forwarding entry as the kernel reports it. */
export interface KnownForwardingEntry extends Omit<ForwardingEntry, "remote"> {
  /** Missing where the link is a port of a bridge, or the entry is a local one. */
  readonly remote?: IpAddress;
  /** NUD_*. */
  readonly state: number;
  /** Set by hand; never expires. */
  readonly permanent: boolean;
  /** Whether it is the link's own, and not that of the bridge above it. */
  readonly isSelf: boolean;
  /** Of a bridge: it stays on its port, wherever the address shows up. */
  readonly isSticky: boolean;
}

/** The reply codec of requests for forwarding entries. */
export const forwardingEntry: Codec<KnownForwardingEntry> = converted(
  neighbourMessage,
  ({ header, attrs }): KnownForwardingEntry => {
    if (attrs.lladdr?.length !== 6) {
      throw new CodecError("a forwarding entry without an Ethernet address");
    }
    const state = header.state ?? 0;
    return {
      index: header.ifindex ?? 0,
      mac: MacAddress.fromBytes(attrs.lladdr),
      ...(attrs.dst === undefined
        ? {}
        : { remote: IpAddress.fromBytes(attrs.dst) }),
      state,
      permanent: (state & NUD_PERMANENT) !== 0,
      isSelf: ((header.flags ?? 0) & NTF_SELF) !== 0,
      isSticky: ((header.flags ?? 0) & NTF_STICKY) !== 0,
    };
  },
);

/** Sets behind which machine an Ethernet address is, for good; replaces what was set before. */
export function newForwardingEntry(
  entry: ForwardingEntry,
): Request<NeighbourMessage> {
  return forwardingRequest(
    "set",
    RTM_NEWNEIGH,
    entry,
    // As bridge(8) says it.
    NUD_PERMANENT | NUD_NOARP,
    NLM_F_CREATE | NLM_F_REPLACE,
  );
}

/** Deletes a forwarding entry. Refused with ENOENT if there is none. */
export function deleteForwardingEntry(
  entry: ForwardingEntry,
): Request<NeighbourMessage> {
  return forwardingRequest("delete", RTM_DELNEIGH, entry);
}

function forwardingRequest(
  verb: string,
  type: number,
  { index, mac, remote }: ForwardingEntry,
  state = 0,
  flags = 0,
): Request<NeighbourMessage> {
  return {
    get operation() {
      return `${verb} forwarding entry ${mac} behind ${remote} on link #${index}`;
    },
    type,
    flags,
    codec: neighbourMessage,
    value: {
      header: { family: AF_BRIDGE, ifindex: index, state, flags: NTF_SELF },
      attrs: { dst: remote.bytes, lladdr: mac.bytes },
    },
  };
}

/** Options of {@linkcode dumpForwardingEntries}. */
export interface DumpForwardingEntriesOptions {
  /** Only entries of the link with this number; none if there is no such link. */
  readonly index?: number;
}

/** Asks for forwarding entries, those of bridges too; the kernel applies the filter. */
export function dumpForwardingEntries(
  { index = 0 }: DumpForwardingEntriesOptions = {},
): Request<NeighbourMessage, KnownForwardingEntry> {
  return {
    operation: "dump forwarding entries",
    type: RTM_GETNEIGH,
    flags: 0,
    codec: neighbourMessage,
    value: { header: { family: AF_BRIDGE, ifindex: index }, attrs: {} },
    reply: forwardingEntry,
  };
}
