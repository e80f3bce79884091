/**
 * Who else writes rules here: firewall managers and other container networks, by what they leave in the kernel.
 *
 * @module
 */
import { TABLE } from "../../hostport/sets.ts";
import type { Facts } from "../facts/facts.ts";
import type { TableFacts } from "../facts/ruleset.ts";
import { type DiagnosisFinding, finding } from "./finding.ts";

type Given = Pick<Facts, "ruleset" | "network" | "podCidrs">;

/** Judges who else is here. */
export function managerFindings(given: Given): DiagnosisFinding[] {
  return [...managers(given), ...legacy(given)];
}

interface Manager {
  readonly name: string;
  readonly table?: RegExp;
  readonly chain?: RegExp;
  readonly message: string;
  /** What lets pods through for good, in its own words. */
  readonly remedy: (cidrs: readonly string[]) => string;
}

const MANAGERS: readonly Manager[] = [
  {
    name: "firewalld",
    table: /^firewalld$/,
    message:
      "a reload makes its own table anew; podnet's table stays. What its zones do not allow, it rejects",
    remedy: (cidrs) =>
      cidrs.map((cidr) =>
        `firewall-cmd --permanent --zone=trusted --add-source=${cidr}`
      ).join("; ") + "; firewall-cmd --reload",
  },
  {
    name: "ufw",
    chain: /^ufw6?-/,
    message: "it drops what is forwarded unless it is told otherwise",
    remedy: (cidrs) =>
      cidrs.flatMap((cidr) => [
        `ufw route allow from ${cidr}`,
        `ufw route allow to ${cidr}`,
      ]).join("; "),
  },
  {
    name: "Docker",
    table: /^docker-bridges$/,
    chain: /^DOCKER(-USER|-FORWARD)?$/,
    message: "it sets the policy of chain FORWARD to drop, for everybody",
    remedy: () =>
      "iptables -I DOCKER-USER -i pn-+ -j ACCEPT; iptables -I DOCKER-USER -o pn-+ -j ACCEPT; ip6tables likewise",
  },
  {
    name: "kube-proxy",
    table: /^kube-proxy$/,
    chain: /^KUBE-(FORWARD|SERVICES|POSTROUTING)$/,
    message: "node ports and services of Kubernetes come before host ports",
    remedy: () =>
      "give pods host ports outside of 30000-32767, and pod CIDRs outside of the cluster's",
  },
  {
    name: "CNI plugins",
    table: /^cni_(hostport|plugins_masquerade)$/,
    chain: /^CNI-(HOSTPORT-DNAT|FORWARD)$/,
    message: "their host ports and podnet's do not know of each other",
    remedy: () => "give pods of the two different host ports",
  },
  {
    name: "netavark",
    table: /^netavark$/,
    chain: /^NETAVARK/,
    message: "host ports of Podman and podnet's do not know of each other",
    remedy: () => "give pods of the two different host ports",
  },
  {
    name: "libvirt",
    table: /^libvirt_network$/,
    chain: /^LIBVIRT_(FWI|FWO|PRT)$/,
    message: "it rejects what is forwarded to and from its own bridges only",
    remedy: () => "nothing, unless pods are to reach its guests",
  },
  {
    name: "Calico or Cilium",
    chain: /^(cali-|CILIUM_)/,
    message: "they take every pod of the node for their own",
    remedy: () =>
      "give podnet a node of its own, or pod CIDRs outside of theirs",
  },
  {
    name: "Tailscale",
    chain: /^ts-(input|forward|postrouting)$/,
    message: "its rules accept what comes by its own link only",
    remedy: () => "nothing",
  },
];

function managers({ ruleset, podCidrs }: Given): DiagnosisFinding[] {
  return MANAGERS.flatMap((manager) => {
    const trace = (ruleset ?? []).filter(({ family, name }) =>
      !(family === "inet" && name === TABLE)
    ).map((table) => traceOf(manager, table)).find((found) =>
      found !== undefined
    );
    if (trace === undefined) return [];
    return [finding(
      "note",
      "firewall-manager",
      manager.name,
      `is at work here (${trace}): ${manager.message}`,
      manager.remedy(podCidrs.map(String)),
    )];
  });
}

function traceOf(
  { table, chain }: Manager,
  { family, name, chains }: TableFacts,
): string | undefined {
  if (table?.test(name)) return `table ${family} ${name}`;
  const found = [...chains.keys()].find((each) => chain?.test(each));
  return found === undefined ? undefined : `chain ${family} ${name} ${found}`;
}

/** The rules of the old iptables are not in nf_tables: they cannot be judged here. */
function legacy({ network: { legacyTables } }: Given): DiagnosisFinding[] {
  return Object.entries(legacyTables).map(([command, tables]) =>
    finding(
      "warning",
      "legacy-iptables",
      command,
      `has its tables ${
        tables.join(", ")
      } loaded, which pass packets besides nf_tables and cannot be judged from here`,
      `${command}-save shows them; to let pods through: ${command} -I FORWARD -i pn-+ -j ACCEPT; ${command} -I FORWARD -o pn-+ -j ACCEPT`,
    )
  );
}
