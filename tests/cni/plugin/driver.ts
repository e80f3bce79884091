/**
 * Plays libcni: starts the real launcher, with an environment and a standard input as runtimes give them, and holds every
 * answer to the rules that all answers have to keep.
 *
 * @module
 */
import { assert, assertEquals } from "@std/assert";
import { isJsonObject } from "../../../src/cni/model/json.ts";
import {
  type CniResult,
  isCniVersion,
  type JsonObject,
  parseNetworkList,
  parseResult,
  type PluginConfig,
  pluginInput,
  runtimeConfigFor,
} from "../../../src/cni/model/mod.ts";
import { Host, type Outcome } from "../../cli/host.ts";

/** An attachment, and who asks for it. */
export interface Attachment {
  readonly containerID: string;
  /** A path; empty when it is gone. */
  readonly netns: string;
  /** @default "eth0" */
  readonly ifname?: string;
  /** `CNI_ARGS`. */
  readonly args?: string;
}

/** What a plugin answered. */
export interface Answer {
  readonly code: number;
  /** The one document; undefined when it said nothing. */
  readonly document: JsonObject | undefined;
  readonly stderr: string;
}

/** Debian's plugins. */
export const PEERS = "/usr/lib/cni";

/** A machine that has podnet installed as a plugin. */
export class PluginHost implements AsyncDisposable {
  readonly host: Host;
  /** Everything that was installed is below it. */
  readonly directory: string;

  private constructor(host: Host, directory: string) {
    this.host = host;
    this.directory = directory;
  }

  /** Starts a machine, and installs the plugin on it from this checkout. */
  static async start(): Promise<PluginHost> {
    const host = await Host.start();
    const directory = await Deno.makeTempDir({ prefix: "podnet-cni-" });
    const machine = new PluginHost(host, directory);
    try {
      await host.ok("cni", "install", ...machine.directories());
      // `ip netns` wants it shared, and what is mounted there shall end with the machine.
      await machine.sh(
        "mkdir -p /run/netns && mount -t tmpfs tmpfs /run/netns && mount --make-shared /run/netns",
      );
      return machine;
    } catch (error) {
      await machine[Symbol.asyncDispose]();
      throw error;
    }
  }

  /** The options of `podnet cni` that put everything below {@linkcode PluginHost.directory}. */
  directories(): string[] {
    const { directory } = this;
    return [
      ...["--bin-dir", `${directory}/bin`],
      ...["--conf-dir", `${directory}/conf`],
      ...["--lib-dir", `${directory}/lib`],
      ...["--cache-dir", `${directory}/cache`],
    ];
  }

  /** Runs shell commands on the machine, all of which have to succeed. */
  async sh(script: string): Promise<string> {
    const { code, stdout, stderr } = await this.host.run("sh", "-ec", script);
    assertEquals(code, 0, `${script}: ${stderr}`);
    return stdout;
  }

  /** Makes a container's namespace; the result is its path. */
  async container(name: string): Promise<string> {
    await this.sh(`ip netns add ${name}`);
    return `/run/netns/${name}`;
  }

  /** Greets whoever connects to TCP port 80 of a container, until disposed of. */
  async greeter(container: string): Promise<AsyncDisposable> {
    const file = `${this.directory}/${container}.pid`;
    await this.sh(
      `ip netns exec ${container} socat TCP6-LISTEN:80,fork,reuseaddr,ipv6only=0 SYSTEM:'echo hello' >/dev/null 2>&1 &
      echo $! > ${file}`,
    );
    return {
      [Symbol.asyncDispose]: async () => {
        await this.sh(`kill $(cat ${file}); rm ${file}`);
      },
    };
  }

  /** What a greeter at `address:port` says to the node; it may need a moment to begin. */
  async greeting(address: string): Promise<string> {
    return await this.sh(
      `for i in $(seq 300); do
        socat -u TCP:${address},connect-timeout=5 - 2>/dev/null && exit 0
        sleep 0.2
      done
      exit 1`,
    );
  }

  /** A configuration of podnet. */
  config(more: JsonObject = {}): JsonObject {
    return {
      cniVersion: "1.1.0",
      name: "net",
      type: "podnet",
      node: "test",
      stateDir: this.host.stateDir,
      podCidrs: ["10.77.0.0/24", "fd00:77::/64"],
      ...more,
    };
  }

  /** Runs a plugin with nothing in its environment but these variables. */
  async exec(
    type: string,
    variables: Readonly<Record<string, string>>,
    stdin: string,
  ): Promise<Outcome> {
    const program = type === "podnet"
      ? `${this.directory}/bin/podnet`
      : `${PEERS}/${type}`;
    // Debian's run iptables; podnet has to do with nothing.
    const path = type === "podnet" ? [] : ["PATH=/usr/sbin:/usr/bin"];
    const pairs = Object.entries(variables).map(([k, v]) => `${k}=${v}`);
    return await this.host.runWith(stdin, [
      ...["env", "-i", ...path, ...pairs],
      program,
    ]);
  }

  /** Runs a plugin as libcni does, and holds its answer to the rules. */
  async invoke(
    command: string,
    attachment: Attachment | undefined,
    config: JsonObject,
  ): Promise<Answer> {
    const { containerID, netns, ifname = "eth0", args } = attachment ?? {};
    const outcome = await this.exec(String(config["type"]), {
      CNI_COMMAND: command,
      CNI_PATH: `${this.directory}/bin:${PEERS}`,
      ...containerID !== undefined && {
        CNI_CONTAINERID: containerID,
        CNI_NETNS: netns ?? "",
        CNI_IFNAME: ifname,
      },
      ...args !== undefined && { CNI_ARGS: args },
    }, JSON.stringify(config));
    return held(outcome, command, config);
  }

