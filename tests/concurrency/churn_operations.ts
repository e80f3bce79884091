/**
 * What one of many processes does to a node at random, and which refusals are in order.
 *
 * @module
 */
import {
  type Node,
  type NodeOptions,
  openNode,
  type PortMapping,
  type SandboxErrorCode,
  type SandboxSpec,
} from "../../mod.ts";
import { nodeAddress } from "../support/pods.ts";
import { Random } from "./random.ts";

/** What it does, how often in relation to the others, and which errors that may meet. */
export const OPERATIONS = {
  create: {
    weight: 34,
    errors: [
      "SandboxConflict",
      "AddressInUse",
      "AddressPoolExhausted",
      "HostPortInUse",
    ],
  },
  remove: { weight: 20, errors: ["SandboxInUse"] },
  removeForced: { weight: 6, errors: [] },
  addPorts: {
    weight: 10,
    errors: ["SandboxNotFound", "HostPortInUse", "InvalidSpec"],
  },
  removePorts: { weight: 6, errors: ["SandboxNotFound"] },
  addContainer: {
    weight: 4,
    errors: ["SandboxNotFound", "ContainerConflict", "ContainerPortInUse"],
  },
  removeContainer: { weight: 5, errors: ["SandboxNotFound"] },
  open: { weight: 5, errors: ["SandboxNotFound"] },
  openNode: { weight: 2, errors: [] },
  list: { weight: 4, errors: [] },
  rest: { weight: 6, errors: [] },
  check: { weight: 1.5, errors: [] },
  repair: { weight: 1.5, errors: [] },
  collectGarbage: { weight: 2, errors: [] },
  collectGarbageForced: { weight: 1, errors: [] },
} as const satisfies Readonly<
  Record<
    string,
    { readonly weight: number; readonly errors: readonly SandboxErrorCode[] }
  >
>;

/** Name of an operation. */
export type Operation = keyof typeof OPERATIONS;

/** How many specs one name may be asked for with. */
const VARIANTS = 3;
/** Fixed addresses end in one of so many numbers. */
const FIXED_ADDRESSES = 24;
/** Container ports lie from here on, so that each tells its mapping. */
const CONTAINER_PORTS = 8000;

/** What all processes share. */
export interface ChurnWorld {
  /** Decides what the specs are. */
  readonly specSeed: number;
  /** Size of the pool of names, and of that of host ports. */
  readonly names: number;
}

/** The processes' own dice, and what they throw them for. */
export class Churner {
  readonly #node: Node;
  readonly #reference: NodeOptions;
  readonly #world: ChurnWorld;
  readonly #random: Random;

  constructor(
    node: Node,
    reference: NodeOptions,
    world: ChurnWorld,
    seed: number,
  ) {
    this.#node = node;
    this.#reference = reference;
    this.#world = world;
    this.#random = new Random(seed);
  }

  /** Throws the dice for the next operation. */
  next(): Operation {
    const weights = Object.fromEntries(
      Object.entries(OPERATIONS).map(([name, { weight }]) => [name, weight]),
    ) as Record<Operation, number>;
    return this.#random.weighted(weights);
  }

  /**
   * Does it, on a random sandbox.
   *
   * @returns what it found wrong on the node, which is nothing as long as nobody is killed
   */
  async perform(operation: Operation): Promise<readonly unknown[]> {
    const node = this.#node;
    const random = this.#random;
    const name = this.#name();
    switch (operation) {
      case "create": {
        const spec = specOf(this.#world, name, random.below(VARIANTS));
        await using _sandbox = await node.createSandbox(spec);
        return [];
      }
      case "remove":
        await node.removeSandbox(name);
        return [];
      case "removeForced":
        await node.removeSandbox(name, { force: true });
        return [];
      case "addPorts":
      case "removePorts": {
        await using sandbox = await node.openSandbox(name);
        const mappings = [portMapping(this.#world, random)];
        // Of those that it has, when there are any.
        const own = sandbox.ports[0];
        await (operation === "addPorts"
          ? sandbox.addPorts(mappings)
          : sandbox.removePorts(own === undefined ? mappings : [own]));
        return [];
      }
      case "addContainer":
      case "removeContainer": {
        await using sandbox = await node.openSandbox(name);
        const container = `container-${random.below(2)}`;
        await (operation === "addContainer"
          ? sandbox.addContainer({
            name: container,
            ports: [80 + random.below(2)],
          })
          : sandbox.removeContainer(container));
        return [];
      }
      case "open": {
        await using _sandbox = await node.openSandbox(name);
        return [];
      }
      case "openNode": {
        await using _again = await openNode(this.#reference);
        return [];
      }
      case "list":
        await node.listSandboxes();
        return [];
      case "rest":
        await new Promise((wake) => setTimeout(wake, 30));
        return [];
      case "check":
        return await node.check();
      case "repair":
        return (await node.repair()).mended;
      case "collectGarbage":
        return await node.collectGarbage();
      case "collectGarbageForced":
        return await node.collectGarbage({ force: true });
    }
  }

  /** Half of the time one of a few, so that processes meet. */
  #name(): string {
    const { names } = this.#world;
    const few = Math.ceil(names / 8);
    return `pod-${this.#random.below(this.#random.chance(0.5) ? few : names)}`;
  }
}

/** The same for every process. */
function specOf(
  world: ChurnWorld,
  name: string,
  variant: number,
): SandboxSpec {
  const number = Number(name.replace("pod-", ""));
  const random = new Random(
    Math.imul(world.specSeed + number * VARIANTS + variant, 0x9e3779b1),
  );
  const ports = Array.from(
    { length: random.below(4) },
    () => portMapping(world, random),
  );
  return {
    name,
    ...(random.chance(0.1) ? { addresses: fixedAddresses(random) } : {}),
    // One key once: the same port twice is for the rules of specs to refuse.
    ports: ports.filter((port, at) =>
      ports.findIndex(({ hostPort }) => hostPort === port.hostPort) === at
    ),
  };
}

function portMapping({ names }: ChurnWorld, random: Random): PortMapping {
  const hostIP = random.pick([
    undefined,
    undefined,
    nodeAddress(4),
    nodeAddress(6),
  ]);
  return {
    protocol: random.pick(["tcp", "udp"]),
    hostPort: 20_000 + random.below(names),
    containerPort: CONTAINER_PORTS + random.below(4),
    ...(hostIP === undefined ? {} : { hostIP }),
  };
}

/** Of one family or both. */
function fixedAddresses(random: Random): string[] {
  const number = 10 + random.below(FIXED_ADDRESSES);
  return random.pick([
    [`10.244.1.${number}`],
    [`fd00:10:244:1::${number}`],
    [`10.244.1.${number}`, `fd00:10:244:1::${number}`],
  ]);
}
