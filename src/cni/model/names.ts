/**
 * Names that become paths, links and variables: what they may be, before anything is made of them (CVE-2021-20206).
 * @module
 */

/** The specification's pattern for containers and networks. A file's name has at most 255 bytes. */
const NAME = /^[a-zA-Z0-9][a-zA-Z0-9_.-]*$/;

/** Whether this may be a `CNI_CONTAINERID`. */
export function isContainerId(text: string): boolean {
  return text.length <= 255 && NAME.test(text);
}

/** Whether this may be the name of a network. */
export function isNetworkName(text: string): boolean {
  return text.length <= 255 && NAME.test(text);
}

/**
 * Whether this may be a `CNI_IFNAME`: 1 to 15 bytes, no `/`, `:` or space, neither `.` nor `..`. What the kernel
 * refuses besides are control characters, which no log or path should have either.
 */
export function isInterfaceName(text: string): boolean {
  return text !== "." && text !== ".." &&
    // deno-lint-ignore no-control-regex
    !/[/:\s\x00-\x1f\x7f]/.test(text) && text.isWellFormed() &&
    text.length > 0 && new TextEncoder().encode(text).length <= 15;
}

/** Whether this may be the `type` of a plugin: the name of an executable in one directory. */
export function isPluginType(text: string): boolean {
  return text.length > 0 && text.length <= 255 && text !== "." &&
    text !== ".." && !text.includes("/") && !text.includes("\0") &&
    text.isWellFormed();
}
