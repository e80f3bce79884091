/**
 * Makes root file systems for containers out of programs of this machine, for tests and the demo.
 *
 * @module
 */

async function output(program: string, ...args: string[]): Promise<string> {
  const { success, stdout, stderr } = await new Deno.Command(program, { args })
    .output();
  const decoder = new TextDecoder();
  if (success) return decoder.decode(stdout);
  throw new Error(`${program} ${args.join(" ")}: ${decoder.decode(stderr)}`);
}

/** The shared libraries of a program, by absolute path, the dynamic linker among them. */
async function librariesOf(program: string): Promise<string[]> {
  const lines = await output("ldd", program);
  return [...lines.matchAll(/(\/\S+) \(0x/g)].flatMap(([, path]) => path ?? []);
}

/**
 * Fills a directory with programs and the libraries that they need, and nothing else.
 *
 * @param programs names in PATH or absolute paths; they will be in /bin
 */
export async function makeRootfs(
  directory: string,
  programs: readonly string[],
): Promise<void> {
  const paths = await Promise.all(
    programs.map(async (name) => (await output("which", name)).trim()),
  );
  const libraries = await Promise.all(paths.map(librariesOf));
  for (const name of ["bin", "dev", "etc", "proc", "tmp"]) {
    await Deno.mkdir(`${directory}/${name}`);
  }
  await output("cp", "--dereference", ...paths, `${directory}/bin`);
  // Each to the path that the program looks for it at.
  const needed = [...new Set(libraries.flat())];
  await output("cp", "--dereference", "--parents", ...needed, directory);
}
