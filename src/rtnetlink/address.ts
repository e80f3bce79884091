/**
 * IP addresses of links.
 *
 * @module
 */
import { IpAddress, type IpFamily } from "../net/ip.ts";
import { type Codec, converted, type Infer } from "../netlink/codec.ts";
import {
  NLM_F_CREATE,
  NLM_F_EXCL,
  NLM_F_REPLACE,
  type Request,
} from "../netlink/message.ts";
import {
  IFA_F_DADFAILED,
  IFA_F_DEPRECATED,
  IFA_F_NODAD,
  IFA_F_NOPREFIXROUTE,
  IFA_F_PERMANENT,
  IFA_F_TENTATIVE,
  RT_SCOPE_UNIVERSE,
  RTM_DELADDR,
  RTM_GETADDR,
  RTM_NEWADDR,
} from "./constants.ts";
import { familyNumber, ipFamily } from "./family.ts";
import { type AddressAttrs, addressMessage } from "./tables.ts";

/** The body of an address message. */
export type AddressMessage = Infer<typeof addressMessage>;

/** An address of a link as the kernel reports it. */
export interface Address {
  /** Number of the link. */
  readonly index: number;
  /** IP version. */
  readonly family: IpFamily;
  /** The address. */
  readonly address: IpAddress;
  /** Length of the network part in bits. */
  readonly prefixLength: number;
  /** RT_SCOPE_*. */
  readonly scope: number;
  /** IFA_F_*. */
  readonly flags: number;
  /** Not usable yet: duplicate address detection is on, or the kernel has not come to it. */
  readonly tentative: boolean;
  /** Another node has the address. */
  readonly duplicate: boolean;
  /** Without a lifetime. */
  readonly permanent: boolean;
  /** The address of the other end, of a link that has one. */
  readonly peer?: IpAddress;
  /** IPv4: the address that stands for all on the link's network. */
  readonly broadcast?: IpAddress;
  /** Label, IPv4 only. */
  readonly label?: string;
  /** For how many seconds the link still has it; none without end. */
  readonly validSeconds?: number;
  /** For how many seconds it is still chosen for new connections; none without end. */
  readonly preferredSeconds?: number;
  /** Metric of the route to its network, unless that is the kernel's choice. */
  readonly metric?: number;
  /** Who added it (IFA_PROTO), if it was said. */
  readonly protocol?: number;
  /** The whole message. */
  readonly raw: AddressMessage;
}

/** The reply codec of address requests. */
export const address: Codec<Address> = converted(addressMessage, toAddress);

function toAddress(raw: AddressMessage): Address {
  const { header, attrs } = raw;
  const flags = attrs.flags ?? header.flags ?? 0;
  const address = IpAddress.fromBytes(
    attrs.local ?? attrs.address ?? new Uint8Array(),
  );
  const peer = attrs.address && IpAddress.fromBytes(attrs.address);
  const { valid = FOREVER, preferred: told = FOREVER } = attrs.cacheinfo ?? {};
  // Of IPv4 addresses without end the kernel tells no more than that.
  const preferred = (flags & IFA_F_DEPRECATED) === 0 ? told : 0;
  return {
    index: header.index ?? 0,
    family: ipFamily(header.family),
    address,
    prefixLength: header.prefixlen ?? 0,
    scope: header.scope ?? RT_SCOPE_UNIVERSE,
    flags,
    tentative: (flags & IFA_F_TENTATIVE) !== 0,
    duplicate: (flags & IFA_F_DADFAILED) !== 0,
    permanent: (flags & IFA_F_PERMANENT) !== 0,
    ...(peer === undefined || peer.equals(address) ? {} : { peer }),
    ...(attrs.broadcast === undefined
      ? {}
      : { broadcast: IpAddress.fromBytes(attrs.broadcast) }),
    ...(attrs.label === undefined ? {} : { label: attrs.label }),
    ...(valid === FOREVER ? {} : { validSeconds: valid }),
    ...(preferred === FOREVER ? {} : { preferredSeconds: preferred }),
    ...(attrs.rtPriority === undefined ? {} : { metric: attrs.rtPriority }),
    ...(attrs.proto === undefined ? {} : { protocol: attrs.proto }),
    raw,
  };
}

/** Of a lifetime without end (INFINITY_LIFE_TIME). */
const FOREVER = 0xffffffff;

/** An address of a link. */
export interface AddressReference {
  /** Number of the link. */
  readonly index: number;
  /** The address. */
  readonly address: IpAddress;
  /** Length of the network part in bits. */
  readonly prefixLength: number;
}

