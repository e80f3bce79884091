/**
 * A lab of one node, with everything on it as text.
 *
 * @module
 */
import { assertEquals } from "@std/assert";
import type { Node } from "../../mod.ts";
import { findElementsOf } from "../../src/hostport/host_ports.ts";
import { NetworkNamespace } from "../../src/namespace/network_namespace.ts";
import { Connection } from "../../src/netlink/connection.ts";
import { NETLINK_ROUTE } from "../../src/netlink/message.ts";
import { NftablesConnection } from "../../src/nftables/connection.ts";
import { dumpRoutes, ROUTE_PROTOCOL } from "../../src/rtnetlink/route.ts";
import { contextOf } from "../../src/sandbox/node.ts";
import { createLab, type Lab, type LabNode } from "../../src/testing/mod.ts";
import { ask, serve } from "../support/ask.ts";
import { command } from "../support/command.ts";
import {
  claimsOf,
  filesBelow,
  mountsBelow,
  stateOf,
} from "../support/node_state.ts";
import { nodeAddress, nodeAt } from "../support/pods.ts";
import type { Scene } from "./operations.ts";
import { eventually, settled } from "../support/patience.ts";

/** Connections of UDP that go through host ports, without their age; switches of the node. */
const MORE = `
  (conntrack -L -p udp 2>/dev/null || true) |
    sed -E 's/^udp +17 [0-9]+ //' | sort
  (grep -r . /proc/sys/net/ipv4/conf/all /proc/sys/net/ipv6/conf/all \\
    /proc/sys/net/ipv4/conf/default /proc/sys/net/ipv6/conf/default \\
    /proc/sys/net/ipv4/ip_forward 2>/dev/null || true) | sort`;

/** Everything of a node as text, whoever made it. */
export function everything(node: LabNode): string[] {
  return [
    ...claimsOf(node),
    ...stateOf(node),
    ...command(node.namespace, MORE).split("\n"),
  ];
}

/** A lab, and a namespace of somebody else that sandboxes adopt. */
export class World implements AsyncDisposable {
  readonly #lab: Lab;
  readonly host: LabNode;
  readonly scene: Scene;
  readonly #adopted: NetworkNamespace;
  readonly #route: Connection;
  readonly #nft: NftablesConnection;
  /** Of a plugin, its files and the cache. */
  readonly #plugins: string;

  private constructor(lab: Lab) {
    this.#lab = lab;
    this.host = nodeAt(lab.nodes, 0);
    this.#adopted = NetworkNamespace.create();
    // Links that pods are given.
    command(
      this.host.namespace,
      `ip link add spare0 mtu 1400 type veth peer name spare1
       ip link set spare1 up addrgenmode none
       ip link set spare0 up addrgenmode none
       ip addr add 203.0.113.1/24 dev spare0`,
    );
    this.#plugins = pluginDirectory();
    this.#route = this.host.namespace.run(() => Connection.open(NETLINK_ROUTE));
    this.#nft = this.host.namespace.run(() => NftablesConnection.open());
    this.scene = {
      node: {
        name: this.node.name,
        netns: `/proc/${Deno.pid}/fd/${this.host.namespace.fd}`,
        stateDir: this.node.stateDir,
      },
      sandbox: "victim",
      adopted: `/proc/${Deno.pid}/fd/${this.#adopted.fd}`,
      network: {
        conflist: { cniVersion: "1.0.0", name: "net", type: "keeper" },
        pluginDirs: [`${this.#plugins}/bin`],
        cacheDir: `${this.#plugins}/cache`,
      },
    };
  }

  static async create(): Promise<World> {
    return new World(await createLab());
  }

  /** This process's own handle. */
  get node(): Node {
    return this.host.node;
  }

