/**
 * Two machines that are to run `podnet` as people do, with a cable between them.
 *
 * @module
 */
import { Host } from "../cli/host.ts";

/** The machines; the first is 192.168.50.1, the second 192.168.50.2. */
export class Network implements AsyncDisposable {
  readonly one: Host;
  readonly two: Host;
  readonly #opened: AsyncDisposableStack;

  private constructor(one: Host, two: Host, opened: AsyncDisposableStack) {
    this.one = one;
    this.two = two;
    this.#opened = opened;
  }

  /** Starts them. `podnet` may reach others on them. */
  static async start(): Promise<Network> {
    await using opened = new AsyncDisposableStack();
    const one = opened.use(await Host.start(["--allow-net"]));
    const two = opened.use(await Host.start(["--allow-net"]));
    await one.run(
      "sh",
      "-ec",
      `ip link add eth0 type veth peer name eth0 netns ${two.pid}`,
    );
    for (const [i, host] of [one, two].entries()) {
      await host.run(
        "sh",
        "-ec",
        `ip link set eth0 up
         ip address add 192.168.50.${i + 1}/24 dev eth0`,
      );
    }
    return new Network(one, two, opened.move());
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#opened.disposeAsync();
  }
}
