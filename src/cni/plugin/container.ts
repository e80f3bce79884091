/**
 * What is asked for of the container, and by whom: capabilities come before `args.cni` of the configuration, and that
 * before `CNI_ARGS`.
 *
 * @module
 */
import { parseArguments, requireKnown } from "../model/arguments.ts";
import type { RuntimeConfig } from "../model/capabilities.ts";
import {
  type JsonObject,
  optional,
  readList,
  readObject,
  readString,
} from "../model/json.ts";
import type { Invocation } from "./invocation.ts";

/** Something that was asked for, and where. */
export interface Asked<T> {
  readonly value: T;
  /** Such as `runtimeConfig.ips`. */
  readonly place: string;
}

/** What is asked for of the container. */
export interface ContainerWish {
  /** The sandbox's name. */
  readonly name: Asked<string>;
  readonly namespace: Asked<string> | undefined;
  readonly uid: Asked<string> | undefined;
  /** Addresses, with or without the length of a prefix. */
  readonly ips: Asked<readonly string[]> | undefined;
  readonly mac: Asked<string> | undefined;
  readonly labels: Readonly<Record<string, string>>;
}

/** GATEWAY is heard and has no effect: the gateway is the node. */
const KNOWN_ARGUMENTS = [
  "IP",
  "MAC",
  "GATEWAY",
  "K8S_POD_NAME",
  "K8S_POD_NAMESPACE",
  "K8S_POD_UID",
  "K8S_POD_INFRA_CONTAINER_ID",
];

/** Of a sandbox's name. */
const MAX_NAME = 253;

/**
 * Reads what is asked for.
 *
 * @param conventions `args.cni` of the configuration
 * @throws {CniError} 4 for what `CNI_ARGS` has, 7 for the rest
 */
export function readContainer(
  { containerID, ifname, args }: Invocation,
  conventions: JsonObject,
  { ips, mac }: RuntimeConfig,
): ContainerWish {
  const parsed = parseArguments(args);
  requireKnown(parsed, KNOWN_ARGUMENTS);
  const argument = (name: string) =>
    asked(parsed.pairs.get(name) || undefined, `CNI_ARGS ${name}`);
  const addresses = argument("IP");
  const name = argument("K8S_POD_NAME") ??
    { value: containerID, place: "CNI_CONTAINERID" };
  return {
    name: { ...name, value: nameOf(name.value, ifname) },
    namespace: argument("K8S_POD_NAMESPACE"),
    uid: argument("K8S_POD_UID"),
    ips: askedList(ips, "runtimeConfig.ips") ??
      askedList(
        optional(conventions, "ips", readList(readString), "args.cni"),
        "args.cni.ips",
      ) ??
      askedList(addresses?.value.split(","), "CNI_ARGS IP"),
    mac: asked(mac, "runtimeConfig.mac") ??
      asked(
        optional(conventions, "mac", readString, "args.cni"),
        "args.cni.mac",
      ) ?? argument("MAC"),
    labels: readLabels(conventions),
  };
}

function asked<T>(value: T | undefined, place: string): Asked<T> | undefined {
  return value === undefined ? undefined : { value, place };
}

/** A list without entries asks for nothing. */
function askedList<T>(
  value: readonly T[] | undefined,
  place: string,
): Asked<readonly T[]> | undefined {
  return value?.length === 0 ? undefined : asked(value, place);
}

/** Interfaces beyond the usual one bear their own name too, so that a list of sandboxes tells them apart. */
function nameOf(container: string, ifname: string): string {
  const suffix = ifname === "eth0"
    ? ""
    : `.${ifname.replace(/[^a-zA-Z0-9_.-]/g, "-")}`;
  return container.slice(0, MAX_NAME - suffix.length) + suffix;
}

/** `args.cni.labels`, as the conventions of CNI have them; those that begin with `cni.` are podnet's. */
function readLabels(conventions: JsonObject): Record<string, string> {
  const labels = optional(
    conventions,
    "labels",
    readList((value, path) => {
      const label = readObject(value, path);
      return [
        optional(label, "key", readString, path) ?? "",
        optional(label, "value", readString, path) ?? "",
      ] as const;
    }),
    "args.cni",
  );
  return Object.fromEntries(
    (labels ?? []).filter(([key]) => !key.startsWith("cni.")),
  );
}
