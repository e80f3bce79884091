/**
 * The networks that the clients are run with, each one file of configuration: podnet's, and as the control the chain of
 * reference plugins that runtimes come with. A test that holds with both tests the client; podnet has to hold it too.
 *
 * @module
 */
import type { Machine } from "./machine.ts";

/** Where runtimes look for configurations, by default. */
export const CONF_DIR = "/etc/cni/net.d";
/** Where they look for plugins. */
export const BIN_DIR = "/opt/cni/bin";

/** A network as a runtime knows it. */
export interface Network {
  readonly name: "podnet" | "reference plugins";
  /** The name in its configuration. */
  readonly network: string;
  /** The plugin that does the work. */
  readonly plugin: string;
  /** Networks that its pods' addresses are from. */
  readonly podCidrs: readonly [string, string];
  /** Has the plugin take away all but what belongs to containers of these ids. */
  readonly collectGarbage?: (
    machine: Machine,
    ids: readonly string[],
  ) => Promise<void>;
  /** Puts the plugin and the configuration where runtimes look for them. */
  readonly install: (machine: Machine) => Promise<void>;
  /** The name of a second network. */
  readonly second: string;
  /** Adds the configuration of the second network. */
  readonly installSecond: (machine: Machine) => Promise<void>;
}

function referenceConflist(
  name: string,
  bridge: string,
  cidrs: readonly string[],
) {
  return {
    cniVersion: "1.0.0",
    name,
    plugins: [
      {
        type: "bridge",
        bridge,
        isGateway: true,
        isDefaultGateway: true,
        hairpinMode: true,
        ipMasq: true,
        ipam: {
          type: "host-local",
          ranges: cidrs.map((subnet) => [{ subnet }]),
        },
      },
      { type: "portmap", capabilities: { portMappings: true } },
    ],
  };
}

const REFERENCE_CIDRS = ["10.88.0.0/24", "fd00:88::/64"] as const;

const REFERENCE: Network = {
  name: "reference plugins",
  network: "reference",
  plugin: "bridge",
  podCidrs: REFERENCE_CIDRS,
  install: async (machine) => {
    await machine.run("mkdir", "-p", BIN_DIR);
    await machine.run("sh", "-c", `ln -s /usr/lib/cni/* ${BIN_DIR}`);
    const conflist = referenceConflist("reference", "cni0", REFERENCE_CIDRS);
    await writeConflist(machine, "10-reference", conflist);
  },
  second: "second",
  installSecond: async (machine) => {
    const cidrs = ["10.89.0.0/24", "fd00:89::/64"];
    const conflist = referenceConflist("second", "cni1", cidrs);
    await writeConflist(machine, "20-second", conflist);
  },
};

const PODNET_CIDRS = ["10.244.1.0/24", "fd00:10:244:1::/64"] as const;

/** podnet. */
export const PODNET: Network = {
  name: "podnet",
  network: "podnet",
  plugin: "podnet",
  podCidrs: PODNET_CIDRS,
  install: async (machine) => {
    const cidrs = PODNET_CIDRS.flatMap((cidr) => ["--pod-cidr", cidr]);
    await machine.run("podnet", "cni", "install", ...cidrs);
    // containerd before 2.0 has it bring up lo.
    await machine.run("ln", "-s", "/usr/lib/cni/loopback", BIN_DIR);
  },
  second: "second",
  installSecond: async (machine) => {
    const first = await podnetConflist(machine);
    await writeConflist(machine, "20-second", { ...first, name: "second" });
  },
  collectGarbage: async (machine, ids) => {
    const { name, plugins } = await podnetConflist(machine);
    const request = {
      ...plugins[0],
      cniVersion: "1.1.0",
      name,
      "cni.dev/valid-attachments": ids.map((containerID) => ({
        containerID,
        ifname: "eth0",
      })),
    };
    const shell = `CNI_COMMAND=GC CNI_PATH=${BIN_DIR} ${BIN_DIR}/podnet <<'END'
${JSON.stringify(request)}
END`;
    await machine.run("sh", "-ec", shell);
  },
};

/** All of them. */
export const NETWORKS: readonly Network[] = [PODNET, REFERENCE];

async function podnetConflist(machine: Machine) {
  return JSON.parse(await machine.read(`${CONF_DIR}/10-podnet.conflist`));
}

/** Writes a configuration. */
export async function writeConflist(
  machine: Machine,
  name: string,
  conflist: unknown,
): Promise<void> {
  const text = `${JSON.stringify(conflist, null, 2)}\n`;
  await machine.write(`${CONF_DIR}/${name}.conflist`, text);
}
