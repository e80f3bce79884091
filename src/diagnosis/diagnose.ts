/**
 * What the machine allows, what podnet has on it, and what disturbs it.
 *
 * @module
 */
import { hostName } from "../../ffi/process.ts";
import { openNamespace } from "../sandbox/node/node_settings.ts";
import { type NodeOptions, parseNodeOptions } from "../spec/node_options.ts";
import type { LimitFacts } from "./facts/limits.ts";
import type { NodeFacts } from "./facts/node_facts.ts";
import type { PlatformFacts } from "./facts/platform.ts";
import type { PrivilegeFacts } from "./facts/privileges.ts";
import type { StateDirectoryFacts } from "./facts/state_directory.ts";
import type { Trial } from "./facts/trial.ts";
import type { Unseen } from "./facts/witness.ts";
import type { DiagnosisFinding } from "./rules/finding.ts";

/** Which node to diagnose. One that was never set up is diagnosed for being set up. */
export interface DiagnoseOptions
  extends Pick<NodeOptions, "name" | "netns" | "stateDir" | "podCidrs"> {}

/** What a diagnosis tells of the node's network besides findings. */
export interface NetworkSummary {
  /** Of the network namespace, as `net:[inode]`. */
  readonly netnsId: string;
  /** Links that lead to other machines, by name. */
  readonly uplinks: readonly string[];
  /** Smallest MTU on the way to the outside world, in bytes; missing when there is no such way. */
  readonly outsideMtu?: number;
  /** nf_tables tables, podnet's own included; missing when they may not be seen. */
  readonly tables?: readonly string[];
  /** Sysctls that were looked at, by their dotted names. */
  readonly sysctls: Readonly<Record<string, string>>;
}

/** A diagnosis. All of it is plain data that JSON can carry. */
export interface Diagnosis {
  /** Version of this form; fields may be added without a new one. */
  readonly format: 1;
  /** Whether there is no finding that is an error. */
  readonly healthy: boolean;
  /** The worst first. */
  readonly findings: readonly DiagnosisFinding[];
  /** What could not be learned. */
  readonly unseen: readonly Unseen[];
  /** Kernel, architecture, runtime. */
  readonly platform: PlatformFacts;
  /** What this process may do. */
  readonly privileges: PrivilegeFacts;
  /** What the kernel can do: tried, not read. */
  readonly kernel: readonly Trial[];
  /** Numbers that the machine does not go beyond. */
  readonly limits: LimitFacts;
  /** Where records and pins are. */
  readonly stateDirectory: StateDirectoryFacts;
  /** What else is in the network namespace. */
  readonly network: NetworkSummary;
  /** Missing when no node was set up, or its record cannot be read. */
  readonly node?: NodeFacts;
}

/**
 * Looks at the machine and says what is wrong, each with its remedy. Changes nothing: features of the kernel are tried in a
 * network namespace that is gone afterwards, which can make the kernel load their modules.
 *
 * What this process may not see is told in `unseen`. Takes about a tenth of a second, and besides as long as `check()` and a
 * look for garbage take, which grows with the sandboxes.
 *
 * @throws {SandboxError} `InvalidSpec` and `InvalidNamespace` for options that lead nowhere, `NotPermitted` for a namespace that may not
 * be opened; nothing else
 */
export async function diagnose(
  options: DiagnoseOptions = {},
): Promise<Diagnosis> {
  const { name, stateDir, netns, podCidrs = [] } = parseNodeOptions(
    options,
    hostName,
  );
  // Loaded when it is needed: programs that never ask need not wait for it.
  const { gatherFacts } = await import("./gather.ts");
  const { judge } = await import("./rules/judge.ts");
  const { uplinks } = await import("./rules/uplinks.ts");
  using opened = new DisposableStack();
  const namespace = openNamespace(opened, netns);
  const facts = await gatherFacts({ name, stateDir, namespace, podCidrs });
  const { network, ruleset } = facts;
  const findings = judge(facts);
  return {
    format: 1,
    healthy: !findings.some(({ severity }) => severity === "error"),
    findings,
    unseen: facts.unseen,
    platform: facts.platform,
    privileges: facts.privileges,
    kernel: facts.trials,
    limits: facts.limits,
    stateDirectory: facts.stateDirectory,
    network: {
      netnsId: network.id,
      uplinks: uplinks(network).map((link) => link.name),
      ...(network.outsideMtu === undefined
        ? {}
        : { outsideMtu: network.outsideMtu }),
      ...(ruleset === undefined ? {} : {
        tables: ruleset.map((table) => `${table.family} ${table.name}`),
      }),
      sysctls: network.sysctls,
    },
    ...(facts.node === undefined ? {} : { node: facts.node }),
  };
}
