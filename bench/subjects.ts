/**
 * The programs that are measured against each other, and how to start them.
 *
 * @module
 */
import { Driver } from "./driver.ts";

const here = new URL(".", import.meta.url).pathname;

/** Where programs are built and nodes keep their files: in memory, and gone with the namespaces of the run. */
export const WORK = "/run/podnet-bench";

/** Builds the C programs. */
export async function build(): Promise<void> {
  await Deno.mkdir(WORK, { recursive: true });
  for (const name of ["pod"]) {
    const { success, stderr } = await new Deno.Command("cc", {
      args: [
        "-O2",
        "-Wall",
        "-Wextra",
        "-o",
        `${WORK}/${name}`,
        `${here}reference/${name}.c`,
      ],
      stderr: "piped",
    }).output();
    if (!success) throw new Error(new TextDecoder().decode(stderr));
  }
}

/** What can be measured. */
export type Subject = "podnet" | "reference";

let started = 0;

/** Starts a program with a node and a directory of its own, or in those of another of its kind. */
export async function start(
  subject: Subject,
  join?: Driver,
): Promise<Driver> {
  const directory = join === undefined
    ? `${WORK}/${subject}-${started++}`
    : join.directory;
  await Deno.mkdir(directory, { recursive: true });
  const command = subject === "podnet"
    ? [
      Deno.execPath(),
      "run",
      "-A",
      "--quiet",
      "--no-check",
      "--cached-only",
      `${here}podnet_driver.ts`,
      directory,
    ]
    : [`${WORK}/pod`, directory, ...(join === undefined ? [] : ["join"])];
  return new Driver({
    name: subject,
    command,
    directory,
    ...(join === undefined ? {} : { join }),
  });
}
