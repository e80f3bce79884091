/**
 * The names and numbers of a sandbox that follow from its id, and those that must be new each time.
 *
 * @module
 */
import {
  BRIDGE_ALIAS,
  PORT_PREFIX,
  shaperAlias,
} from "../../attachment/names.ts";
import { MAX_ID_LENGTH } from "../../spec/limits.ts";
import { MacAddress } from "../../net/mac.ts";
import { digest } from "./digest.ts";

/** Every host end of a pod's link begins with this; the anti-spoof rule matches it. */
export const HOST_INTERFACE_PREFIX = "pn-";

/** First byte of a MAC: locally administered, unicast. */
const LOCAL_UNICAST = 0x02;

/** Where probing for a free address starts, and the MAC, both constant for one text. */
export interface Identity {
  /** 128 bits. */
  readonly seed: bigint;
  readonly mac: MacAddress;
}

/** The id of the sandbox `name` in `namespace`: 16 hexadecimal digits. */
export function sandboxId(namespace: string, name: string): string {
  return idOf(nameOf({ namespace, name }));
}

/** The whole name of a sandbox. No part of it holds a slash, so no two pairs give the same text. */
export function nameOf(
  { namespace, name }: { readonly namespace: string; readonly name: string },
): string {
  return `${namespace}/${name}`;
}

/** The id of the sandbox of this whole name. */
export function idOf(name: string): string {
  return digest(name).toHex().slice(0, 16);
}

/** Derives the constants of a sandbox from its whole name, or from the id that it was given instead; of others from any text. */
export function identity(text: string): Identity {
  const bytes = digest(text);
  const view = new DataView(bytes.buffer);
  MAC.set(bytes.subarray(26, 32));
  MAC[0] = LOCAL_UNICAST;
  return {
    seed: view.getBigUint64(8) << 64n | view.getBigUint64(16),
    mac: MacAddress.fromBytes(MAC),
  };
}

const MAC = new Uint8Array(6);

/**
 * Name and index for a new host end. Random, because the kernel destroys links on its own time: the one that
 * a sandbox of this id had a moment ago may still bear its name.
 */
export function newHostLink(): { name: string; index: number } {
  if (randomAt === RANDOM.length) {
    crypto.getRandomValues(RANDOM);
    randomAt = 0;
  }
  const at = randomAt;
  randomAt += 10;
  return {
    name: HOST_INTERFACE_PREFIX + RANDOM.subarray(at, at + 6).toHex(),
    // Far above the indices that the kernel counts up from 1, below 2^31.
    index: MIN_INDEX + RANDOM_VIEW.getUint32(at + 6) % (MAX_INDEX - MIN_INDEX),
  };
}

/** For a hundred links: to ask the runtime takes 3 µs. */
const RANDOM = new Uint8Array(1000);
const RANDOM_VIEW = new DataView(RANDOM.buffer);
let randomAt = RANDOM.length;

/** The MAC of a pod's end that is made before it is known whose it will be. */
export function newMac(): MacAddress {
  const bytes = crypto.getRandomValues(new Uint8Array(6));
  bytes[0] = LOCAL_UNICAST;
  return MacAddress.fromBytes(bytes);
}

/** A number for another link of the node's. */
export function newIndex(): number {
  return newHostLink().index;
}

const MIN_INDEX = 0x0100_0000;
const MAX_INDEX = 0x7f00_0000;

/** Name and index for a new port of a bridge, as {@linkcode newHostLink}. */
export function newPort(): { name: string; index: number } {
  const { name, index } = newHostLink();
  return {
    name: PORT_PREFIX + name.slice(HOST_INTERFACE_PREFIX.length),
    index,
  };
}

/** Whether {@linkcode newHostLink} makes such names. */
export function isHostInterface(name: string): boolean {
  return isNameOf(HOST_INTERFACE_PREFIX, name);
}

/** Whether {@linkcode newPort} makes such names. */
export function isPort(name: string): boolean {
  return isNameOf(PORT_PREFIX, name);
}

function isNameOf(prefix: string, name: string): boolean {
  return name.startsWith(prefix) &&
    /^[0-9a-f]{12}$/.test(name.slice(prefix.length));
}

/** Whether {@linkcode newHostLink} makes such numbers. */
export function isChosenIndex(index: number): boolean {
  return Number.isInteger(index) && index >= MIN_INDEX && index < MAX_INDEX;
}

/**
 * Whether a text can be the id of a sandbox: a name in the state directory. What others write in the kernel, such as
 * aliases and comments, may be anything.
 */
export function isId(text: string): boolean {
  return text.length <= MAX_ID_LENGTH &&
    /^[a-zA-Z0-9][a-zA-Z0-9_.-]*$/.test(text);
}

/** IFLA_IFALIAS of a host end. */
export function linkAlias(node: string, id: string): string {
  return `podnet:${node}/${id}`;
}

/** The sandbox id in an alias of this node, else undefined. */
export function idOfAlias(
  node: string,
  alias: string | undefined,
): string | undefined {
  return idAfter(linkAlias(node, ""), alias);
}

/** IFLA_IFALIAS of a port of a bridge. */
export function portAlias(node: string, id: string): string {
  return `podnet-port:${node}/${id}`;
}

/** IFLA_IFALIAS of a bridge. */
export function bridgeAlias(node: string): string {
  return BRIDGE_ALIAS + node;
}

/** The sandbox id in the alias of a shaper or port of this node, else undefined. */
export function idOfFurtherAlias(
  node: string,
  alias: string | undefined,
): string | undefined {
  return idAfter(shaperAlias(linkAlias(node, "")), alias) ??
    idAfter(portAlias(node, ""), alias);
}

function idAfter(
  prefix: string,
  alias: string | undefined,
): string | undefined {
  if (!alias?.startsWith(prefix)) return undefined;
  const id = alias.slice(prefix.length);
  return isId(id) ? id : undefined;
}
