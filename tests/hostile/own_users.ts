/**
 * A network namespace of a user namespace of its own, as containers without rights on the node have.
 *
 * @module
 */
import { command } from "../support/command.ts";
import { until } from "../support/patience.ts";
import { NetworkNamespace } from "../../src/namespace/network_namespace.ts";

const OWN_NETNS = Deno.readLinkSync("/proc/thread-self/ns/net");

/** A process that holds both, with all rights in them. */
export class OwnUsers implements AsyncDisposable {
  /** The path of the network namespace. */
  readonly netns: string;
  readonly #holder: Deno.ChildProcess;
  readonly #children: Deno.ChildProcess[] = [];

  private constructor(holder: Deno.ChildProcess) {
    this.netns = `/proc/${holder.pid}/ns/net`;
    this.#holder = holder;
  }

  /** Makes them. */
  static async create(): Promise<OwnUsers> {
    const holder = new Deno.Command("unshare", {
      args: ["--user", "--map-root-user", "--net", "sleep", "infinity"],
      stdin: "null",
    }).spawn();
    const made = new OwnUsers(holder);
    // The user it is there comes last.
    const users = `/proc/${holder.pid}/uid_map`;
    await until(() =>
      Deno.readLinkSync(made.netns) !== OWN_NETNS &&
      Deno.readTextFileSync(users) !== ""
    );
    return made;
  }

  #enter(...words: string[]): Deno.Command {
    return new Deno.Command("nsenter", {
      args: [
        ...["--target", `${this.#holder.pid}`, "--user", "--net"],
        ...["--preserve-credentials", ...words],
      ],
      stdin: "null",
    });
  }

  /** Runs shell commands there; returns what they complained of when they failed. */
  inside(line: string): string {
    const { success, stderr } = this.#enter("sh", "-ec", line).outputSync();
    return success ? "" : new TextDecoder().decode(stderr);
  }

  /** Makes another network namespace of the same users, which goes with these; returns the process that holds it. */
  async nest(): Promise<number> {
    const child = this.#enter("unshare", "--net", "sleep", "infinity").spawn();
    this.#children.push(child);
    const isInside = () =>
      ![OWN_NETNS, Deno.readLinkSync(this.netns)]
        .includes(Deno.readLinkSync(`/proc/${child.pid}/ns/net`));
    await until(isInside);
    return child.pid;
  }

  /** What a program there prints, such as `ip -j link`. */
  tell(line: string): string {
    using namespace = NetworkNamespace.open(this.netns);
    return command(namespace, line);
  }

  /** Ends the processes. */
  async [Symbol.asyncDispose](): Promise<void> {
    for (const process of [this.#holder, ...this.#children]) {
      process.kill("SIGKILL");
      await process.status;
    }
  }
}
