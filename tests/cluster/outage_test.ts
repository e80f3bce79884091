import { assert, assertEquals, assertRejects } from "@std/assert";
import type { ClusterEvent } from "../../src/cluster/events.ts";
import { writeMember } from "../../src/cluster/record.ts";
import { SandboxError } from "../../src/errors.ts";
import { command } from "../support/command.ts";
import { Etcd } from "./etcd.ts";
import { eventually, until } from "../support/patience.ts";
import { isIn, Machines, refusesPods } from "./machines.ts";

Deno.test("without etcd a node gives addresses until its lease ends, keeps what runs, and goes on when etcd is back", async () => {
  await using etcd = await Etcd.start();
  using machines = new Machines();
  const options = { etcd: { endpoints: etcd.endpoints } };
  await using one = await machines.join(1, { ...options, leaseSeconds: 5 });
  // Its lease ends while nobody looks.
  await using two = await machines.join(2, options);
  await one.noted.until("n2");
  await two.noted.until("n1");
  const told: ClusterEvent[] = [];
  const watching = Array.fromAsync(one.watch(), (event) => told.push(event));
  // It may have its lease again only by now.
  const kept = await eventually(() => one.node.createSandbox({ name: "kept" }));
  await etcd.kill();
  await isIn("disconnected", two);
  assert((two.status.leaseRemainingMs ?? 0) > 0);
  await two.node.createSandbox({ name: "in-time" });
  await isIn("expired", one);
  assertEquals(one.status.leaseRemainingMs, 0);
  await refusesPods(one, "late");
  // Pods on the node's own network need no address.
  await one.node.createSandbox({ name: "agent", hostNetwork: true });
  // Nobody has said that the other one has gone.
  assertEquals(one.noted.names, ["n2"]);
  assertEquals(await one.node.check(), []);
  assertEquals((await one.node.openSandbox("kept")).addresses, kept.addresses);
  etcd.spawn();
  await isIn("ready", one, two);
  await eventually(() => one.node.createSandbox({ name: "late" }));
  assertEquals(one.noted.names, ["n2"]);
  await two.leave({ force: true });
  await one.noted.until();
  await one.leave({ force: true });
  await watching;
  const states = told.flatMap((event) =>
    event.type === "state"
      ? [event.state]
      : event.type === "departed"
      ? [event.type]
      : []
  );
  // Lease and watch come back one after the other, and a machine may be so slow that the lease ends once more.
  const settled = states.filter((one) => one !== "disconnected");
  assertEquals(settled.slice(settled.lastIndexOf("expired")), [
    "expired",
    "ready",
    "departed",
    "left",
  ]);
});

Deno.test("a node whose etcd member hangs asks another one, however short its lease, and hears of others from there", async () => {
  await using etcd = await Etcd.start({ members: 3 });
  using machines = new Machines();
  const [first = "", ...others] = etcd.endpoints;
  const join = (number: number, endpoints: readonly string[]) =>
    machines.join(number, {
      // A member has five seconds for an answer, a renewal only two.
      etcd: { endpoints },
      leaseSeconds: 6,
    });
  await using one = await join(1, etcd.endpoints);
  await etcd.freeze(etcd.endpoints.indexOf(first));
  await using two = await join(2, others);
  await one.noted.until("n2");
  await isIn("ready", one);
  await two.leave();
  await one.noted.until();
  await one.leave();
  etcd.thaw(0);
});

Deno.test("a node whose lease somebody has revoked has its place again at once", async () => {
  await using etcd = await Etcd.start();
  using machines = new Machines();
  const options = { etcd: { endpoints: etcd.endpoints }, leaseSeconds: 60 };
  await using one = await machines.join(1, options);
  await using two = await machines.join(2, options);
  await using store = etcd.store({ cluster: "default" });
  const { podCidrs } = one.self;
  const leaseOf = async (name: string) =>
    (await store.list()).members.find((member) => member.name === name)?.lease;
  const before = await leaseOf("n1");
  await etcd.call(0, "lease/revoke", { ID: before });
  await until(async () => {
    const lease = await leaseOf("n1");
    return lease !== undefined && lease !== before;
  });
  assertEquals(one.self.podCidrs, podCidrs);
  await isIn("ready", one);
  await two.noted.until("n1");
  await one.node.createSandbox({ name: "web" });
  await one.leave({ force: true });
  await two.leave();
});

