/**
 * A node that is diagnosed.
 *
 * @module
 */
import { assert } from "@std/assert";
import {
  diagnose,
  type Diagnosis,
  type DiagnosisFinding,
  type FindingCode,
  type SandboxSpec,
} from "../../mod.ts";
import { createLab, type Lab, type LabNode } from "../../src/testing/mod.ts";
import { podnetCommand } from "../cli/host.ts";
import { command } from "../support/command.ts";

/** The first node of a lab, with a pod that has host port 8080. */
export class Patient implements AsyncDisposable {
  readonly lab: Lab;
  readonly host: LabNode;

  private constructor(lab: Lab, host: LabNode) {
    this.lab = lab;
    this.host = host;
  }

  static async admit(spec: Partial<SandboxSpec> = {}): Promise<Patient> {
    const lab = await createLab();
    const [host] = lab.nodes;
    await host.node.createSandbox({
      name: "web",
      ports: [{ hostPort: 8080, containerPort: 80 }],
      ...spec,
    });
    return new Patient(lab, host);
  }

  diagnose(): Promise<Diagnosis> {
    const { host: { node, namespace } } = this;
    return diagnose({
      name: node.name,
      netns: namespace,
      stateDir: node.stateDir,
    });
  }

  /** The findings of one kind. */
  async findings(code: FindingCode): Promise<DiagnosisFinding[]> {
    const { findings } = await this.diagnose();
    return findings.filter((finding) => finding.code === code);
  }

  /** The one finding of a kind. */
  async finding(code: FindingCode): Promise<DiagnosisFinding> {
    const { findings } = await this.diagnose();
    const [found, ...more] = findings.filter((f) => f.code === code);
    assert(
      found !== undefined && more.length === 0,
      `${code} among ${JSON.stringify(findings, null, 1)}`,
    );
    return found;
  }

  /** Runs shell lines on the node, for which `podnet` is the command. */
  run(lines: string): string {
    const { host: { node, namespace } } = this;
    const podnet = podnetCommand(
      [`--state-dir=${node.stateDir}`, `--node=${node.name}`],
      [],
      Deno.execPath(),
    ).join(" ");
    // iptables would leave its lock in /run.
    return command(
      namespace,
      `export XTABLES_LOCKFILE=/dev/null
podnet() { ${podnet} "$@"; }
${lines}`,
    );
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.host.node.removeSandbox("web", { force: true });
    await this.lab[Symbol.asyncDispose]();
  }
}

/** A table of somebody else, as nft reads it. */
export function nft(ruleset: string): string {
  return `nft -f - <<'END'\n${ruleset}\nEND`;
}
