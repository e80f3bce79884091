/**
 * What the result says of names.
 *
 * @module
 */
import type { RuntimeConfig } from "../model/capabilities.ts";
import {
  type JsonObject,
  optional,
  readList,
  readObject,
  readString,
} from "../model/json.ts";
import type { ResultDns } from "../model/result.ts";

/** What the runtime says comes before what the configuration says. */
export function readDns(
  { dns }: RuntimeConfig,
  raw: JsonObject,
): ResultDns | undefined {
  if (
    dns !== undefined &&
    dns.servers.length + dns.searches.length + dns.options.length > 0
  ) {
    return {
      ...dns.servers.length > 0 && { nameservers: dns.servers },
      ...dns.searches.length > 0 && { search: dns.searches },
      ...dns.options.length > 0 && { options: dns.options },
    };
  }
  const own = optional(raw, "dns", readObject);
  if (own === undefined) return undefined;
  const list = (key: string) =>
    optional(own, key, readList(readString), "dns") ?? [];
  const domain = optional(own, "domain", readString, "dns");
  const [nameservers, search, options] = [
    list("nameservers"),
    list("search"),
    list("options"),
  ];
  return {
    ...nameservers.length > 0 && { nameservers },
    ...domain !== undefined && { domain },
    ...search.length > 0 && { search },
    ...options.length > 0 && { options },
  };
}