  /** Everything that the node and the adopted namespace have, as text. */
  state(): string[] {
    return [
      // Records that could not be read are kept for people.
      ...everything(this.host).filter((line) => !line.includes("/damaged")),
      // Its lo stays up: nobody else's is known to need it down.
      ...command(
        this.#adopted,
        "ip -o link show | grep -v ' lo:' || true; ip rule; ip -6 rule",
      ).split("\n"),
      ...filesBelow(this.#plugins),
      // The kernel lists what comes back after what has stayed.
    ].sort();
  }

  /** What a failure must not leave for a moment: routes and elements that pods have, mounts and notes on disk. Cheap. */
  quick(): string[] {
    const routes = this.#route.dump(dumpRoutes({ protocol: ROUTE_PROTOCOL }))
      .map(({ destination, index }) => `route ${destination} ${index}`);
    const elements = findElementsOf(this.#nft, () => true)
      .map(({ set, element: { key, data, comment } }) =>
        `element ${set.name} ${key.toHex()} ${data?.toHex()} ${comment}`
      );
    const { stateDir } = this.node;
    return [
      ...[...routes, ...elements].sort(),
      ...mountsBelow(stateDir),
      ...filesBelow(stateDir),
    ];
  }

  /** Asserts that node and sandboxes are as they should be, once links of dead namespaces are gone. */
  async assertHealthy(): Promise<void> {
    await eventually(async () => assertEquals(await this.node.check(), []));
  }

  /** As check() advises: the pod lives, so it is for who uses it to say what is to become of an attachment. */
  async detachUnfinished(): Promise<void> {
    for (const one of await this.node.listSandboxes()) {
      if (one.state === "damaged") continue;
      const left = one.attachments.filter(({ state }) => state !== "ready");
      for (const { name } of left) {
        await using sandbox = await this.node.openSandbox(one.name);
        await sandbox.detach(name);
      }
    }
  }

  /** Removes all sandboxes. */
  async clear(): Promise<void> {
    for (const { id, containers = [] } of await this.node.listSandboxes()) {
      // With force the kernel takes 30 ms.
      await this.node.removeSandbox(id, { force: containers.length > 0 });
    }
    contextOf(this.node).late?.finish();
  }

  /** Asserts that the state is, or becomes once the kernel is done with what is dying, as it was. */
  async assertState(before: readonly string[], why: string): Promise<void> {
    assertEquals(await settled(() => this.state(), before), before, why);
  }

  /** Asserts that a question from outside gets through a host port to the sandbox. */
  async assertReachable(
    name: string,
    ports: Readonly<Record<"tcp" | "udp", readonly [number, number]>>,
  ): Promise<void> {
    await using sandbox = await this.node.openSandbox(name);
    using pod = NetworkNamespace.open(sandbox.netnsPath);
    for (const transport of ["tcp", "udp"] as const) {
      const [hostPort, port] = ports[transport];
      for (const family of [4, 6] as const) {
        const address = sandbox.addresses[family === 4 ? 0 : 1] ?? "";
        using server = serve(name, pod, { transport, address, port });
        const to = { address: nodeAddress(family), port: hostPort };
        const answer = ask(transport, this.#lab.outside.namespace, to, [
          server,
        ]);
        assertEquals(
          typeof answer === "string" ? answer : answer.server,
          name,
          `${transport} to port ${hostPort} over IPv${family}`,
        );
      }
    }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#route[Symbol.dispose]();
    this.#nft[Symbol.dispose]();
    this.#adopted[Symbol.dispose]();
    await this.#lab[Symbol.asyncDispose]();
    await Deno.remove(this.#plugins, { recursive: true });
  }
}

/** A directory with a plugin that keeps a file of each attachment, and an empty cache. */
function pluginDirectory(): string {
  const directory = Deno.makeTempDirSync({ prefix: "podnet-cni-" });
  for (const name of ["bin", "kept", "cache", "cache/results"]) {
    Deno.mkdirSync(`${directory}/${name}`, { mode: 0o700 });
  }
  const file = `${directory}/kept/$CNI_CONTAINERID-$CNI_IFNAME`;
  Deno.writeTextFileSync(
    `${directory}/bin/keeper`,
    `#!/bin/sh
case $CNI_COMMAND in
ADD) [ ! -e ${file} ] || exit 1; : > ${file}; echo '{"cniVersion":"1.0.0"}';;
DEL) rm -f ${file};;
esac
`,
    { mode: 0o755 },
  );
  return directory;
}
