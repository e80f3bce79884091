/**
 * Neighbours: which Ethernet address an IP address on a link has.
 *
 * @module
 */
import { IpAddress, type IpFamily } from "../net/ip.ts";
import { MacAddress } from "../net/mac.ts";
import { type Codec, converted, type Infer } from "../netlink/codec.ts";
import {
  NLM_F_CREATE,
  NLM_F_REPLACE,
  type Request,
} from "../netlink/message.ts";
import {
  NUD_PERMANENT,
  RTM_DELNEIGH,
  RTM_GETNEIGH,
  RTM_NEWNEIGH,
} from "./constants.ts";
import { familyNumber, ipFamily } from "./family.ts";
import { type NeighbourAttrs, neighbourMessage } from "./tables.ts";

/** The body of a neighbour message. */
export type NeighbourMessage = Infer<typeof neighbourMessage>;

/** A neighbour as the kernel reports it. */
export interface Neighbour {
  /** Number of the link. */
  readonly index: number;
  /** IP version. */
  readonly family: IpFamily;
  /** The IP address. */
  readonly address: IpAddress;
  /** Its Ethernet address, if known. */
  readonly mac?: MacAddress;
  /** NUD_*. */
  readonly state: number;
  /** Set by hand; never expires. */
  readonly permanent: boolean;
  /** NTF_*. */
  readonly flags: number;
  /** Who set it, if it was said. */
  readonly protocol?: number;
  /** The whole message. */
  readonly raw: NeighbourMessage;
}

/** The reply codec of neighbour requests. */
export const neighbour: Codec<Neighbour> = converted(
  neighbourMessage,
  toNeighbour,
);

function toNeighbour(raw: NeighbourMessage): Neighbour {
  const { header, attrs } = raw;
  const state = header.state ?? 0;
  return {
    index: header.ifindex ?? 0,
    family: ipFamily(header.family),
    address: IpAddress.fromBytes(attrs.dst ?? new Uint8Array()),
    ...(attrs.lladdr?.length === 6
      ? { mac: MacAddress.fromBytes(attrs.lladdr) }
      : {}),
    state,
    permanent: (state & NUD_PERMANENT) !== 0,
    flags: header.flags ?? 0,
    ...(attrs.protocol === undefined ? {} : { protocol: attrs.protocol }),
    raw,
  };
}

/** A neighbour on a link. */
export interface NeighbourReference {
  /** Number of the link. */
  readonly index: number;
  /** The IP address. */
  readonly address: IpAddress;
}

/** Options of {@linkcode newNeighbour}. */
export interface NewNeighbourOptions extends NeighbourReference {
  /** Its Ethernet address. */
  readonly mac: MacAddress;
}

/** Sets a neighbour for good, so that nobody is asked for it (NUD_PERMANENT); replaces what the kernel has learnt. */
export function newNeighbour(
  options: NewNeighbourOptions,
): Request<NeighbourMessage> {
  return neighbourRequest(
    "set",
    RTM_NEWNEIGH,
    options,
    {
      lladdr: options.mac.bytes,
    },
    NUD_PERMANENT,
    NLM_F_CREATE | NLM_F_REPLACE,
  );
}

/** Deletes a neighbour. Refused with ENOENT if it is not there. */
export function deleteNeighbour(
  options: NeighbourReference,
): Request<NeighbourMessage> {
  return neighbourRequest("delete", RTM_DELNEIGH, options, {});
}

/** Asks for one neighbour (since 5.0). Refused with ENOENT if it is not there. */
export function getNeighbour(
  options: NeighbourReference,
): Request<NeighbourMessage, Neighbour> {
  const request = neighbourRequest("get", RTM_GETNEIGH, options, {});
  return { ...request, reply: neighbour };
}

function neighbourRequest(
  verb: string,
  type: number,
  { index, address }: NeighbourReference,
  attrs: NeighbourAttrs,
  state = 0,
  flags = 0,
): Request<NeighbourMessage> {
  return {
    get operation() {
      return `${verb} neighbour ${address} on link #${index}`;
    },
    type,
    flags,
    codec: neighbourMessage,
    value: {
      header: {
        family: familyNumber(address.family),
        ifindex: index,
        state,
      },
      attrs: { dst: address.bytes, ...attrs },
    },
  };
}

/** Options of {@linkcode dumpNeighbours}. */
export interface DumpNeighboursOptions {
  /** Only neighbours on the link with this number. */
  readonly index?: number;
  /** Only neighbours of this IP version. */
  readonly family?: IpFamily;
}

/** Asks for neighbours; the kernel applies the filters. */
export function dumpNeighbours(
  options: DumpNeighboursOptions = {},
): Request<NeighbourMessage, Neighbour> {
  const { index } = options;
  return {
    operation: "dump neighbours",
    type: RTM_GETNEIGH,
    flags: 0,
    codec: neighbourMessage,
    value: {
      header: { family: familyNumber(options.family) },
      attrs: index === undefined ? {} : { ifindex: index },
    },
    reply: neighbour,
  };
}
