/**
 * The executable that container runtimes start: a shell script that becomes Deno at once.
 *
 * Runtimes give a program hardly any environment, and it must neither load from a network nor write where nobody expects
 * it. So everything is said: where Deno is, where its cache is, what it may do.
 *
 * @module
 */

/** What a launcher starts, and who makes it. */
export interface LauncherKind {
  /** What it is to people: `podnet's CNI plugin`. */
  readonly title: string;
  /** The command that has `install` and `uninstall`: `podnet cni`. */
  readonly command: string;
  /** What Deno has to allow besides FFI, as options of `deno run`. */
  readonly permissions: readonly string[];
  /** Arguments of the program that come before those of the caller. */
  readonly words: readonly string[];
  /**
   * For a command of people: it runs where they are, as long as it takes, and what it starts finds their environment. Of its
   * arguments, the first that has a program of its own leads to that.
   */
  readonly shortcut?: Shortcut;
}

/** A program that is started instead, because it starts faster. */
export interface Shortcut {
  /** The first arguments that lead to it; words of letters. */
  readonly words: readonly string[];
  /** The name of its first module. */
  readonly entry: string;
  /** What Deno has to allow besides FFI, as options of `deno run`. */
  readonly permissions: readonly string[];
}

/** What the script is made of; all of them absolute paths. */
export interface LauncherPaths {
  /** The Deno to run. */
  readonly deno: string;
  /** The program's first module. */
  readonly entry: string;
  /** Where Deno keeps compiled code, for the next start; it may be deleted at any time. */
  readonly cache: string;
}

/** The script. */
export function launcherText(kind: LauncherKind, paths: LauncherPaths): string {
  const head = `#!/bin/sh
${mark(kind)}, taken away by ${kind.command} uninstall.
`;
  const { permissions, words, shortcut } = kind;
  const { deno, entry, cache } = paths;
  const own = [`DENO_DIR=${quoted(cache)}`, "DENO_NO_UPDATE_CHECK=1"];
  if (shortcut === undefined) {
    return `${head}cd / # Deno does not start in a directory that was removed
${
      becoming([...own, "NO_COLOR=1"], deno, [
        ...[...DENO_FLAGS, RUNS_ONCE, ...permissions],
        ...[entry, ...words],
      ])
    }
`;
  }
  const short = entry.replace(/[^/]*$/, shortcut.entry);
  // dash and ash have no PWD in such a directory; with another sh Deno says what is wrong.
  return `${head}[ "$PWD" ] || cd / # Deno does not start in a directory that was removed
case $1 in
${shortcut.words.join("|")}) ${
    becoming(own, deno, [
      ...DENO_FLAGS,
      RUNS_ONCE,
      ...shortcut.permissions,
      short,
    ])
  } ;;
*) ${
    becoming(["DENO_NO_UPDATE_CHECK=1"], deno, [
      ...DENO_FLAGS,
      RUNS_ON,
      ...permissions,
      ...[entry, ...words],
    ])
  } ;;
esac
`;
}

/** The shell becomes Deno. */
function becoming(
  variables: readonly string[],
  deno: string,
  words: readonly string[],
): string {
  const command = [deno, "run", ...words].map(quoted);
  return [...variables, "exec", ...command, '"$@"'].join(" ");
}

/** Whether a file of this text may be replaced and removed. */
export function isLauncher(kind: LauncherKind, text: string): boolean {
  return text.includes(`\n${mark(kind)}`);
}

/** Tells podnet's own scripts from others. */
function mark({ title, command }: LauncherKind): string {
  return `# ${title}: made by ${command} install`;
}

const DENO_FLAGS: readonly string[] = [
  "--quiet",
  "--no-config",
  "--no-lock",
  "--no-remote",
  "--no-npm",
  "--no-prompt",
  "--allow-ffi",
  // For its own modules that are loaded when they are asked for. FFI allows more.
  "--allow-read",
];

/** The cache then holds all of the code compiled. A young generation that never fills is never collected. */
const RUNS_ON = "--v8-flags=--no-lazy,--min-semi-space-size=16";

/** What runs once is not worth optimising, nor are its regular expressions: 3 ms of 50. */
const RUNS_ONCE = `${RUNS_ON},--max-opt=0,--regexp-interpret-all`;

/** As one word of sh(1). */
function quoted(text: string): string {
  return /^[\w./@%+,=:-]+$/.test(text)
    ? text
    : `'${text.replaceAll("'", "'\\''")}'`;
}
