/**
 * A node that joins or leaves a cluster by a process that is killed, or in which a call fails, at any step: joining again
 * makes it whole, pods that it had are there, and leaving leaves nothing.
 *
 * @module
 */
import { assert, assertEquals } from "@std/assert";
import { joinCluster } from "../../mod.ts";
import { BareNode } from "../node/bare.ts";
import { command } from "../support/command.ts";
import { Victims } from "./deaths.ts";
import { placesOf, runWith } from "./injection.ts";
import { NODE_OPERATIONS, type Scene } from "./operations.ts";
import { EVERY } from "./scale.ts";
import { settled } from "../support/patience.ts";

type Operation = "join" | "leave";

const DEATHS: Readonly<Record<Operation, number>> = { join: 12, leave: 15 };
const FAILURES: Readonly<Record<Operation, number>> = { join: 9, leave: 10 };
/** So many points, and places, are gone on by. */
const STEP = EVERY ? { deaths: 1, failures: 1 } : { deaths: 3, failures: 8 };
/** A machine that is to be node `bare` of a cluster of three: one behind a route, one behind a tunnel. */
class Candidate implements AsyncDisposable {
  readonly #bare = new BareNode();

  constructor() {
    command(
      this.#bare.namespace,
      `ip link add eth0 type veth peer name wire
       ip link set wire up addrgenmode none
       ip link set eth0 up addrgenmode none
       ip addr add 192.168.50.1/24 dev eth0`,
    );
    const node = (name: string, number: number, address: string) => ({
      name,
      podCidrs: [`10.99.${number}.0/24`],
      addresses: [address],
      vxlan: { vni: 112, port: 8472, mac: `02:00:00:00:00:0${number}` },
    });
    Deno.writeTextFileSync(
      this.#peers,
      JSON.stringify({
        podCidrs: ["10.99.0.0/16"],
        nodes: [
          node("bare", 1, "192.168.50.1"),
          node("near", 2, "192.168.50.2"),
          node("far", 3, "192.168.51.3"),
        ],
      }),
    );
  }

  get #peers(): string {
    return `${this.#bare.stateDir}.json`;
  }

  get scene(): Scene {
    const { path, reference: { name }, stateDir } = this.#bare;
    return {
      node: { name, netns: path, stateDir },
      sandbox: "victim",
      adopted: "",
      network: { conflist: "" },
    };
  }

  join() {
    return joinCluster({ peers: this.#peers, node: this.scene.node });
  }

  /** Makes what the operation acts on: a node of the cluster with a pod. */
  async prepare(operation: Operation): Promise<void> {
    if (operation === "join") return;
    await using cluster = await this.join();
    await cluster.node.createSandbox({ name: "victim" });
  }

  /** Everything that its namespace and its directory have. */
  state(): string[] {
    return command(
      this.#bare.namespace,
      // Whether the cable has been noticed yet is not the point.
      `ip -br link | cut -d ' ' -f 1; ip -o addr
       ip route show table all | grep -v ' wire '
       ip rule; ip -6 rule; nft list ruleset; find ${this.#bare.stateDir}`,
    ).split("\n");
  }

  async assertUntouched(before: readonly string[], why: string) {
    assertEquals(await settled(() => this.state(), before), before, why);
  }

  /** Joins once more, and uses it. */
  async assertUsable(): Promise<void> {
    await using cluster = await this.join();
    assertEquals(cluster.status.state, "ready");
    assertEquals(cluster.refused, []);
    await cluster.node.collectGarbage();
    await cluster.node.repair();
    await cluster.node.createSandbox({ name: "afterwards" });
    assertEquals(await cluster.node.check(), []);
    const routes = this.state().filter((line) => /^10\.99\.[23]\.0/.test(line));
    assertEquals(routes.length, 2, routes.join("\n"));
  }

  async leave(): Promise<void> {
    await using cluster = await this.join();
    await cluster.leave({ force: true });
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#bare[Symbol.asyncDispose]();
    Deno.removeSync(this.#peers);
  }
}

for (const operation of ["join", "leave"] as const) {
  Deno.test(`${operation} leaves a node that can join or leave after a death at any of its steps`, async (t) => {
    await using victims = new Victims();
    let deaths = 0;
    for (let point = 0, last = false; !last; point += STEP.deaths) {
      await using candidate = new Candidate();
      const before = candidate.state();
      await candidate.prepare(operation);
      const death = await victims.die({
        operation,
        scene: candidate.scene,
        point,
        counting: EVERY ? "calls" : "changes",
      });
      last = death.isLast;
      const where = `${operation}: ${death.lastWords}`;
      try {
        if (deaths++ % 2 === 0) await candidate.assertUsable();
        await candidate.leave();
      } catch (cause) {
        throw new Error(where, { cause });
      }
      await candidate.assertUntouched(before, where);
    }
    await t.step(
      `${operation}: ${deaths} deaths`,
      () => assert(deaths >= DEATHS[operation], `only ${deaths}`),
    );
  });

  Deno.test(`${operation} fails as the call in it that failed, and works when it is asked for again`, async (t) => {
    const run = ({ scene }: Candidate) => () =>
      NODE_OPERATIONS[operation](scene);
    await using example = new Candidate();
    await example.prepare(operation);
    const places = await placesOf(run(example));
    if (operation === "join") await example.leave();
    let failures = 0;
    for (const [i, place] of places.entries()) {
      if (i % STEP.failures !== 0) continue;
      await using candidate = new Candidate();
      const before = candidate.state();
      await candidate.prepare(operation);
      const outcome = await runWith(place, run(candidate));
      if (outcome === undefined) continue;
      failures++;
      const where = `${operation}: ${outcome.where}`;
      try {
        if (operation === "join" && outcome.error !== undefined) {
          await candidate.assertUntouched(before, where);
        }
        if (failures % 4 === 1) await candidate.assertUsable();
        await candidate.leave();
      } catch (cause) {
        throw new Error(where, { cause });
      }
      await candidate.assertUntouched(before, where);
    }
    await t.step(
      `${operation}: ${failures} failures`,
      () => assert(failures >= FAILURES[operation], `only ${failures}`),
    );
  });
}
