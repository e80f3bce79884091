/**
 * Who has what on a node: each address, host port, link and pin exactly one sandbox, by the records and by the kernel.
 *
 * @module
 */
import { assert, assertEquals } from "@std/assert";
import type { KnownSandboxSummary } from "../../mod.ts";
import type { LabNode } from "../../src/testing/mod.ts";
import { NetworkNamespace } from "../../src/namespace/network_namespace.ts";
import { ask, serve } from "../support/ask.ts";
import { command, ipRoutes } from "../support/command.ts";
import { linksSettled } from "../support/node_state.ts";
import { nodeAddress } from "../support/pods.ts";
import { familyOf } from "../support/sockets.ts";

/**
 * Asserts that records and kernel agree, both ways, and that nobody shares. Read by `ip`, `nft` and `/proc`, not by podnet.
 *
 * @returns the sandboxes
 */
export async function assertOneOwnerEach(
  node: LabNode,
): Promise<KnownSandboxSummary[]> {
  await linksSettled(node);
  const all = await node.node.listSandboxes();
  for (const { id, state, reason } of all) {
    assertEquals(state, "ready", `${id}: ${reason}`);
  }
  const sandboxes = all.filter((sandbox) => sandbox.state !== "damaged");
  const addresses = sandboxes.flatMap((sandbox) =>
    sandbox.addresses.map((address) => ({ address, sandbox }))
  );
  assertUnique(addresses.map(({ address }) => address));
  assertUnique(sandboxes.map(({ hostInterface }) => hostInterface ?? ""));
  assertUnique(sandboxes.flatMap(portKeys));

  assertSame(
    "routes",
    ([4, 6] as const).flatMap((family) =>
      ipRoutes(node.namespace, family, "proto 112")
        // Of single addresses; the rest of the pod CIDR is the node's.
        .filter(({ dst }) => !dst.includes("/"))
        .map(({ dst, dev }) => `${dst} ${dev}`)
    ),
    addresses.map(({ address, sandbox }) =>
      `${address} ${sandbox.hostInterface}`
    ),
  );
  assertSame(
    "neighbours",
    permanentNeighbours(node),
    addresses.map(({ address, sandbox }) =>
      `${address} ${sandbox.hostInterface} ${sandbox.mac}`
    ),
  );
  assertSame(
    "links",
    podLinks(node),
    sandboxes.map(({ id, hostInterface }) =>
      `${hostInterface} podnet:${node.node.name}/${id}`
    ),
  );
  assertSame("elements", elements(node), sandboxes.flatMap(elementsOf));
  assertSame(
    "pins",
    mountedNamespaces(node.node.stateDir),
    sandboxes.map(({ netnsPath }) => netnsPath),
  );
  assertSame(
    "directories",
    [...Deno.readDirSync(`${node.node.stateDir}/${node.node.name}/sandboxes`)]
      .map(({ name }) => name),
    sandboxes.map(({ id }) => id),
  );
  assertUnique(sandboxes.map(({ netnsPath }) => namespaceOf(netnsPath)));
  return sandboxes;
}

/** Asserts that each sandbox answers on its own addresses and through its host ports, and that it is the one who answers. */
export function assertTraffic(
  node: LabNode,
  sandboxes: readonly KnownSandboxSummary[],
): void {
  for (const { name, netnsPath, addresses, ports } of sandboxes) {
    using pod = NetworkNamespace.open(netnsPath);
    for (const address of addresses) {
      using server = serve(name, pod, { transport: "tcp", address, port: 80 });
      const to = { address, port: 80 };
      const answer = ask("tcp", node.namespace, to, [server]);
      assert(typeof answer === "object", `${name} ${address}: ${answer}`);
    }
    for (const port of ports) {
      const { protocol, hostIP, hostPort, containerPort } = port;
      if (protocol === "sctp") throw new TypeError("nobody asked for SCTP");
      for (const address of addresses) {
        const family = familyOf(address);
        if (hostIP !== undefined && familyOf(hostIP) !== family) continue;
        using server = serve(name, pod, {
          transport: protocol,
          address,
          port: containerPort,
        });
        const to = { address: hostIP ?? nodeAddress(family), port: hostPort };
        const answer = ask(protocol, node.namespace, to, [server]);
        assert(
          typeof answer === "object",
          `${name} ${JSON.stringify(port)}: ${answer}`,
        );
      }
    }
  }
}

