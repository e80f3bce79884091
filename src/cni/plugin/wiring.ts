/**
 * Other ways to wire a container than podnet's own network, asked for by the keys that the plugins bridge, macvlan and
 * host-device have, with addresses in the words of host-local and static.
 *
 * @module
 */
import * as v from "valibot";
import { Cidr } from "../../net/cidr.ts";
import { InterfaceAddress } from "../../net/interface_address.ts";
import { IpAddress } from "../../net/ip.ts";
import * as field from "../../spec/fields.ts";
import { instead, joinPath, type Problems } from "../../spec/problems.ts";
import type { InterfaceSpec } from "../../spec/sandbox_spec.ts";
import type { CapabilityRange } from "../model/capabilities.ts";
import type { JsonObject } from "../model/json.ts";
import type { Asked } from "./container.ts";
import type { PlacedRoute } from "./networks.ts";

/** What of a container's interface the runtime and the rest of the configuration say. */
export interface InterfaceWish {
  readonly ifname: string;
  readonly ips: Asked<readonly string[]> | undefined;
  readonly mac: Asked<string> | undefined;
  readonly mtu: number | undefined;
  readonly masquerade: boolean;
  readonly isDefaultGateway: boolean | undefined;
  /** Default routes, and others. */
  readonly routes: readonly PlacedRoute[];
}

/** An interface, and where in the configuration stands what the library has another name for. */
export interface WiredInterface {
  readonly spec: InterfaceSpec;
  readonly places: ReadonlyMap<string, string>;
}

type Attachment = InterfaceSpec["attachment"];

const text = (what: string) => v.exactOptional(v.string(instead(what)));
const flag = v.exactOptional(field.flag, false);
const range = v.object({
  subnet: v.string(instead("a network")),
  rangeStart: text("an address"),
  rangeEnd: text("an address"),
  gateway: text("an address"),
}, instead("a range with a subnet"));

const schema = v.object({
  bridge: text("the name of a bridge"),
  isGateway: flag,
  hairpinMode: flag,
  portIsolation: flag,
  macspoofchk: flag,
  master: text("the name of a link"),
  mode: text("a mode"),
  device: text("the name of a link"),
  ipam: v.exactOptional(
    v.object({
      type: v.exactOptional(
        v.picklist(
          ["", "podnet", "host-local", "static"],
          'write "host-local" or "static": podnet gives addresses itself, of ranges on bridges',
        ),
      ),
      subnet: text("a network"),
      rangeStart: text("an address"),
      rangeEnd: text("an address"),
      gateway: text("an address"),
      ranges: v.exactOptional(
        field.list("a list of lists of ranges", field.list("a list", range)),
        [],
      ),
      addresses: v.exactOptional(
        field.list(
          "a list of objects with address",
          v.object({
            address: v.string(instead("an address with its prefix length")),
            gateway: text("an address"),
          }, instead("an object with address")),
        ),
        [],
      ),
    }, instead("an object")),
    { ranges: [], addresses: [] },
  ),
}, instead("an object"));

type Keys = v.InferOutput<typeof schema>;

/** Keys of the plugins whose effect podnet does not have, and what to do. */
const WITHOUT_EFFECT: Readonly<Record<string, string>> = {
  vlan: "leave it out: make a VLAN of the link, and a bridge of that",
  vlanTrunk: "leave it out: make a VLAN of the link, and a bridge of that",
  promiscMode: "leave it out: hairpinMode does what it is for",
  disableContainerInterface: "leave it out: podnet's interfaces are up",
  linkInContainer: "leave it out: links are the node's",
  hwaddr: "write the link's name as device",
  kernelpath: "write the link's name as device",
  pciBusID: "write the link's name as device",
};

/** The key that says how a container is wired; none for podnet's own network. */
export function wiringKey(
  raw: JsonObject,
): "bridge" | "master" | "device" | undefined {
  return (["bridge", "master", "device"] as const)
    .find((key) => raw[key] !== undefined && raw[key] !== "");
}

/** Reads the keys; undefined when something is wrong, which is noted. */
export function readWiring(
  raw: JsonObject,
  ipRanges: readonly (readonly CapabilityRange[])[],
  wish: InterfaceWish,
  problems: Problems,
): WiredInterface | undefined {
  const keys = problems.parse(schema, raw);
  const kinds = ["bridge", "master", "device"].filter((key) =>
    raw[key] !== undefined && raw[key] !== ""
  );
  for (const key of kinds.slice(1)) {
    problems.add(
      key,
      `leave it out, or ${kinds[0]}: a container is wired one way`,
    );
  }
  for (const [key, message] of Object.entries(WITHOUT_EFFECT)) {
    const value = raw[key];
    const isSet = value !== undefined && value !== false && value !== 0 &&
      value !== "" && !(Array.isArray(value) && value.length === 0);
    if (isSet) problems.add(key, message, value);
  }
  return keys === undefined
    ? undefined
    : new Wiring(keys, ipRanges, wish, problems).interface();
}

