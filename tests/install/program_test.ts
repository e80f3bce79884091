/** Versions of a program: which of them stay, for whom, and until when. */
import { assertEquals } from "@std/assert";
import {
  installProgram,
  type ProgramKind,
  uninstallProgram,
} from "../../src/install/program.ts";

const KIND: ProgramKind = {
  title: "a program",
  command: "a",
  permissions: [],
  words: [],
  isOwnConfiguration: () => false,
};

/** A directory that programs are installed in; it goes with the test. */
class Machine implements Disposable {
  readonly directory = Deno.makeTempDirSync({ prefix: "podnet-versions-" });
  readonly library = `${this.directory}/lib`;

  /** Installs the version of this text; the result is what was written, below the directory. */
  async install(version: string, bin = "bin"): Promise<string[]> {
    const files = {
      deno: "/deno",
      entry: "main.js",
      modules: new Map([["main.js", version]]),
    };
    const trial = () => Promise.resolve();
    const written = await installProgram(KIND, this.#paths(bin), files, trial);
    return written.map((path) => path.replace(`${this.directory}/`, ""));
  }

  uninstall(bin = "bin"): void {
    uninstallProgram(KIND, this.#paths(bin));
  }

  /** The versions that are there. */
  versions(): string {
    return [...Deno.readDirSync(this.library)].map(({ name }) =>
      Deno.readTextFileSync(`${this.library}/${name}/main.js`)
    ).sort().join("");
  }

  /** The version that a launcher leads to. */
  current(bin = "bin"): string {
    const text = Deno.readTextFileSync(this.#paths(bin).launcher);
    return Deno.readTextFileSync(/\S+\/main\.js/.exec(text)?.[0] ?? "");
  }

  #paths(bin: string) {
    const { directory, library } = this;
    return {
      launcher: `${directory}/${bin}/a`,
      library,
      cache: `${directory}/cache`,
    };
  }

  [Symbol.dispose](): void {
    Deno.removeSync(this.directory, { recursive: true });
  }
}

Deno.test("the version that was replaced stays until the next one is", async () => {
  using machine = new Machine();
  const left: [string, string][] = [
    ["A", "A"],
    ["A", "A"],
    ["B", "AB"],
    ["B", "AB"],
    ["C", "BC"],
    ["B", "BC"],
    ["C", "BC"],
    ["C", "BC"],
    ["A", "AC"],
    ["D", "AD"],
  ];
  for (const [version, versions] of left) {
    await machine.install(version);
    assertEquals(machine.versions(), versions);
    assertEquals(machine.current(), version);
    // Once more writes nothing.
    assertEquals(await machine.install(version), []);
    assertEquals(machine.versions(), versions);
  }
  machine.uninstall();
  assertEquals([...Deno.readDirSync(machine.directory)].length, 1);
  assertEquals([...Deno.readDirSync(`${machine.directory}/bin`)], []);
});

Deno.test("each launcher of a library keeps the version that it led to before", async () => {
  using machine = new Machine();
  const left: [string, string, string][] = [
    ["A", "one", "A"],
    ["B", "one", "AB"],
    ["B", "two", "AB"],
    ["C", "two", "ABC"],
    ["C", "one", "BC"],
    ["D", "one", "BCD"],
    ["E", "one", "BCDE"],
    ["E", "two", "CDE"],
  ];
  for (const [version, bin, versions] of left) {
    await machine.install(version, bin);
    assertEquals(machine.versions(), versions, `${bin} led to ${version}`);
  }
  machine.uninstall("one");
  assertEquals(machine.versions(), "CE");
  machine.uninstall("two");
  assertEquals([...Deno.readDirSync(machine.directory)].length, 2);
});

Deno.test("what an installation leaves that was killed goes with the next one", async () => {
  using machine = new Machine();
  const launcher = `${machine.directory}/bin/a`;
  await machine.install("A");
  await machine.install("B");
  const text = await Deno.readTextFile(launcher);
  const kill = async (version: string) => {
    await machine.install(version);
    // All but the launcher was written.
    await Deno.writeTextFile(launcher, text);
  };
  await kill("C");
  assertEquals(await machine.install("B"), []);
  assertEquals(machine.versions(), "B");
  await machine.install("A");
  await machine.install("B");
  assertEquals(machine.versions(), "AB");
  await kill("A");
  await kill("C");
  await machine.install("D");
  assertEquals(machine.versions(), "BD");
  await machine.install("E");
  assertEquals(machine.versions(), "DE");
});
