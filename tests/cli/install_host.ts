/**
 * A machine for what installs itself on it, and a directory for all of that.
 *
 * @module
 */
import { Host } from "./host.ts";

/** Ends with the test, with its directory. */
export class InstallHost implements AsyncDisposable {
  readonly host: Host;
  readonly directory = Deno.makeTempDirSync({ prefix: "podnet-install-" });

  private constructor(host: Host) {
    this.host = host;
  }

  /** Starts one. */
  static async start(): Promise<InstallHost> {
    return new InstallHost(await Host.start());
  }

  /** The options that say where programs, modules, their cache and `more` go: into a directory of that name each. */
  directories(...more: readonly string[]): string[] {
    return this.directoriesIn(this.directory, ...more);
  }

  /** As {@linkcode directories}, somewhere else. */
  directoriesIn(parent: string, ...more: readonly string[]): string[] {
    return ["bin", "lib", "cache", ...more]
      .flatMap((name) => [`--${name}-dir`, `${parent}/${name}`]);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.host[Symbol.asyncDispose]();
    await Deno.remove(this.directory, { recursive: true });
  }
}
