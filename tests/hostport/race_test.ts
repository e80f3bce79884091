/**
 * Eight processes that want the same host port at the same time.
 *
 * @module
 */
import { assert, assertEquals } from "@std/assert";
import type { PortMapping } from "../../src/hostport/mapping.ts";
import { createLab, type LabNode } from "../../src/testing/mod.ts";
import { nodeAddress, nodeAt } from "../support/pods.ts";

const PROCESSES = 8;
/** Whether they meet is a matter of microseconds. */
const ROUNDS = 6;

/** A process that tries to get ports. */
class Racer implements AsyncDisposable {
  readonly #child: Deno.ChildProcess;
  readonly #lines: ReadableStreamDefaultReader<string>;
  readonly #input: WritableStreamDefaultWriter<Uint8Array>;
  #rest = "";

  constructor({ node, namespace }: LabNode) {
    this.#child = new Deno.Command(Deno.execPath(), {
      args: [
        "run",
        "--quiet",
        "--no-check",
        "--frozen",
        "--allow-ffi",
        new URL("./fixtures/racer.ts", import.meta.url).href,
        `/proc/${Deno.pid}/fd/${namespace.fd}`,
        node.name,
        node.stateDir,
      ],
      stdin: "piped",
      stdout: "piped",
    }).spawn();
    this.#lines = this.#child.stdout.pipeThrough(new TextDecoderStream())
      .getReader();
    this.#input = this.#child.stdin.getWriter();
  }

  async readLine(): Promise<string> {
    while (!this.#rest.includes("\n")) {
      const { value, done } = await this.#lines.read();
      if (done) throw new Error(`a process ended after "${this.#rest}"`);
      this.#rest += value;
    }
    const [line = "", ...rest] = this.#rest.split("\n");
    this.#rest = rest.join("\n");
    return line;
  }

  async ask(line: string): Promise<string> {
    await this.#input.write(new TextEncoder().encode(`${line}\n`));
    return await this.readLine();
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#input.close();
    const { code } = await this.#child.status;
    await this.#lines.cancel();
    assertEquals(code, 0);
  }
}

Deno.test("HP21 of eight processes that race for a port exactly one wins, and a wildcard and single addresses never meet", async () => {
  await using lab = await createLab();
  const node = nodeAt(lab.nodes, 0);
  await using stack = new AsyncDisposableStack();
  const racers = Array.from(
    { length: PROCESSES },
    () => stack.use(new Racer(node)),
  );
  for (const racer of racers) assertEquals(await racer.readLine(), "ready");

  /** Runs a race, and returns the numbers of those who won. */
  const race = async (
    wants: (number: number) => readonly PortMapping[],
  ): Promise<number[]> => {
    const answers = await Promise.all(
      racers.map((racer, i) => racer.ask(JSON.stringify(wants(i)))),
    );
    const winners = answers.flatMap((said, i) => said === "won" ? [i] : []);
    for (const said of answers) {
      assert(said === "won" || /^sandbox default\/racer-/.test(said), said);
    }
    const open = (await node.node.listSandboxes())
      .filter(({ ports = [] }) => ports.length > 0);
    assertEquals(open.length, winners.length);
    await Promise.all(racers.map((racer) => racer.ask("release")));
    return winners;
  };

  for (const protocol of ["tcp", "udp"] as const) {
    const port = { protocol, hostPort: 8080, containerPort: 80 };
    const same = await race(() => [port]);
    assertEquals(same.length, 1, `one port: ${same}`);

    const three = await race((i) => [
      { ...port, hostPort: 9000 + i },
      { ...port, hostPort: 9500 + i },
      port,
    ]);
    assertEquals(three.length, 1, `the last of three ports: ${three}`);

    // The one that is in no map twice: here only the ruleset's generation decides.
    const isWildcard = (i: number) => i % 2 === 0;
    for (let round = 0; round < ROUNDS; round++) {
      const mixed = await race((i) => [
        isWildcard(i) ? port : { ...port, hostIP: nodeAddress(4) },
      ]);
      assertEquals(mixed.length, 1, `wildcards and one address: ${mixed}`);
    }

    const addresses = [nodeAddress(4), nodeAddress(6), "127.0.0.1", "::1"];
    const apart = await race((i) => {
      const hostIP = addresses[(i - 1) / 2];
      return [hostIP === undefined ? port : { ...port, hostIP }];
    });
    assert(
      apart.length === 1 ||
        apart.length === 4 && !apart.some(isWildcard),
      `wildcards and four addresses: ${apart}`,
    );
  }
});