Deno.test("a node that was cut off, and whose networks another has by now, gives none of their addresses", async () => {
  await using etcd = await Etcd.start();
  using machines = new Machines();
  const options = {
    etcd: { endpoints: etcd.endpoints },
    // Two networks: the third node has none left.
    cluster: { podCidrs: ["10.244.0.0/23"] },
  };
  const node = { stateDir: machines.stateDir() };
  const lasting = await machines.join(1, { ...options, node });
  await using two = await machines.join(2, options);
  const error = await assertRejects(
    () => machines.join(3, options),
    SandboxError,
  );
  assertEquals(error.code, "PodCidrsExhausted");
  await lasting[Symbol.asyncDispose]();
  await using gate = new Gate(etcd.endpoints[0] ?? "");
  await using one = await machines.join(1, {
    ...options,
    etcd: { endpoints: [gate.url] },
    leaseSeconds: 5,
    node,
  });
  assertEquals(one.self.podCidrs, lasting.self.podCidrs);
  await gate.shut();
  await two.noted.until();
  await isIn("expired", one);
  await using three = await machines.join(3, options);
  assertEquals(three.self.podCidrs, one.self.podCidrs);
  gate.open();
  await until(() => (one.status.reason ?? "").includes(`node "n3" has`));
  assert((await refusesPods(one, "web")).includes(`node "n3" has`));
  // When the other one goes, the networks are its own again.
  await three.leave();
  await isIn("ready", one);
  await one.node.createSandbox({ name: "web" });
  await one.leave({ force: true });
  await two.leave();
});

Deno.test("a watch that breaks, and a history that is compacted meanwhile, lose nothing", async () => {
  await using etcd = await Etcd.start();
  using machines = new Machines();
  await using gate = new Gate(etcd.endpoints[0] ?? "");
  const options = { etcd: { endpoints: etcd.endpoints }, leaseSeconds: 60 };
  await using one = await machines.join(1, {
    ...options,
    etcd: { endpoints: [gate.url] },
  });
  await using two = await machines.join(2, options);
  await one.noted.until("n2");
  await gate.shut();
  await isIn("disconnected", one);
  await two.leave();
  await using three = await machines.join(3, options);
  await etcd.compact();
  gate.open();
  await one.noted.until("n3");
  await isIn("ready", one);
  await one.leave();
  await three.leave();
});

Deno.test("a store that has lost everything gets it back from the nodes, who keep each other meanwhile", async () => {
  await using etcd = await Etcd.start();
  using machines = new Machines();
  const options = { etcd: { endpoints: etcd.endpoints }, leaseSeconds: 30 };
  await using one = await machines.join(1, options);
  await using two = await machines.join(2, options);
  await one.noted.until("n2");
  // It has a history, which the new one has not.
  for (let i = 0; i < 50; i++) {
    await etcd.call(0, "kv/put", { key: btoa("/else"), value: btoa(`${i}`) });
  }
  // They have heard of it.
  await using four = await machines.join(4, options);
  await one.noted.until("n2", "n4");
  await two.noted.until("n1", "n4");
  await four.leave();
  await one.noted.until("n2");
  await two.noted.until("n1");
  const passes = one.noted.passes.length;
  await etcd.lose();
  await using store = etcd.store({ cluster: "default" });
  await until(async () => {
    const { members, reservations } = await store.list().catch(() => ({
      members: [],
      reservations: [],
    }));
    return members.length === 2 && reservations.length === 4;
  });
  await isIn("ready", one, two);
  for (const names of one.noted.passes.slice(passes)) {
    assertEquals(names, ["n2"]);
  }
  // They hear of what happens from now on.
  await using three = await machines.join(3, options);
  await one.noted.until("n2", "n3");
  await two.noted.until("n1", "n3");
  await three.leave();
  await one.leave();
  await two.leave();
});

Deno.test("a store that is restored from a backup is listed again, and who is not in it may be there all the same", async () => {
  await using etcd = await Etcd.start();
  using machines = new Machines();
  const options = { etcd: { endpoints: etcd.endpoints } };
  await using one = await machines.join(1, options);
  const restore = await etcd.backUp();
  // Nobody keeps it, so it does not write itself into the store again.
  const two = await machines.join(2, options);
  await one.noted.until("n2");
  await two.node.remove();
  await two[Symbol.asyncDispose]();
  const passes = one.noted.passes.length;
  await restore();
  await until(() => one.noted.passes.length > passes);
  assertEquals(one.noted.passes[passes], ["n2"]);
  await using three = await machines.join(3, options);
  await until(() => one.noted.names.includes("n3"));
  await isIn("ready", one);
  await one.leave();
  await three.leave();
});