function assertUnique(items: readonly string[]): void {
  const twice = items.filter((item, at) => items.indexOf(item) !== at);
  assertEquals(twice, []);
}

function assertSame(
  what: string,
  actual: readonly string[],
  expected: readonly string[],
): void {
  assertEquals(actual.toSorted(), expected.toSorted(), what);
}

/** A wildcard has the port on every address, so it counts as each of them. */
function portKeys({ ports }: KnownSandboxSummary): string[] {
  return ports.flatMap(({ protocol, hostIP, hostPort }) =>
    (hostIP === undefined ? [nodeAddress(4), nodeAddress(6)] : [hostIP])
      .map((address) => `${protocol} ${address} ${hostPort}`)
  );
}

function permanentNeighbours({ namespace }: LabNode): string[] {
  const text = command(namespace, "ip -j neigh show nud permanent");
  const found: { dst: string; dev: string; lladdr: string }[] = JSON.parse(
    text || "[]",
  );
  return found.filter(({ dev }) => dev.startsWith("pn-"))
    .map(({ dst, dev, lladdr }) => `${dst} ${dev} ${lladdr}`);
}

function podLinks({ namespace }: LabNode): string[] {
  const found: { ifname: string; ifalias?: string }[] = JSON.parse(
    command(namespace, "ip -j link show"),
  );
  return found.filter(({ ifname }) => ifname.startsWith("pn-"))
    .map(({ ifname, ifalias }) => `${ifname} ${ifalias}`);
}

/** `SET KEY ID DATA` of each element that has an owner. */
function elements({ namespace }: LabNode): string[] {
  const text = command(namespace, "nft list table inet podnet");
  return [...text.matchAll(/(?:set|map) (\w+) \{\n([^}]*)\}?/g)].flatMap(
    ([, set, body = ""]) =>
      [...body.matchAll(
        /([\w.:]+(?: \. [\w.:]+)*) comment "(\w+)"(?: : ([\w.:]+ \. \d+))?/g,
      )].map(([, key, id, data = ""]) => `${set} ${key} ${id} ${data}`),
  );
}

/** The elements that a sandbox should have. */
function elementsOf({ id, addresses, ports }: KnownSandboxSummary): string[] {
  return addresses.flatMap((address) => {
    const family = familyOf(address);
    const own = ports.filter(({ hostIP }) =>
      hostIP === undefined || familyOf(hostIP) === family
    );
    return [
      `hairpin${family} ${address} . ${address} ${id} `,
      ...own.flatMap(({ protocol, hostIP, hostPort, containerPort }) => {
        const port = `${protocol} . ${hostPort}`;
        const data = `${address} . ${containerPort}`;
        return hostIP === undefined
          ? [
            `hostports${family} ${port} ${id} ${data}`,
            `loopback${family} ${port} ${id} `,
          ]
          : [`hostports${family}_ip ${hostIP} . ${port} ${id} ${data}`];
      }),
    ];
  });
}

function mountedNamespaces(directory: string): string[] {
  return Deno.readTextFileSync("/proc/thread-self/mountinfo").split("\n")
    .filter((line) => line.includes(" - nsfs "))
    .map((line) => line.split(" ")[4] ?? "")
    .filter((point) => point.startsWith(`${directory}/`));
}

/** Names the namespace that a pin is. */
function namespaceOf(path: string): string {
  return String(Deno.statSync(path).ino);
}