/** A range that addresses come from, and where it stands. */
interface PlacedRange extends v.InferOutput<typeof range> {
  readonly place: string;
}

class Wiring {
  readonly #keys: Keys;
  readonly #wish: InterfaceWish;
  readonly #problems: Problems;
  readonly #ranges: readonly PlacedRange[];
  readonly #places = new Map<string, string>();

  constructor(
    keys: Keys,
    ipRanges: readonly (readonly CapabilityRange[])[],
    wish: InterfaceWish,
    problems: Problems,
  ) {
    this.#keys = keys;
    this.#wish = wish;
    this.#problems = problems;
    const { subnet, rangeStart, rangeEnd, gateway, ranges } = keys.ipam;
    const single = { subnet, rangeStart, rangeEnd, gateway };
    this.#ranges = [
      ...subnet === undefined
        ? []
        : [{ ...defined(single), subnet, place: "ipam" }],
      ...this.#ofSets(ranges, "ipam.ranges"),
      ...this.#ofSets(ipRanges, "runtimeConfig.ipRanges"),
    ].filter((one, i, all) =>
      all.findIndex(({ subnet }) => subnet === one.subnet) === i
    );
  }

  interface(): WiredInterface {
    const { ifname, mac, mtu, routes } = this.#wish;
    const others = routes.filter(({ dst }) => !isDefault(dst));
    const gateways = this.#gateways();
    this.#note("mac", mac?.place ?? "mac");
    this.#note("mtu", "mtu");
    others.forEach(({ place }, i) => {
      this.#note(`routes[${i}].destination`, `${place}.dst`);
      this.#note(`routes[${i}].gateway`, `${place}.gw`);
    });
    const spec: InterfaceSpec = {
      name: ifname,
      attachment: this.#attachment(),
      addresses: this.#addresses(),
      gateways: gateways.map(({ gateway }) => gateway),
      defaultRoute: this.#hasDefaultRoute() && gateways.length > 0,
      routes: others.map(({ dst, gw }) => {
        const gateway = gw ?? gatewayOf(gateways, dst);
        return {
          destination: dst,
          ...gateway === undefined ? {} : { gateway },
        };
      }),
      ...mtu === undefined ? {} : { mtu },
      ...mac === undefined ? {} : { mac: mac.value },
    };
    return { spec, places: this.#places };
  }

  /** By the path in a list of interfaces, and by that of an interface with a name. */
  #note(path: string, place: string): void {
    this.#places.set(`interfaces[0].${path}`, place);
    this.#places.set(`interfaces.${this.#wish.ifname}.${path}`, place);
  }

  #ofSets(
    sets: readonly (readonly v.InferOutput<typeof range>[])[],
    base: string,
  ): PlacedRange[] {
    return sets.flatMap((set, i) =>
      set.flatMap((one, j) => {
        const place = `${base}[${i}][${j}]`;
        if (j > 0) {
          this.#problems.add(
            place,
            "leave it out: of each IP version addresses come from one range",
            one.subnet,
          );
        }
        return [{ ...one, place }];
      })
    );
  }

  #hasDefaultRoute(): boolean {
    return this.#wish.isDefaultGateway ??
      this.#wish.routes.some(({ dst }) => isDefault(dst));
  }

  get #isGateway(): boolean {
    return this.#keys.isGateway || this.#wish.isDefaultGateway === true;
  }

  #attachment(): Attachment {
    const { bridge, master, mode, device, ...keys } = this.#keys;
    if (device !== undefined && device !== "") {
      this.#note("attachment.device", "device");
      this.#refuseRanges();
      return { type: "device", device };
    }
    if (master !== undefined && master !== "") {
      this.#note("attachment.parent", "master");
      this.#note("attachment.mode", "mode");
      this.#refuseRanges();
      return {
        type: "macvlan",
        parent: master,
        // Which modes there are is the library's to say.
        ...mode === undefined || mode === "" ? {} : { mode: mode as "bridge" },
      };
    }
    this.#note("attachment.bridge", "bridge");
    this.#note("attachment.masquerade", "ipMasq");
    this.#note("attachment.nodeAddresses", "isGateway");
    this.#ranges.forEach(({ place }, i) => {
      this.#note(`attachment.ranges[${i}]`, place);
      for (
        const [key, name] of [
          ["network", "subnet"],
          ["first", "rangeStart"],
          ["last", "rangeEnd"],
        ] as const
      ) this.#note(`attachment.ranges[${i}].${key}`, `${place}.${name}`);
      this.#note(`attachment.nodeAddresses[${i}]`, `${place}.gateway`);
    });
    const nodeAddresses = this.#isGateway
      ? this.#ranges.flatMap((one) => {
        const gateway = ownGateway(one);
        const length = one.subnet.replace(/^.*\//, "");
        return gateway === undefined ? [] : [`${gateway}/${length}`];
      })
      : [];
    return {
      type: "bridge",
      bridge: bridge ?? "",
      nodeAddresses,
      // Where the node is no router, nothing leaves by it.
      masquerade: this.#wish.masquerade && nodeAddresses.length > 0,
      ranges: this.#ranges.map(({ subnet, rangeStart, rangeEnd }) => ({
        network: subnet,
        ...isGiven(rangeStart) && { first: rangeStart },
        ...isGiven(rangeEnd) && { last: rangeEnd },
      })),
      hairpin: keys.hairpinMode,
      isolated: keys.portIsolation,
      macSpoofCheck: keys.macspoofchk,
    };
  }

  /** Where nothing of the kernel's tells whose an address is, podnet gives none out. */
  #refuseRanges(): void {
    for (const { place, subnet } of this.#ranges) {
      this.#problems.add(
        place,
        'leave it out, and write addresses, with "static" as the type: podnet chooses addresses on bridges and on its own network',
        subnet,
      );
    }
  }

  /** Those of the configuration, and those that the runtime asks for. */
  #addresses(): string[] {
    const { ips } = this.#wish;
    const fixed = this.#keys.ipam.addresses.map(({ address }) => address);
    fixed.forEach((_, i) =>
      this.#note(`addresses[${i}]`, `ipam.addresses[${i}].address`)
    );
    const asked = ips?.value ?? [];
    asked.forEach((_, i) =>
      this.#note(
        `addresses[${fixed.length + i}]`,
        joinPath(ips?.place ?? "", i),
      )
    );
    return [...fixed, ...asked.map((ip) => this.#withLength(ip))];
  }

  /** As long as the prefix of the range that an address is of, if it is of one. */
  #withLength(ip: string): string {
    const [address = ""] = ip.split("/");
    const found = this.#ranges.find(({ subnet }) =>
      orUndefined(() => Cidr.parse(subnet).contains(IpAddress.parse(address)))
    );
    return found === undefined
      ? ip
      : `${address}/${found.subnet.replace(/^.*\//, "")}`;
  }

  /** One of each IP version, where something needs one. */
  #gateways(): { readonly gateway: string; readonly family: 4 | 6 }[] {
    const { routes } = this.#wish;
    const isWanted = this.#isGateway || this.#hasDefaultRoute() ||
      routes.some(({ gw }) => gw === undefined);
    const candidates = [
      ...routes.flatMap(({ dst, gw, place }) =>
        isDefault(dst) && isGiven(gw)
          ? [{ gateway: gw, place: `${place}.gw` }]
          : []
      ),
      ...this.#keys.ipam.addresses.flatMap(({ gateway }, i) =>
        isGiven(gateway)
          ? [{ gateway, place: `ipam.addresses[${i}].gateway` }]
          : []
      ),
      ...this.#ranges.flatMap((one) => {
        const gateway = isWanted ? ownGateway(one) : one.gateway;
        return isGiven(gateway)
          ? [{ gateway, place: `${one.place}.gateway` }]
          : [];
      }),
    ];
    const found = new Map<4 | 6, string>();
    for (const { gateway, place } of candidates) {
      const family = gateway.includes(":") ? 6 : 4;
      if (found.has(family)) continue;
      this.#note(`gateways[${found.size}]`, place);
      found.set(family, gateway);
    }
    return [...found].map(([family, gateway]) => ({ family, gateway }));
  }
}

