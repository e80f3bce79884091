/**
 * `podnet ports`
 *
 * @module
 */
import type { PortMapping, SinglePortMapping } from "../../../mod.ts";
import { defineCommand } from "../command.ts";
import { hostRange, mergeRanges, podRange } from "../describe.ts";
import { namespaceOption, outputOption } from "../options.ts";
import { isJson, printRows } from "../output.ts";
import { portMappings, publishOption } from "../sandbox_options.ts";
import { openNode, openSandbox } from "../session.ts";
import { UsageError } from "../usage.ts";

interface PortOwner {
  readonly id: string;
  readonly name: string;
  readonly namespace: string;
}

const changeOptions = {
  ...namespaceOption,
  ...publishOption,
  ...outputOption,
} as const;

/** Lists the host ports of the node or of one sandbox. */
export const ports = defineCommand({
  operands: [{ name: "NAME", completes: "sandboxes", optional: true }],
  options: { ...namespaceOption, ...outputOption },
  examples: ["podnet ports", "podnet ports web -o json"],
  async run({ operands: [name], options, global }) {
    await using node = await openNode(global);
    if (name === undefined) {
      const all = await node.listSandboxes();
      printPorts(
        all.filter((sandbox) => sandbox.state !== "damaged").filter((
          { namespace },
        ) =>
          options.namespace === undefined || namespace === options.namespace
        ),
        isJson(options),
      );
    } else {
      await using sandbox = await openSandbox(node, name, options);
      printPorts([sandbox], isJson(options));
    }
    return 0;
  },
});

/** Maps more host ports to a sandbox. */
export const portsAdd = defineCommand({
  operands: [{ name: "NAME", completes: "sandboxes" }],
  options: changeOptions,
  notes: ["All of the ports are mapped or, when one is taken, none."],
  examples: ["podnet ports add web -p 8443:443 -p 5353:53/udp"],
  async run({ operands: [name = ""], options, global }) {
    const mappings = await required("add", options.publish);
    await using node = await openNode(global);
    await using sandbox = await openSandbox(node, name, options);
    await sandbox.addPorts(mappings);
    printPorts([sandbox], isJson(options));
    return 0;
  },
});

/** Takes host ports away. */
export const portsRemove = defineCommand({
  operands: [{ name: "NAME", completes: "sandboxes" }],
  options: changeOptions,
  examples: ["podnet ports rm web -p 8443:443"],
  async run({ operands: [name = ""], options, global }) {
    const mappings = await required("rm", options.publish);
    await using node = await openNode(global);
    await using sandbox = await openSandbox(node, name, options);
    refuseMissing(name, sandbox.ports, mappings);
    await sandbox.removePorts(mappings);
    printPorts([sandbox], isJson(options));
    return 0;
  },
});

/** The library does not mind, but a port that stays open because of a typo is nobody's wish. */
function refuseMissing(
  name: string,
  ports: readonly SinglePortMapping[],
  mappings: readonly PortMapping[],
): void {
  for (const mapping of mappings) {
    const { protocol = "tcp", hostIP, hostPort, containerPort } = mapping;
    const count = (mapping.hostPortEnd ?? hostPort) - hostPort + 1;
    const mapped = ports.filter((port) =>
      port.protocol === protocol && port.hostIP === hostIP &&
      port.hostPort >= hostPort && port.hostPort < hostPort + count &&
      port.containerPort - port.hostPort === containerPort - hostPort
    );
    if (mapped.length === count) continue;
    const text = `${hostPort}:${containerPort}/${protocol}`;
    throw new UsageError(
      `${name} has no host port ${text}: see podnet ports ${name}`,
    );
  }
}

async function required(
  verb: string,
  publish: readonly string[],
): Promise<PortMapping[]> {
  if (publish.length === 0) {
    throw new UsageError(
      `no port given: write podnet ports ${verb} NAME -p HOSTPORT:PORT`,
    );
  }
  return await portMappings(publish);
}

function printPorts(
  sandboxes: readonly (PortOwner & {
    readonly ports: readonly SinglePortMapping[];
  })[],
  json: boolean,
): void {
  const rows = sandboxes.flatMap(({ id, name, namespace, ports }) =>
    mergeRanges(ports).map((port) => ({ id, name, namespace, ...port }))
  );
  printRows(rows, [
    ["NAME", (p) => p.name],
    ["NAMESPACE", (p) => p.namespace],
    ["PROTOCOL", (p) => p.protocol],
    ["HOST IP", (p) => p.hostIP ?? "*"],
    ["HOST PORT", hostRange],
    ["POD PORT", podRange],
  ], json);
}
