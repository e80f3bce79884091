/**
 * The executable that container runtimes start: a shell script that becomes Deno at once.
 *
 * Runtimes give a plugin hardly any environment, and it must neither load from a network nor write where nobody expects
 * it. So everything is said: where Deno is, where its cache is, what it may do.
 *
 * @module
 */

/** What the script is made of; all of them absolute paths. */
export interface LauncherPaths {
  /** The Deno to run. */
  readonly deno: string;
  /** The plugin's first module. */
  readonly entry: string;
  /** Where Deno keeps compiled code, for the next start; it may be deleted at any time. */
  readonly cache: string;
}

/** Tells podnet's own scripts from others. */
const MARK = "# podnet's CNI plugin: made by podnet cni install";

/** The script. */
export function launcherText({ deno, entry, cache }: LauncherPaths): string {
  const variables = [
    `DENO_DIR=${quoted(cache)}`,
    "DENO_NO_UPDATE_CHECK=1",
    "NO_COLOR=1",
  ];
  const words = [quoted(deno), "run", ...DENO_FLAGS, quoted(entry)];
  return `#!/bin/sh
${MARK}, taken away by podnet cni uninstall.
${variables.join(" ")} exec ${words.join(" ")}
`;
}

/** Whether a file of this text may be replaced and removed. */
export function isLauncher(text: string): boolean {
  return text.includes(`\n${MARK}`);
}

const DENO_FLAGS: readonly string[] = [
  "--quiet",
  "--no-config",
  "--no-lock",
  "--no-remote",
  "--no-npm",
  "--no-prompt",
  "--allow-ffi",
  "'--allow-env=CNI_*'",
  // The cache then holds all of the code compiled. A young generation that never fills is never collected.
  "--v8-flags=--no-lazy,--min-semi-space-size=16",
];

/** As one word of sh(1). */
function quoted(text: string): string {
  return /^[\w./@%+,-]+$/.test(text)
    ? text
    : `'${text.replaceAll("'", "'\\''")}'`;
}
