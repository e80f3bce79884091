/**
 * `parseArgs` of `jsr:@std/cli/parse-args`, without its dotted names
 * (`--a.b=1` is the flag "a.b" here, a nested object there).
 *
 * @module
 */

/** What to expect on the command line. */
export interface ParseOptions<
  Booleans extends string = string,
  Strings extends string = string,
  Collected extends string = string,
  Negatable extends string = string,
  Defaults extends Record<string, unknown> = Record<string, unknown>,
  DoubleDash extends boolean = boolean,
> {
  /** Puts what follows `--` into `args["--"]`. @default false */
  "--"?: DoubleDash;
  /** Further names of a flag. */
  alias?: Record<string, string | readonly string[]>;
  /** Flags without a value, false by default; true: every `--flag` without `=`. */
  boolean?: boolean | Booleans | readonly Booleans[];
  /** Values of flags that were not given. */
  default?: Defaults;
  /** Puts everything from the first positional on into `args._`. @default false */
  stopEarly?: boolean;
  /** Flags whose value is never turned into a number or a boolean. */
  string?: Strings | readonly Strings[];
  /** Flags that may be repeated; their values become an array. */
  collect?: Collected | readonly Collected[];
  /** Flags that `--no-flag` sets to false. */
  negatable?: Negatable | readonly Negatable[];
  /** Called with whatever is not declared; false leaves it out of the result. */
  unknown?: (arg: string, key?: string, value?: unknown) => unknown;
}

type OrFalse<Name, Negatable> = Name extends Negatable ? false : never;

/** The parsed command line: a property per flag, positionals in `_`. */
export type Args<
  Booleans extends string = never,
  Strings extends string = never,
  Collected extends string = never,
  Negatable extends string = never,
  Defaults extends Record<string, unknown> = Record<never, never>,
  DoubleDash extends boolean = false,
> =
  & { _: (string | number)[] }
  & (DoubleDash extends true ? { "--": string[] } : Record<never, never>)
  & { [Name in Exclude<Booleans, Collected | keyof Defaults>]: boolean }
  & {
    [Name in Exclude<Strings, Collected | keyof Defaults>]?:
      | string
      | OrFalse<Name, Negatable>;
  }
  & { [Name in Extract<Booleans, Collected>]: boolean[] }
  & { [Name in Extract<Strings, Collected>]: string[] }
  & { [Name in Exclude<Collected, Booleans | Strings>]: unknown[] }
  & {
    [Name in keyof Defaults]:
      | Defaults[Name]
      | (Name extends Booleans ? boolean
        : Name extends Strings ? string
        : never)
      | OrFalse<Name, Negatable>;
  }
  & Record<string, unknown>;

function list<T extends string>(names: T | readonly T[] | undefined): T[] {
  if (names === undefined) return [];
  return typeof names === "string" ? [names] : [...names];
}

function isNumeric(text: string): boolean {
  return /^0x[0-9a-f]+$/i.test(text) ||
    /^[-+]?(?:\d+(?:\.\d*)?|\.\d+)(?:e[-+]?\d+)?$/.test(text);
}

/** The declared flags under all their names, and the values seen so far. */
class Flags {
  readonly values: Record<string, unknown> = {};
  readonly positionals: (string | number)[] = [];
  readonly booleans: ReadonlySet<string>;
  readonly #strings: ReadonlySet<string>;
  readonly #collected: ReadonlySet<string>;
  readonly #negatable: ReadonlySet<string>;
  readonly #aliases = new Map<string, readonly string[]>();
  readonly #options: ParseOptions;
  /** Every `--flag` without `=` is a boolean. */
  readonly allBoolean: boolean;