function isDefault(dst: string): boolean {
  return /\/0$/.test(dst);
}

function isGiven(text: string | undefined): text is string {
  return text !== undefined && text !== "";
}

/** Without the keys that have no value. */
function defined<T extends object>(
  object: T,
): { [K in keyof T]?: NonNullable<T[K]> } {
  return Object.fromEntries(
    Object.entries(object).filter(([, value]) => value !== undefined),
  ) as { [K in keyof T]?: NonNullable<T[K]> };
}

/** The gateway of a range: the one that is given, or the first address, as with host-local. */
function ownGateway(
  { gateway, subnet }: Pick<PlacedRange, "gateway" | "subnet">,
): string | undefined {
  if (isGiven(gateway)) return gateway;
  return orUndefined(() => {
    const network = InterfaceAddress.parse(subnet).network;
    return String(network.at(1n));
  });
}

function gatewayOf(
  gateways: readonly { readonly gateway: string; readonly family: 4 | 6 }[],
  destination: string,
): string | undefined {
  const family = destination.includes(":") ? 6 : 4;
  return gateways.find((one) => one.family === family)?.gateway;
}

/** What cannot be read is told by the library, with its place. */
function orUndefined<T>(read: () => T): T | undefined {
  try {
    return read();
  } catch (error) {
    if (error instanceof RangeError) return undefined;
    throw error;
  }
}
