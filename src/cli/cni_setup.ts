/**
 * Installs the CNI plugin from wherever this command comes: from a checkout, whose modules are bundled, or from a bundle,
 * whose modules are taken as they are.
 *
 * @module
 */
import { makeTempDirectory } from "../../ffi/file.ts";
import { conflistText, pluginNode } from "../cni/install/conflist.ts";
import { installPlugin, type PluginPaths } from "../cni/install/install.ts";
import { readModules } from "../cni/install/modules.ts";
import { removeDirectory } from "../state/directory.ts";

/** What the installed plugin is to do. */
export interface PluginChoice {
  /** The Deno that runs it. */
  readonly deno: string;
  /** Name of the network. */
  readonly network: string;
  /** The node. */
  readonly selection: Parameters<typeof pluginNode>[0];
  /** Its pod networks; none for a node that is set up. */
  readonly podCidrs: readonly string[];
}

/**
 * Installs the plugin, and starts it once.
 *
 * @returns the files that were written
 */
export async function install(
  paths: PluginPaths,
  { deno, network, selection, podCidrs }: PluginChoice,
): Promise<string[]> {
  const node = pluginNode(selection, podCidrs);
  const { entry, modules } = await buildPlugin();
  const conflist = conflistText({ network, ...node });
  const written = installPlugin(paths, { deno, entry, modules, conflist });
  await warmUp(paths.launcher);
  return written;
}

/** The plugin's program. */
interface PluginProgram {
  /** Name of its first module. */
  readonly entry: string;
  /** Its modules by name. */
  readonly modules: ReadonlyMap<string, string>;
}

const ENTRY = "cni_plugin.js";

/**
 * Builds the plugin's program.
 *
 * Split, so that VERSION loads nothing of what ADD needs. Not minified: that moves the value of a `using` variable to the one
 * place where it is used, where nobody disposes of it.
 */
async function buildPlugin(): Promise<PluginProgram> {
  const here = new URL(".", import.meta.url).pathname;
  if (!import.meta.url.endsWith(".ts")) {
    return { entry: ENTRY, modules: readModules(here, ENTRY) };
  }
  const directory = makeTempDirectory("/tmp/podnet-cni-");
  try {
    await output(Deno.execPath(), [
      "bundle",
      "--quiet",
      // It would look for one from the working directory on.
      `--config=${here}../../deno.json`,
      "--code-splitting",
      "--outdir",
      directory,
      `${here}cni_plugin.ts`,
    ]);
    return { entry: ENTRY, modules: readModules(directory, ENTRY) };
  } finally {
    removeDirectory(directory);
  }
}

/**
 * Starts the installed plugin once, as a person would, which makes Deno compile all of it and keep that in the cache.
 *
 * @throws {Error} when it does not run, with what it said
 */
async function warmUp(launcher: string): Promise<void> {
  await output(launcher, []);
}

async function output(program: string, args: readonly string[]): Promise<void> {
  const { success, stdout, stderr } = await new Deno.Command(program, {
    args: [...args],
    // The plugin gets as little from its runtimes; a bundler needs to find its cache.
    clearEnv: args.length === 0,
    stdin: "null",
    stdout: "piped",
    stderr: "piped",
  }).output();
  if (success) return;
  const decoder = new TextDecoder();
  throw new Error(
    `${program} failed: ${decoder.decode(stderr)}${decoder.decode(stdout)}`
      .trim(),
  );
}