  /** Adds, which has to succeed. */
  async add(attachment: Attachment, config: JsonObject): Promise<JsonObject> {
    const { code, document } = await this.invoke("ADD", attachment, config);
    assertEquals(code, 0, JSON.stringify(document));
    assert(document !== undefined);
    return document;
  }

  /** Runs a command that answers with nothing, and has to succeed. */
  async ok(
    command: string,
    attachment: Attachment | undefined,
    config: JsonObject,
  ): Promise<void> {
    const { code, document } = await this.invoke(command, attachment, config);
    assertEquals({ code, document }, { code: 0, document: undefined });
  }

  /** Runs a command that has to fail with this code; the result is the error. */
  async fails(
    errorCode: number,
    command: string,
    attachment: Attachment | undefined,
    config: JsonObject,
  ): Promise<{ readonly msg: string; readonly details: string }> {
    const { code, document } = await this.invoke(command, attachment, config);
    const text = JSON.stringify(document);
    assert(code !== 0, `it succeeded: ${text}`);
    assertEquals(document?.["code"], errorCode, text);
    return {
      msg: String(document?.["msg"]),
      details: String(document?.["details"] ?? ""),
    };
  }

  /** What of podnet and its plugins is on the machine. */
  async traces(): Promise<string[]> {
    const listed = await this.host.json("ls") as readonly { id: string }[];
    const links = await this.sh("ip -o link");
    const elements = await this.sh("nft list table inet podnet");
    return [
      ...listed.map(({ id }) => `sandbox ${id}`),
      ...links.match(/pn-[0-9a-f]{12}/g) ?? [],
      ...elements.match(/[^\n]*comment "cni-[^\n]*/g) ?? [],
    ];
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.host[Symbol.asyncDispose]();
    await Deno.remove(this.directory, { recursive: true });
  }
}

/** The rules that hold for every answer: one document or none, an error if and only if the exit code says so. */
function held(
  { code, stdout, stderr }: Outcome,
  command: string,
  config: JsonObject,
): Answer {
  const context = `${command}: ${stdout}${stderr}`;
  // More than one document, and anything else beside it, is no JSON.
  const document: unknown = stdout === "" ? undefined : JSON.parse(stdout);
  if (code !== 0) {
    assert(isJsonObject(document), context);
    assertEquals(typeof document["code"], "number", context);
    assert(String(document["msg"]) !== "", context);
    // The reference plugins leave it out.
    if (isCniVersion(config["cniVersion"]) && "cniVersion" in document) {
      assertEquals(document["cniVersion"], config["cniVersion"], context);
    }
    return { code, document, stderr };
  }
  if (config["type"] === "podnet") assertEquals(stderr, "", context);
  if (command !== "ADD" && command !== "VERSION") {
    assertEquals(document, undefined, context);
    return { code, document: undefined, stderr };
  }
  assert(isJsonObject(document), context);
  if (command === "ADD") {
    assertEquals(document["cniVersion"], config["cniVersion"] ?? "0.1.0");
    parseResult(document);
  }
  return { code, document, stderr };
}

/** A list of plugins, run as libcni runs it. */
export class Chain {
  readonly #host: PluginHost;
  readonly #list: ReturnType<typeof parseNetworkList>;
  readonly #args: JsonObject;
  /** The result of the last plugin. */
  result: JsonObject | undefined;

  /** @param args capability arguments: each plugin gets those that it has a capability for */
  constructor(host: PluginHost, list: JsonObject, args: JsonObject = {}) {
    this.#host = host;
    this.#list = parseNetworkList(list);
    this.#args = args;
  }

  /** The final result, read. */
  get read(): CniResult {
    assert(this.result !== undefined);
    return parseResult(this.result);
  }

  /** Each plugin gets the result of the one before, the first one `before`; returns the first error. */
  async add(
    attachment: Attachment,
    before?: JsonObject,
  ): Promise<JsonObject | undefined> {
    let prevResult = before;
    for (const plugin of this.#list.plugins) {
      const { code, document } = await this.#host.invoke(
        "ADD",
        attachment,
        this.#input(plugin, prevResult),
      );
      if (code !== 0) return document;
      prevResult = document;
    }
    this.result = prevResult;
    return undefined;
  }

  /** Each plugin gets the final result. */
  async check(attachment: Attachment): Promise<JsonObject | undefined> {
    return await this.#each("CHECK", attachment, this.#list.plugins);
  }

  /** In reverse, with the final result. */
  async del(attachment: Attachment): Promise<JsonObject | undefined> {
    return await this.#each("DEL", attachment, this.#list.plugins.toReversed());
  }

  async #each(
    command: string,
    attachment: Attachment,
    plugins: readonly PluginConfig[],
  ): Promise<JsonObject | undefined> {
    for (const plugin of plugins) {
      const { code, document } = await this.#host.invoke(
        command,
        attachment,
        this.#input(plugin, this.result),
      );
      if (code !== 0) return document;
    }
    return undefined;
  }

  #input(
    plugin: PluginConfig,
    prevResult: JsonObject | undefined,
  ): JsonObject {
    return pluginInput(this.#list, plugin, {
      runtimeConfig: runtimeConfigFor(plugin, this.#args),
      ...prevResult !== undefined && { prevResult },
    });
  }
}