/** Options of {@linkcode newAddress}. */
export interface NewAddressOptions extends AddressReference {
  /**
   * IPv6: use the address at once, without asking the link whether somebody has it.
   * @default false
   */
  readonly noDad?: boolean;
  /**
   * No route to the network of the address. A host's own address needs none.
   * @default false
   */
  readonly noPrefixRoute?: boolean;
  /**
   * Further flags, IFA_F_*.
   * @default 0
   */
  readonly flags?: number;
  /**
   * For how many seconds the link has the address; the kernel makes it 25 days at most for IPv6.
   * @default without end
   */
  readonly validSeconds?: number;
  /**
   * For how many seconds it is chosen for new connections.
   * @default as long as the link has it
   */
  readonly preferredSeconds?: number;
  /** The address of the other end; the prefix length is that of its network. */
  readonly peer?: IpAddress;
  /** IPv4: the address that stands for all on the link's network. */
  readonly broadcast?: IpAddress;
  /**
   * Metric of the route to its network.
   * @default the kernel's choice
   */
  readonly metric?: number;
  /**
   * RT_SCOPE_*.
   * @default RT_SCOPE_UNIVERSE
   */
  readonly scope?: number;
  /** IPv4: label, at most 15 bytes, that has to begin with the name of the link. */
  readonly label?: string;
  /** Who adds it (IFA_PROTO, Linux 5.18; ignored before). */
  readonly protocol?: number;
  /**
   * Refuse with EEXIST if the link has the address.
   * @default false
   */
  readonly exclusive?: boolean;
}

/** Gives a link an address. */
export function newAddress(
  options: NewAddressOptions,
): Request<AddressMessage> {
  const { label, protocol, peer, broadcast, metric } = options;
  const { validSeconds: valid = FOREVER, preferredSeconds = valid } = options;
  const flags = (options.flags ?? 0) |
    (options.noDad ? IFA_F_NODAD : 0) |
    (options.noPrefixRoute ? IFA_F_NOPREFIXROUTE : 0);
  return addressRequest("add", RTM_NEWADDR, options, {
    ...(peer === undefined ? {} : { address: peer.bytes }),
    ...(broadcast === undefined ? {} : { broadcast: broadcast.bytes }),
    ...(metric === undefined ? {} : { rtPriority: metric }),
    ...(label === undefined ? {} : { label }),
    ...(protocol === undefined ? {} : { proto: protocol }),
    ...(preferredSeconds === FOREVER
      ? {}
      : { cacheinfo: { preferred: preferredSeconds, valid } }),
    // The header has room for the first eight.
    ...(flags > 0xff ? { flags } : {}),
  }, {
    header: {
      scope: options.scope ?? RT_SCOPE_UNIVERSE,
      flags: flags & 0xff,
    },
    flags: NLM_F_CREATE | (options.exclusive ? NLM_F_EXCL : NLM_F_REPLACE),
  });
}

/** Takes an address from a link. Refused with EADDRNOTAVAIL if the link does not have it. */
export function deleteAddress(
  options: AddressReference,
): Request<AddressMessage> {
  return addressRequest("delete", RTM_DELADDR, options, {});
}

function addressRequest(
  verb: string,
  type: number,
  { index, address, prefixLength }: AddressReference,
  attrs: AddressAttrs,
  { header = {}, flags = 0 }: {
    readonly header?: AddressMessage["header"];
    readonly flags?: number;
  } = {},
): Request<AddressMessage> {
  return {
    get operation() {
      return `${verb} address ${address}/${prefixLength} of link #${index}`;
    },
    type,
    flags,
    codec: addressMessage,
    value: {
      header: {
        family: familyNumber(address.family),
        prefixlen: prefixLength,
        index,
        ...header,
      },
      attrs: { address: address.bytes, local: address.bytes, ...attrs },
    },
  };
}

/** Options of {@linkcode dumpAddresses}. */
export interface DumpAddressesOptions {
  /** Only addresses of the link with this number. */
  readonly index?: number;
  /** Only addresses of this IP version. */
  readonly family?: IpFamily;
}

/** Asks for the addresses of the namespace's links. */
export function dumpAddresses(
  options: DumpAddressesOptions = {},
): Request<AddressMessage, Address> {
  return {
    operation: "dump addresses",
    type: RTM_GETADDR,
    flags: 0,
    codec: addressMessage,
    value: {
      header: {
        family: familyNumber(options.family),
        index: options.index ?? 0,
      },
      attrs: {},
    },
    reply: address,
  };
}
