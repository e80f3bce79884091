/**
 * A lab with directories for plugins, their notes and the cache, and plugins that are small shell scripts.
 *
 * @module
 */
import type {
  JsonObject,
  NetworkAttachmentSpec,
  Node,
  Sandbox,
} from "../../../mod.ts";
import type { CniPluginError } from "../../../src/cni/runtime/mod.ts";
import { createLab, type Lab, type LabNode } from "../../../src/testing/mod.ts";
import { command } from "../../support/command.ts";
import { nodeAt } from "../../support/pods.ts";
import { PATIENCE_MS, until } from "../../support/patience.ts";

/** Debian's plugins. */
export const PEERS = "/usr/lib/cni";

/** What a script does for each command; it has the input in `$input`. */
export type Script = Partial<
  Record<"ADD" | "CHECK" | "DEL" | "GC" | "STATUS" | "VERSION", string>
>;

/** One run of a script. */
export interface Run {
  readonly plugin: string;
  readonly command: string;
  readonly containerId: string;
  readonly netns: string;
  readonly ifName: string;
  readonly args: string;
  readonly path: string;
  /** The namespace that it was born in. */
  readonly bornIn: string;
  readonly input: JsonObject;
}

const FIELDS = [
  "CNI_COMMAND",
  "CNI_CONTAINERID",
  "CNI_NETNS",
  "CNI_IFNAME",
  "CNI_ARGS",
  "CNI_PATH",
];

const VERSIONS =
  `echo '{"cniVersion":"1.1.0","supportedVersions":["0.1.0","0.2.0","0.3.0","0.3.1","0.4.0","1.0.0","1.1.0"]}'`;

/** A place to attach pods of. */
export class Site implements AsyncDisposable {
  readonly lab: Lab;
  readonly host: LabNode;
  /** Everything that is not the lab's is below it. */
  readonly directory: string;

  private constructor(lab: Lab, directory: string) {
    this.lab = lab;
    this.host = nodeAt(lab.nodes, 0);
    this.directory = directory;
  }

  static async create(): Promise<Site> {
    const directory = await Deno.makeTempDir({ prefix: "podnet-cni-" });
    await Deno.mkdir(`${directory}/bin`);
    return new Site(await createLab(), directory);
  }

  get node(): Node {
    return this.host.node;
  }

  /** What is the same of all attachments here. */
  get place(): Pick<
    NetworkAttachmentSpec,
    "pluginDirs" | "cacheDir" | "timeoutMs"
  > {
    return {
      pluginDirs: [`${this.directory}/bin`, PEERS],
      cacheDir: `${this.directory}/cache`,
      timeoutMs: PATIENCE_MS,
    };
  }

  /** A network of plugins, named "net" unless it says otherwise. */
  network(
    plugins: readonly JsonObject[],
    more: JsonObject = {},
  ): NetworkAttachmentSpec {
    const conflist = { cniVersion: "1.0.0", name: "net", ...more, plugins };
    return { ...this.place, conflist };
  }

  /** Makes a plugin that notes each of its runs. Without a line for ADD it answers with an empty result. */
  plugin(name: string, script: Script = {}): void {
    const { directory } = this;
    const cases = Object.entries({
      ADD: `echo '{"cniVersion":"1.0.0"}'`,
      VERSION: VERSIONS,
      ...script,
    }).map(([command, lines]) => `${command}) ${lines};;`);
    const variables = FIELDS.map((field) => `"$${field}"`).join(" ");
    const path = `${directory}/bin/${name}`;
    // Replaced in one step: it may be running.
    Deno.writeTextFileSync(
      `${path}.new`,
      `#!/bin/sh
input=$(cat)
for one in ${name} ${variables} "$(readlink /proc/self/ns/net)" "$input"; do
  printf '%s\\t' "$one"
done >> ${directory}/${name}.run
cat ${directory}/${name}.run >> ${directory}/log; echo >> ${directory}/log; rm ${directory}/${name}.run
case $CNI_COMMAND in
${cases.join("\n")}
esac
`,
    );
    Deno.chmodSync(`${path}.new`, 0o755);
    Deno.renameSync(`${path}.new`, path);
  }

  /** What scripts were run for since the last time this was asked, in order. */
  runs(): Run[] {
    const log = `${this.directory}/log`;
    let text: string;
    try {
      text = Deno.readTextFileSync(log);
      Deno.removeSync(log);
    } catch (error) {
      if (!(error instanceof Deno.errors.NotFound)) throw error;
      return [];
    }
    return text.split("\n").filter((line) => line !== "").map((line) => {
      const [
        plugin = "",
        command = "",
        containerId = "",
        netns = "",
        ifName = "",
        args = "",
        path = "",
        bornIn = "",
        input = "",
      ] = line.split("\t");
      return {
        plugin,
        command,
        containerId,
        netns,
        ifName,
        args,
        path,
        bornIn,
        input: JSON.parse(input),
      };
    });
  }

  /** {@linkcode Site.runs} as `plugin COMMAND`. */
  said(): string[] {
    return this.runs().map(({ plugin, command }) => `${plugin} ${command}`);
  }

  /** The names of the cache's files. */
  cached(): string[] {
    try {
      return [...Deno.readDirSync(`${this.directory}/cache/results`)]
        .map(({ name }) => name).sort();
    } catch (error) {
      if (error instanceof Deno.errors.NotFound) return [];
      throw error;
    }
  }

  /** A pod of the node, by name. */
  async pod(name: string): Promise<Sandbox> {
    return await this.node.createSandbox({ name });
  }

  /** Starts another process that does one thing to the sandbox "web". */
  other(
    todo: Readonly<Record<string, unknown>>,
    permissions: readonly string[] = ["--allow-ffi", "--allow-run"],
  ): Deno.ChildProcess {
    const { name, stateDir } = this.node;
    const netns = `/proc/${Deno.pid}/fd/${this.host.namespace.fd}`;
    return new Deno.Command(Deno.execPath(), {
      args: [
        ...["run", "--quiet", "--no-check", "--cached-only", "--no-prompt"],
        ...permissions,
        new URL("fixtures/attacher.ts", import.meta.url).pathname,
        JSON.stringify({ node: { name, stateDir, netns }, ...todo }),
      ],
      stdin: "null",
      stdout: "piped",
    }).spawn();
  }

  /** Waits until a file of the directory is there. */
  async awaitFile(name: string): Promise<void> {
    await until(
      () =>
        [...Deno.readDirSync(this.directory)].some((one) => one.name === name),
      `there is no ${name}`,
    );
  }

  /** A script that says that it has begun, and waits until {@linkcode Site.open}. */
  gate(then: string): string {
    const { directory } = this;
    return `touch ${directory}/begun
      while [ ! -e ${directory}/go ]; do sleep 0.02; done
      touch ${directory}/ended
      ${then}`;
  }

  /** Lets the script go on that waits at its gate. */
  async open(): Promise<void> {
    Deno.writeTextFileSync(`${this.directory}/go`, "");
    await this.awaitFile("ended");
    for (const name of ["begun", "go", "ended"]) {
      Deno.removeSync(`${this.directory}/${name}`);
    }
  }

  /** Runs shell commands on the node. */
  sh(line: string): string {
    return command(this.host.namespace, line);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.lab[Symbol.asyncDispose]();
    await Deno.remove(this.directory, { recursive: true });
  }
}

/** What of an error a test looks at. */
export function told(
  { reason, plugin, command, code, reported, details, undoFailures }:
    CniPluginError,
): unknown[] {
  return [reason, plugin, command, code, reported, details, undoFailures];
}
