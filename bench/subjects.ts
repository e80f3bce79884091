/**
 * The programs that are measured against each other, and how to start them.
 *
 * @module
 */
import { CNI_PLUGIN } from "../src/cni/install/conflist.ts";
import { launcherText } from "../src/install/launcher.ts";
import { Driver, inside } from "./driver.ts";

const here = new URL(".", import.meta.url).pathname;

/** Where programs are built and nodes keep their files: in memory, and gone with the namespaces of the run. */
export const WORK = "/run/podnet-bench";

/** The limit that podnet is compared with. */
export const LIMIT = "C";

async function output(
  program: string,
  args: readonly string[],
): Promise<string> {
  const { success, stdout, stderr } = await new Deno.Command(program, {
    args: [...args],
    stdin: "null",
  }).output();
  const text = new TextDecoder();
  if (!success) throw new Error(`${program}: ${text.decode(stderr)}`);
  return text.decode(stdout);
}

export { output as run };

/** Builds the C programs of `reference/`. */
export async function buildPrograms(
  names: readonly string[] = ["pod", "peer", "load"],
): Promise<void> {
  await Deno.mkdir(WORK, { recursive: true });
  for (const name of names) {
    const source = `${here}reference/${name}.c`;
    const warnings = ["-Wall", "-Wextra", "-Wno-unused-function"];
    await output("cc", ["-O2", ...warnings, "-o", `${WORK}/${name}`, source]);
  }
}

/** Installs podnet's command and its CNI plugin, as users do; and a program that does nothing, in the same way. */
export async function buildCommand(): Promise<void> {
  const directories = (where: string, ...names: string[]) =>
    names.flatMap((name) => [`--${name}-dir`, `${where}/${name}`]);
  await output(Deno.execPath(), [
    ...[...DENO_RUN, "--allow-all", `${here}../src/cli/main.ts`, "install"],
    ...directories(COMMAND, "bin", "lib", "cache"),
  ]);
  await output(`${COMMAND}/bin/podnet`, [
    ...["cni", "install", "--pod-cidr", "10.64.0.0/10"],
    ...directories(CNI, "bin", "conf", "lib", "cache"),
  ]);
  const empty = `${WORK}/empty`;
  await Deno.writeTextFile(`${empty}.js`, "Deno.exit(0);\n");
  const deno = Deno.execPath();
  await Deno.writeTextFile(
    empty,
    launcherText(CNI_PLUGIN, { deno, entry: `${empty}.js`, cache: CNI }),
    { mode: 0o755 },
  );
}

const COMMAND = `${WORK}/podnet`;
const CNI = `${WORK}/cni`;
const DENO_RUN = ["run", "--quiet", "--no-check", "--cached-only"];

/** podnet of a checkout, as a library in a program that lives on. */
function library(checkout: string, args: readonly string[] = []) {
  return (directory: string): string[] => [
    Deno.execPath(),
    ...DENO_RUN,
    "--allow-all",
    "--v8-flags=--expose-gc",
    `${checkout}/bench/podnet_driver.ts`,
    directory,
    ...args,
  ];
}

function peer(kind: string, ...variant: readonly string[]) {
  return (directory: string): string[] => [
    `${WORK}/peer`,
    kind,
    directory,
    ...variant,
  ];
}

/** What a subject is started with, by its name. */
const subjects: Record<string, (directory: string) => string[]> = {
  podnet: library(`${here}..`),
  [LIMIT]: (directory) => [`${WORK}/pod`, directory],
  "CNI bridge": peer("cni", "bridge"),
  "CNI bridge, dual stack": peer("cni", "bridge-dual"),
  "CNI ptp": peer("cni", "ptp"),
  netavark: peer("netavark"),
  "ip and nft": peer("script", `${here}reference/pod.sh`),
  "podnet command": peer("command", `${COMMAND}/bin/podnet`),
  "podnet CNI plugin": peer("cni", `${CNI}/bin/podnet`),
  // What no program of Deno's can go below: it is started like the plugin, and ends.
  "Deno, empty program": peer("cni", `${WORK}/empty`),
};

/** Another checkout of podnet to be measured beside this one. */
export function addCheckout(directory: string): string {
  const name = `podnet of ${directory}`;
  subjects[name] = library(directory);
  return name;
}

/** How a program is started. */
export interface StartOptions {
  /** Work on the node of this one of the same kind, instead of one of its own. */
  readonly join?: Driver;
  /** podnet: how many namespaces it keeps ready. */
  readonly warm?: number;
  /** podnet: answers with what calls took instead of laps. */
  readonly calls?: boolean;
}

let started = 0;

/**
 * Starts a program with a node of its own, or on that of another, and waits until it takes commands.
 *
 * @throws {Error} when it ends instead
 */
export async function start(
  subject: string,
  { join, warm, calls }: StartOptions = {},
): Promise<Driver> {
  const command = subjects[subject];
  if (command === undefined) throw new RangeError(`no subject ${subject}`);
  const directory = join?.directory ?? `${WORK}/${started++}`;
  await Deno.mkdir(directory, { recursive: true });
  const joins = join !== undefined && subject === LIMIT ? ["join"] : [];
  // Options of podnet; what other programs are started without, they do not see.
  const options = calls
    ? [String(warm ?? "none"), "calls"]
    : warm === undefined
    ? []
    : [String(warm)];
  const driver = new Driver({
    name: subject,
    command: [...command(directory), ...joins, ...options],
    directory,
    env: {
      // Deno looks for a newer Deno half a second after its start.
      DENO_NO_UPDATE_CHECK: "1",
    },
    ...(join === undefined ? {} : { enter: inside(join.pid) }),
  });
  try {
    // Nothing to be done, which it says when its node is set up.
    await driver.ask("create", 0, 0);
    return driver;
  } catch (error) {
    await driver[Symbol.asyncDispose]();
    throw error;
  }
}
