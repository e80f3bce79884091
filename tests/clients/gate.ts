/**
 * Gates on a machine: a program that comes to one waits there, so that a test can do things in the middle of others.
 *
 * @module
 */
import type { Machine } from "./machine.ts";

const GATES = "/run/gates";
/** The program that goes through one: `gate NAME`. */
export const GATE = "/opt/bin/gate";

/** A gate that is not there lets everybody through. */
const SCRIPT = `#!/bin/sh
gate=${GATES}/$1
[ -p $gate ] || exit 0
echo $$ >$gate
read -r word <$gate.word
[ "$word" = go ]
`;

/** Puts the program that goes through a gate on a machine. */
export async function installGates(machine: Machine): Promise<void> {
  await machine.write(GATE, SCRIPT, 0o755);
}

/** Makes a program go through gates: `before-NAME` and `after-NAME`, its output held back by the second. */
export async function putGatesAround(
  machine: Machine,
  program: string,
  name: string,
): Promise<void> {
  const directory = program.slice(0, program.lastIndexOf("/"));
  const real = `${directory}/.gated/${program.slice(directory.length + 1)}`;
  await machine.run("mkdir", "-p", `${directory}/.gated`);
  await machine.run("mv", program, real);
  await machine.write(
    program,
    `#!/bin/sh
${GATE} before-${name} || exit
output=$(${real} "$@")
code=$?
${GATE} after-${name} || exit
printf %s "$output"
exit $code
`,
    0o755,
  );
}

/** A closed gate. */
export class Gate {
  readonly #machine: Machine;
  readonly #path: string;

  private constructor(machine: Machine, path: string) {
    this.#machine = machine;
    this.#path = path;
  }

  /** Closes a gate. */
  static async close(machine: Machine, name: string): Promise<Gate> {
    const path = `${GATES}/${name}`;
    await machine.run("mkdir", "-p", GATES);
    await machine.run("mkfifo", path, `${path}.word`);
    return new Gate(machine, path);
  }

  /** Waits until somebody is at the gate. */
  async reached(): Promise<void> {
    await this.#machine.run("cat", this.#path);
  }

  /**
   * Lets who waits there go on, or turns it back; the gate is no more. A second one who came meanwhile, such as podman's
   * cleanup of a container that podman removes, would wait for ever for somebody at the other end: this has both ends open.
   */
  async open(word: "go" | "turn back" = "go"): Promise<void> {
    const path = this.#path;
    const shell = [
      `exec 3<>${path}; rm ${path}; echo ${word} >${path}.word`,
      `exec 4<>${path}.word; rm ${path}.word; echo ${word} >&4`,
    ].join("; ");
    await this.#machine.run("sh", "-ec", shell);
  }
}