Deno.test("a node whose address changes tells the others, with the networks that it has", async () => {
  await using etcd = await Etcd.start();
  using machines = new Machines();
  const options = { etcd: { endpoints: etcd.endpoints } };
  await using one = await machines.join(1, options);
  await using two = await machines.join(2, options);
  await two.noted.until("n1");
  const { podCidrs } = one.self;
  command(
    machines.namespace(1),
    `ip addr del 192.168.50.1/24 dev eth0
     ip addr add 192.168.50.77/24 dev eth0`,
  );
  // Any change makes a pass; without one it would be half a minute until the next.
  await etcd.call(0, "kv/put", {
    key: btoa("/podnet/default/members/nobody"),
    value: btoa("{}"),
  });
  await until(() =>
    two.members.some(({ addresses }) => addresses.includes("192.168.50.77"))
  );
  assertEquals(two.members.map((member) => member.podCidrs), [podCidrs]);
  await isIn("ready", one);
  await one.leave();
  await two.leave();
});

Deno.test("a node whose address changes tells the others, also while others change all the time", async () => {
  await using etcd = await Etcd.start();
  using machines = new Machines();
  const options = { etcd: { endpoints: etcd.endpoints } };
  await using one = await machines.join(1, options);
  await using store = etcd.store({ cluster: "default" });
  const { name, podCidrs } = { name: "n3", podCidrs: ["10.245.3.0/24"] };
  let changes = 0;
  // No pass but one that has a change of another.
  const change = () =>
    etcd.call(0, "kv/put", {
      key: btoa(`/podnet/default/members/${name}`),
      value: btoa(writeMember({
        name,
        podCidrs,
        addresses: [`192.168.51.${++changes % 250 + 1}`],
      })),
    });
  await change();
  await one.noted.until(name);
  command(
    machines.namespace(1),
    `ip addr del 192.168.50.1/24 dev eth0
     ip addr add 192.168.50.77/24 dev eth0`,
  );
  await until(async () => {
    await change();
    const { members } = await store.list();
    return members.some(({ text }) => text.includes('"192.168.50.77"'));
  });
  await one.leave();
});

Deno.test("paths that could not be made are made again", async () => {
  await using etcd = await Etcd.start();
  using machines = new Machines();
  const options = { etcd: { endpoints: etcd.endpoints } };
  await using one = await machines.join(1, options);
  const watch = one.watch();
  one.noted.failure = new RangeError("no room");
  await using two = await machines.join(2, options);
  await one.noted.until("n2");
  const told: string[] = [];
  for await (const event of watch) {
    told.push(event.type === "failed" ? event.reason : event.type);
    if (event.type === "failed") break;
  }
  assertEquals(told, ["joined", "no room"]);
  await one.leave();
  await two.leave();
});

/** A way to an etcd that can be cut. */
class Gate implements AsyncDisposable {
  readonly #target: URL;
  readonly #hostname: string;
  readonly #port: number;
  #listener: Deno.TcpListener;
  readonly #open = new Set<Deno.TcpConn>();
  #serving: Promise<void>;

  constructor(target: string) {
    this.#target = new URL(target);
    this.#listener = Deno.listen({ hostname: "127.0.7.240", port: 0 });
    ({ hostname: this.#hostname, port: this.#port } = this.#listener.addr);
    this.#serving = this.#serve();
  }

  get url(): string {
    return `http://${this.#hostname}:${this.#port}`;
  }

  /** Breaks what is open, and refuses what comes. */
  async shut(): Promise<void> {
    this.#listener.close();
    for (const connection of this.#open) this.#close(connection);
    await this.#serving;
  }

  /** Lets pass again. */
  open(): void {
    this.#listener = Deno.listen({
      hostname: this.#hostname,
      port: this.#port,
    });
    this.#serving = this.#serve();
  }

  async #serve(): Promise<void> {
    const pipes: Promise<unknown>[] = [];
    try {
      for await (const client of this.#listener) {
        const { hostname, port } = this.#target;
        this.#open.add(client);
        pipes.push(
          (async () => {
            const server = await Deno.connect({ hostname, port: Number(port) });
            this.#open.add(server);
            await Promise.all([
              client.readable.pipeTo(server.writable),
              server.readable.pipeTo(client.writable),
            ]);
          })().catch(() => {}).finally(() => this.#close(client)),
        );
      }
    } catch (error) {
      if (!(error instanceof Deno.errors.BadResource)) throw error;
    }
    await Promise.all(pipes);
  }

  #close(connection: Deno.TcpConn): void {
    this.#open.delete(connection);
    try {
      connection.close();
    } catch (error) {
      if (!(error instanceof Deno.errors.BadResource)) throw error;
    }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.shut().catch(() => {});
  }
}
