/**
 * Generators of CNI documents.
 *
 * @module
 */
import fc from "fast-check";
import type { CniResult } from "../../../src/cni/model/mod.ts";
import { IpAddress } from "../../../src/net/ip.ts";

/** A model of optional members without JavaScript's own prototype tricks. */
function some<T>(model: { [K in keyof T]: fc.Arbitrary<T[K]> }) {
  return fc.record(model, { requiredKeys: [], noNullPrototype: true });
}

const ip4 = fc.ipV4();
const ip6 = fc.ipV6().map((text) => String(IpAddress.parse(text)));
const ip = fc.oneof(ip4, ip6);
const network = fc.oneof(
  fc.tuple(ip4, fc.nat({ max: 32 })),
  fc.tuple(ip6, fc.nat({ max: 128 })),
).map(([address, length]) => `${address}/${length}`);
const word = fc.stringMatching(/^[a-z0-9:.]{1,12}$/);
const count = fc.integer({ min: 1, max: 2 ** 32 - 1 });
const words = fc.array(word, { minLength: 1, maxLength: 3 });

/** Results that have everything that version 1.1.0 has. */
export const results: fc.Arbitrary<CniResult> = fc.record({
  interfaces: fc.array(
    fc.tuple(
      word,
      some({
        mac: word,
        mtu: count,
        sandbox: word,
        socketPath: word,
        pciID: word,
      }),
    ).map(([name, rest]) => ({ name, ...rest })),
    { maxLength: 3 },
  ),
  ips: fc.array(
    fc.tuple(network, some({ gateway: ip, interface: fc.nat({ max: 2 }) }))
      .map(([address, rest]) => ({ address, ...rest })),
    { maxLength: 3 },
  ),
  routes: fc.array(
    fc.tuple(
      network,
      some({
        gw: ip,
        mtu: count,
        advmss: count,
        priority: count,
        table: fc.nat(),
        scope: fc.nat({ max: 255 }),
      }),
    ).map(([dst, rest]) => ({ dst, ...rest })),
    { maxLength: 3 },
  ),
  dns: fc.option(
    some({ nameservers: words, domain: word, search: words, options: words }),
    { nil: undefined },
  ),
}, { noNullPrototype: true }).map(({ dns, ips, ...rest }) => ({
  ...rest,
  ips: ips.map(({ interface: index, ...ip }) => ({
    ...ip,
    ...index !== undefined && index < rest.interfaces.length &&
      { interface: index },
  })),
  ...dns !== undefined && Object.keys(dns).length > 0 && { dns },
}));