  constructor(options: ParseOptions) {
    this.#options = options;
    for (const [name, more] of Object.entries(options.alias ?? {})) {
      const group = [name, ...list(more)];
      for (const member of group) this.#aliases.set(member, group);
    }
    this.allBoolean = options.boolean === true;
    this.booleans = this.#declared(
      typeof options.boolean === "boolean" ? undefined : options.boolean,
    );
    this.#strings = this.#declared(options.string);
    this.#collected = this.#declared(options.collect);
    this.#negatable = this.#declared(options.negatable);
  }

  #declared(names: string | readonly string[] | undefined): Set<string> {
    return new Set(list(names).flatMap((name) => this.#names(name)));
  }

  #names(name: string): readonly string[] {
    return this.#aliases.get(name) ?? [name];
  }

  isNegatable(name: string): boolean {
    return this.#negatable.has(name);
  }

  /** What a flag is worth when no value follows it. */
  withoutValue(name: string): string | boolean {
    return this.#strings.has(name) ? "" : true;
  }

  set(name: string, value: string | boolean, arg: string, replace = false) {
    const declared = this.booleans.has(name) || this.#strings.has(name) ||
      this.#aliases.has(name) || (this.allBoolean && /^--[^=]+$/.test(arg));
    if (!declared && this.#options.unknown?.(arg, name, value) === false) {
      return;
    }
    const converted =
      typeof value === "string" && !this.#strings.has(name) && isNumeric(value)
        ? Number(value)
        : value;
    for (const each of this.#names(name)) {
      const earlier = this.values[each];
      this.values[each] = !this.#collected.has(each) || replace
        ? converted
        : Array.isArray(earlier)
        ? [...earlier, converted]
        : [converted];
    }
  }

  positional(arg: string) {
    if (this.#options.unknown?.(arg) === false) return;
    const asText = this.#strings.has("_") || !isNumeric(arg);
    this.positionals.push(asText ? arg : Number(arg));
  }

  fillDefaults() {
    for (const [name, value] of Object.entries(this.#options.default ?? {})) {
      if (Object.hasOwn(this.values, name)) continue;
      for (const each of this.#names(name)) this.values[each] = value;
    }
    for (const name of this.booleans) {
      if (Object.hasOwn(this.values, name)) continue;
      this.values[name] = this.#collected.has(name) ? [] : false;
    }
    for (const name of this.#strings) {
      if (Object.hasOwn(this.values, name) || !this.#collected.has(name)) {
        continue;
      }
      this.values[name] = [];
    }
  }
}

/** One `--flag`, `--flag=value`, `--flag value`; returns how many args it took. */
function parseLong(
  flags: Flags,
  arg: string,
  next: string | undefined,
): number {
  const [, negation, name = "", given] =
    /^--(no-)?(.+?)(?:=(.+?))?$/s.exec(arg) ?? [];
  if (given) {
    flags.set(name, flags.booleans.has(name) ? given !== "false" : given, arg);
    return 1;
  }
  if (negation && flags.isNegatable(name)) {
    flags.set(name, false, arg, true);
    return 1;
  }
  const full = negation ? `no-${name}` : name;
  const takesValue = !flags.booleans.has(full) && !flags.allBoolean;
  if (takesValue && next && !next.startsWith("-")) {
    flags.set(full, next, arg);
    return 2;
  }
  if (next === "true" || next === "false") {
    flags.set(full, next === "true", arg);
    return 2;
  }
  flags.set(full, flags.withoutValue(full), arg);
  return 1;
}

/** A group of short flags, `-v`, `-abc`, `-n5`, `-p 80`; returns how many args it took. */
function parseShort(
  flags: Flags,
  arg: string,
  next: string | undefined,
): number {
  for (let at = 1; at < arg.length - 1; at++) {
    const letter = arg.charAt(at);
    const rest = arg.slice(at + 1);
    if (rest === "-") {
      flags.set(letter, rest, arg);
      continue;
    }
    const isLetter = /[A-Za-z]/.test(letter);
    if (isLetter && rest.includes("=")) {
      flags.set(letter, rest.slice(rest.indexOf("=") + 1), arg);
      return 1;
    }
    const isAttachedNumber = isLetter &&
      /-?\d+(?:\.\d*)?(?:e-?\d+)?$/.test(rest);
    if (isAttachedNumber || /^\W./s.test(rest)) {
      flags.set(letter, rest, arg);
      return 1;
    }
    flags.set(letter, flags.withoutValue(letter), arg);
  }
  const last = arg.slice(-1);
  if (last === "-") return 1;
  if (next && !/^--?[^-]/.test(next) && !flags.booleans.has(last)) {
    flags.set(last, next, arg);
    return 2;
  }
  if (next === "true" || next === "false") {
    flags.set(last, next === "true", arg);
    return 2;
  }
  flags.set(last, flags.withoutValue(last), arg);
  return 1;
}

/**
 * Parses command line arguments.
 *
 * A flag that is not declared takes the next argument as its value unless that
 * starts with a dash. Values that look like numbers become numbers, save those of
 * flags declared as `string`.
 */
export function parseArgs<
  const Booleans extends string = never,
  const Strings extends string = never,
  const Collected extends string = never,
  const Negatable extends string = never,
  const Defaults extends Record<string, unknown> = Record<never, never>,
  const DoubleDash extends boolean = false,
>(
  args: string[],
  options: ParseOptions<
    Booleans,
    Strings,
    Collected,
    Negatable,
    Defaults,
    DoubleDash
  > = {},
): Args<Booleans, Strings, Collected, Negatable, Defaults, DoubleDash> {
  const flags = new Flags(options as ParseOptions);
  const end = args.indexOf("--");
  const parsed = end === -1 ? args : args.slice(0, end);
  const verbatim = end === -1 ? [] : args.slice(end + 1);
  for (let at = 0; at < parsed.length;) {
    const arg = parsed[at] ?? "";
    const next = parsed[at + 1];
    if (/^--./s.test(arg)) at += parseLong(flags, arg, next);
    else if (/^-./s.test(arg)) at += parseShort(flags, arg, next);
    else {
      flags.positional(arg);
      at++;
      if (options.stopEarly) {
        flags.positionals.push(...parsed.slice(at));
        break;
      }
    }
  }
  flags.fillDefaults();
  const result: Record<string, unknown> = {
    ...flags.values,
    _: options["--"] ? flags.positionals : [...flags.positionals, ...verbatim],
  };
  if (options["--"]) result["--"] = [...verbatim];
  return result as Args<
    Booleans,
    Strings,
    Collected,
    Negatable,
    Defaults,
    DoubleDash
  >;
}
