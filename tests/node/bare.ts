/**
 * A namespace with nothing in it that can become a node, and processes that use it.
 *
 * @module
 */
import { assert } from "@std/assert";
import {
  isSandboxError,
  NetworkNamespace,
  type Node,
  type NodeOptions,
  openNode,
  removeNode,
  type SandboxError,
  type SandboxErrorCode,
} from "../../mod.ts";
import { loopbackUp } from "../namespace/helpers.ts";
import { command } from "../support/command.ts";

/** Pod networks of both families. */
export const POD_CIDRS = ["10.99.0.0/24", "fd00:10:99::/64"];

/** A namespace and a state directory for one test. */
export class BareNode implements AsyncDisposable {
  readonly namespace: NetworkNamespace;
  readonly stateDir: string;

  constructor(inside: () => void = loopbackUp) {
    this.namespace = NetworkNamespace.create(inside);
    this.stateDir = Deno.makeTempDirSync({ prefix: "podnet-node-" });
  }

  /** What `openNode` needs to open it. */
  get reference(): NodeOptions & { readonly name: string } {
    const { namespace: netns, stateDir } = this;
    return { name: "bare", netns, stateDir };
  }

  /** Opens it, for the first time unless options say otherwise. */
  open(options: NodeOptions = { podCidrs: POD_CIDRS }): Promise<Node> {
    return openNode({ ...this.reference, ...options });
  }

  /** Path of its namespace, for other processes. */
  get path(): string {
    return `/proc/${Deno.pid}/fd/${this.namespace.fd}`;
  }

  /** Everything that the namespace, the mounts and the state directory hold, as text. */
  state(): string {
    const lines = [
      "ip -j -d link",
      "ip -j addr",
      "ip -j -4 route show table all",
      "ip -j -6 route show table all",
      "ip -j neigh",
      "ip -j -4 rule",
      "ip -j -6 rule",
      "nft list ruleset",
    ].map((line) => `${line}: ${command(this.namespace, line)}`);
    const mounts = Deno.readTextFileSync("/proc/thread-self/mountinfo");
    return [
      ...lines,
      mounts,
      command(this.namespace, `find ${this.stateDir}`),
    ].join("\n").replaceAll("},{", "},\n{");
  }

  /** Takes all of it away. */
  async [Symbol.asyncDispose](): Promise<void> {
    await removeNode({ ...this.reference, force: true });
    Deno.removeSync(this.stateDir, { recursive: true });
    this.namespace[Symbol.dispose]();
  }
}

/** Asserts that the call fails with the typed error, and returns it. */
export async function rejects<C extends SandboxErrorCode>(
  code: C,
  call: () => Promise<unknown>,
): Promise<SandboxError<C>> {
  try {
    await call();
  } catch (error) {
    if (isSandboxError(error, code)) return error;
    throw error;
  }
  assert(false, `nothing was thrown instead of ${code}`);
}

/** How a process of a test is started. */
export interface FixtureOptions {
  /** Words in front of `deno`, such as `setpriv --bounding-set=-net_admin`. */
  readonly through?: readonly string[];
  readonly permissions?: readonly string[];
  /** For processes that go on until their input ends. */
  readonly stdin?: "piped";
}

/** Runs a module in a process of its own, with no permission but `--allow-ffi` unless options say otherwise. */
export function spawnFixture(
  url: URL,
  args: readonly string[],
  { through = [], permissions = ["--allow-ffi"], stdin }: FixtureOptions = {},
): Deno.ChildProcess {
  const [program = "", ...words] = [
    ...through,
    Deno.execPath(),
    "run",
    "--quiet",
    "--cached-only",
    "--frozen",
    "--no-check",
    "--no-prompt",
    ...permissions,
    url.pathname,
    ...args,
  ];
  return new Deno.Command(program, {
    args: words,
    env: { NO_COLOR: "1" },
    stdin: stdin ?? "null",
    stdout: "piped",
    stderr: "piped",
  }).spawn();
}

/** What a process printed as JSON on its way to a good end. */
export async function resultOf(child: Deno.ChildProcess): Promise<unknown> {
  const { success, stdout, stderr } = await child.output();
  const decoder = new TextDecoder();
  assert(success, decoder.decode(stderr));
  return JSON.parse(decoder.decode(stdout));
}
