/**
 * Gathers the facts of a diagnosis, each through its own socket or file, so that what is missing hides nothing else.
 *
 * @module
 */
import type { NetworkNamespace } from "../namespace/network_namespace.ts";
import { Cidr } from "../net/cidr.ts";
import { Connection } from "../netlink/connection.ts";
import { NETLINK_ROUTE, NETLINK_SOCK_DIAG } from "../netlink/message.ts";
import { NftablesConnection } from "../nftables/connection.ts";
import type { Facts } from "./facts/facts.ts";
import { limitFacts } from "./facts/limits.ts";
import { networkFacts } from "./facts/network.ts";
import { listenerFacts, nodeFacts } from "./facts/node.ts";
import { platformFacts } from "./facts/platform.ts";
import { privilegeFacts } from "./facts/privileges.ts";
import { rulesetFacts } from "./facts/ruleset.ts";
import { stateDirectoryFacts } from "./facts/state_directory.ts";
import { tryKernel } from "./facts/trials.ts";
import { Witness } from "./facts/witness.ts";

/** What is looked at. */
export interface Subject {
  readonly name: string;
  readonly stateDir: string;
  readonly namespace: NetworkNamespace;
  /** Of a node that is not set up yet. */
  readonly podCidrs: readonly string[];
}

/** Looks at all there is. */
export async function gatherFacts(subject: Subject): Promise<Facts> {
  const { name, namespace, stateDir } = subject;
  using opened = new DisposableStack();
  const witness = new Witness();
  const open = <T extends Disposable>(about: string, make: () => T) =>
    witness.see(
      about,
      () => opened.use(namespace.run(make as () => never) as T),
    );
  const route = open("network", () => Connection.open(NETLINK_ROUTE));
  const nft = open("nf_tables", () => NftablesConnection.open());
  const diag = open("sockets", () => Connection.open(NETLINK_SOCK_DIAG));
  const network = networkFacts(witness, namespace, route);
  const ruleset = rulesetFacts(witness, nft?.netlink);
  const node = await nodeFacts(
    witness,
    subject,
    { namespace, route, nft, diag },
    network,
    ruleset,
  );
  return {
    name,
    platform: platformFacts(witness),
    privileges: privilegeFacts(witness),
    trials: witness.see("what the kernel can do", tryKernel) ?? [],
    limits: limitFacts(witness, namespace, route),
    stateDirectory: stateDirectoryFacts(witness, stateDir),
    network,
    ...(ruleset === undefined ? {} : { ruleset }),
    ...(node === undefined ? {} : { node }),
    podCidrs: (node?.podCidrs ?? subject.podCidrs).map((text) =>
      Cidr.parse(text)
    ),
    listeners: listenerFacts(witness, diag, node?.hostPorts ?? []),
    unseen: witness.unseen,
  };
}
