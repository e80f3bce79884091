/**
 * Addresses and networks of texts that are read again and again: a cluster's are read whenever one of its nodes changes.
 *
 * @module
 */
import { Cidr } from "./cidr.ts";
import { IpAddress } from "./ip.ts";
import { MacAddress } from "./mac.ts";

/** What was read of a text. */
export interface Remembered<T> {
  readonly value: T;
  /** The canonical text of the value. */
  readonly text: string;
}

/** A cluster of 50,000 nodes; about 40 MB. */
const MAX_REMEMBERED = 200_000;

/** `make`, whose results are remembered. What it throws is not. */
export function remembering<T>(make: (text: string) => T): (text: string) => T {
  const known = new Map<string, T>();
  return (text) => {
    const found = known.get(text);
    if (found !== undefined) return found;
    const made = make(text);
    if (known.size >= MAX_REMEMBERED) known.clear();
    known.set(text, made);
    return made;
  };
}

/** As `Cidr.parse`. */
export const rememberedCidr: (text: string) => Remembered<Cidr> = remembering(
  (text) => {
    const value = Cidr.parse(text);
    return { value, text: String(value) };
  },
);

/** As `IpAddress.parse`, with the network of this address alone. */
export const rememberedAddress: (
  text: string,
) => Remembered<IpAddress> & { readonly host: Remembered<Cidr> } = remembering(
  (text) => {
    const value = IpAddress.parse(text);
    const host = rememberedCidr(String(Cidr.host(value)));
    return { value, text: String(value), host };
  },
);

/** As `MacAddress.parse`. */
export const rememberedMac: (text: string) => Remembered<MacAddress> =
  remembering((text) => {
    const value = MacAddress.parse(text);
    return { value, text: String(value) };
  });
