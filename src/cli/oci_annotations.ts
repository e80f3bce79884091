/**
 * The annotations of a container that say what its network is to be: the options of `podnet create` by other means.
 *
 * @module
 */
import type { SandboxSpec } from "../../mod.ts";
import type { GivenOptions } from "./errors.ts";
import type { OptionTable, OptionValues } from "./options.ts";
import { sandboxOptions, sandboxSpec } from "./sandbox_options.ts";
import { didYouMean, UsageError } from "./usage.ts";

/** What stands before the name of an option, or before `name`. */
export const ANNOTATION_PREFIX = "io.podnet.";

/** Options whose value is `KEY=VALUE`: the key is the end of the annotation's. */
const KEYED = ["label", "sysctl"] as const;

/**
 * Which options can be annotations: those that are about the container alone. Not those of the node, and not what takes
 * something of the machine's or lifts a protection, which is not for whoever starts a container.
 */
export const ANNOTATIONS = [
  "namespace",
  "publish",
  "ip",
  "label",
  "uid",
  "mac",
  "mtu",
  "interface-name",
  "without-default-route",
  "route",
  "ingress-bandwidth",
  "egress-bandwidth",
  "sysctl",
  "hostname",
  "dns",
  "dns-search",
  "dns-option",
] as const satisfies readonly (keyof typeof sandboxOptions)[];

const table: OptionTable = sandboxOptions;

/** What annotations ask for. */
export interface AnnotatedSandbox {
  readonly spec: SandboxSpec;
  /** To name annotations in errors. */
  readonly given: GivenOptions;
}

/**
 * Reads the annotations that are podnet's; others mean something to others.
 *
 * @param name of a sandbox whose annotations do not say one
 * @throws {UsageError} for one that podnet does not know, or a value that is none
 */
export async function readAnnotations(
  annotations: Readonly<Record<string, string>>,
  name: string,
): Promise<AnnotatedSandbox> {
  const values: Record<string, unknown> = Object.fromEntries(
    Object.entries(table).map(([option, { value, repeatable }]) => [
      option,
      value === undefined ? false : repeatable ? [] : undefined,
    ]),
  );
  let named = name;
  for (const [key, text] of Object.entries(annotations)) {
    if (!key.startsWith(ANNOTATION_PREFIX)) continue;
    const rest = key.slice(ANNOTATION_PREFIX.length);
    if (rest === "name") named = text;
    else Object.assign(values, valueOf(values, rest, text));
  }
  const given = {
    table: Object.fromEntries(
      ANNOTATIONS.map((option) => [option, sandboxOptions[option]]),
    ),
    values: values as OptionValues<OptionTable>,
    prefix: ANNOTATION_PREFIX,
  };
  try {
    // Sound because every option has a value of the kind that parsing gives it.
    const options = values as OptionValues<typeof sandboxOptions>;
    return { spec: await sandboxSpec(named, options), given };
  } catch (error) {
    if (!(error instanceof UsageError)) throw error;
    const message = error.message.replace(/^--/, ANNOTATION_PREFIX);
    throw new UsageError(message, { cause: error });
  }
}

/** What an annotation adds to the values. */
function valueOf(
  values: Readonly<Record<string, unknown>>,
  key: string,
  text: string,
): Record<string, unknown> {
  const keyed = KEYED.find((name) => key.startsWith(`${name}.`));
  const option = keyed ?? ANNOTATIONS.find((name) => name === key);
  if (option === undefined || KEYED.some((name) => name === key)) {
    throw unknown(key);
  }
  const { value, repeatable } = table[option] ?? {};
  if (keyed !== undefined) {
    const before = values[keyed] as readonly string[];
    return { [keyed]: [...before, `${key.slice(keyed.length + 1)}=${text}`] };
  }
  if (repeatable) {
    return { [option]: text.split(/[\s,]+/).filter((word) => word !== "") };
  }
  if (value !== undefined) return { [option]: text };
  if (text !== "true" && text !== "false") {
    throw new UsageError(
      `${ANNOTATION_PREFIX}${option} is ${
        JSON.stringify(text)
      }: write true or false`,
    );
  }
  return { [option]: text === "true" };
}

function unknown(key: string): UsageError {
  const known = ["name", ...ANNOTATIONS].map((name) =>
    KEYED.some((keyed) => keyed === name) ? `${name}.KEY` : name
  );
  return new UsageError(
    `annotation ${ANNOTATION_PREFIX}${JSON.stringify(key)} is unknown${
      didYouMean(key, known) ||
      `: write one of ${known.join(", ")} after ${ANNOTATION_PREFIX}`
    }`,
  );
}
