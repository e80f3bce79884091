/**
 * `--interface`: a further interface of a sandbox in one argument.
 *
 * @module
 */
import type { InterfaceSpec } from "../../mod.ts";
import { integer } from "./numbers.ts";
import { quote } from "./options.ts";
import { UsageError } from "./usage.ts";

type Attachment = InterfaceSpec["attachment"];
type Kind = Attachment["type"];

/** Keys of every interface, and those of bridges; the latter of which need no value. */
const KEYS: readonly string[] = ["ip", "gateway", "route", "mac", "mtu"];
const FLAGS: readonly string[] = ["default-route"];
const BRIDGE_KEYS: readonly string[] = ["node-ip", "range"];
const BRIDGE_FLAGS: readonly string[] = [
  "masquerade",
  "hairpin",
  "isolated",
  "any-mac",
];

/** What may stand after the first comma, for the help. */
export const INTERFACE_KEYS =
  "keys are ip (ADDR/LENGTH), gateway, route (CIDR[@GATEWAY]), mac, mtu and default-route; of a bridge also node-ip (ADDR/LENGTH), range (CIDR[@FIRST-LAST]), masquerade, hairpin, isolated and any-mac";

/** `NAME=bridge:BRIDGE`, `NAME=macvlan:PARENT[:MODE]` or `NAME=device:LINK`, and settings after commas. */
export function parseInterface(text: string): InterfaceSpec {
  const [head = "", ...settings] = text.split(",");
  const groups =
    /^(?<name>[^=]+)=(?:(?<kind>bridge|macvlan|device):(?<link>[^:]+)(?::(?<mode>[a-z]+))?)$/
      .exec(head)?.groups;
  const { name, kind, link, mode } = groups ?? {};
  if (name === undefined || link === undefined) throw notAnInterface(text);
  const values = readSettings(text, kind as Kind, settings);
  const [mac, mtu] = [values("mac").at(-1), values("mtu").at(-1)];
  return {
    name,
    attachment: attachmentOf(text, kind as Kind, { link, mode }, values),
    addresses: values("ip"),
    gateways: values("gateway"),
    routes: values("route").map((route) => {
      const [destination = "", gateway] = route.split("@");
      return { destination, ...(gateway === undefined ? {} : { gateway }) };
    }),
    ...(values("default-route").length > 0 && { defaultRoute: true }),
    ...(mac !== undefined && { mac }),
    ...(mtu !== undefined && { mtu: integer("interface mtu", mtu) }),
  };
}

type Values = (key: string) => readonly string[];

function readSettings(
  text: string,
  kind: Kind,
  settings: readonly string[],
): Values {
  const isBridge = kind === "bridge";
  const flags = [...FLAGS, ...isBridge ? BRIDGE_FLAGS : []];
  const keys = [...KEYS, ...isBridge ? BRIDGE_KEYS : []];
  const values = new Map<string, string[]>();
  for (const setting of settings) {
    const [, key, value] = /^([a-z-]+)(?:=(.+))?$/.exec(setting) ?? [];
    const isKnown = key !== undefined &&
      (value === undefined ? flags : keys).includes(key);
    if (!isKnown) throw notAnInterface(text);
    values.set(key, [...values.get(key) ?? [], value ?? ""]);
  }
  return (key) => values.get(key) ?? [];
}

const MODES = ["bridge", "private", "vepa", "passthru"] as const;

function attachmentOf(
  text: string,
  type: Kind,
  { link, mode }: { readonly link: string; readonly mode: string | undefined },
  values: Values,
): Attachment {
  const known = MODES.find((one) => one === mode);
  const isWrong = mode !== undefined &&
    (type !== "macvlan" || known === undefined);
  if (isWrong) throw notAnInterface(text);
  switch (type) {
    case "device":
      return { type, device: link };
    case "macvlan":
      return {
        type,
        parent: link,
        ...(known === undefined ? {} : { mode: known }),
      };
    case "bridge": {
      const has = (key: string) => values(key).length > 0;
      return {
        type,
        bridge: link,
        nodeAddresses: values("node-ip"),
        ranges: values("range").map((range) => {
          const [, network = "", first, last] =
            /^([^@]+)(?:@([^-]+)-(.+))?$/.exec(range) ?? [];
          return {
            network,
            ...(first === undefined ? {} : { first }),
            ...(last === undefined ? {} : { last }),
          };
        }),
        masquerade: has("masquerade"),
        hairpin: has("hairpin"),
        isolated: has("isolated"),
        macSpoofCheck: !has("any-mac"),
      };
    }
  }
}

function notAnInterface(text: string): UsageError {
  return new UsageError(
    `--interface ${
      quote(text)
    } is not an interface: write NAME=bridge:BRIDGE, NAME=macvlan:PARENT[:MODE] or NAME=device:LINK, and settings after commas, like net1=macvlan:eth1,ip=192.168.1.7/24,gateway=192.168.1.1`,
  );
}
