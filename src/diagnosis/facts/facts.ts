/**
 * Everything that the rules of the diagnosis judge by.
 *
 * @module
 */
import type { Cidr } from "../../net/cidr.ts";
import type { LimitFacts } from "./limits.ts";
import type { NetworkFacts } from "./network.ts";
import type { ListenerFacts, NodeFacts } from "./node_facts.ts";
import type { PlatformFacts } from "./platform.ts";
import type { PrivilegeFacts } from "./privileges.ts";
import type { TableFacts } from "./ruleset.ts";
import type { StateDirectoryFacts } from "./state_directory.ts";
import type { Trial } from "./trial.ts";
import type { Unseen } from "./witness.ts";

/** What was learned. */
export interface Facts {
  /** Name of the node that was asked for. */
  readonly name: string;
  readonly platform: PlatformFacts;
  readonly privileges: PrivilegeFacts;
  readonly trials: readonly Trial[];
  readonly limits: LimitFacts;
  readonly stateDirectory: StateDirectoryFacts;
  readonly network: NetworkFacts;
  /** All nf_tables tables; undefined when they may not be seen. */
  readonly ruleset?: readonly TableFacts[];
  /** Undefined when no node was set up. */
  readonly node?: NodeFacts;
  /** Where pods' addresses come from, or will. */
  readonly podCidrs: readonly Cidr[];
  readonly listeners: readonly ListenerFacts[];
  /** What could not be learned. */
  readonly unseen: readonly Unseen[];
}
