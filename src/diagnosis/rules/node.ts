/**
 * The node itself: whether it is as it should be, and who else of its kind is here.
 *
 * @module
 */
import { TABLE } from "../../hostport/sets.ts";
import type { Facts } from "../facts/facts.ts";
import type { Unseen } from "../facts/witness.ts";
import { type DiagnosisFinding, finding } from "./finding.ts";

type Given = Pick<
  Facts,
  "name" | "node" | "network" | "ruleset" | "stateDirectory" | "unseen"
>;

/** Judges the node. `others` are findings that may tell of the same. */
export function nodeFindings(
  given: Given,
  others: readonly DiagnosisFinding[],
): DiagnosisFinding[] {
  return [
    ...setUp(given),
    ...table(given),
    ...differences(given, others),
    ...garbage(given),
    ...neighbours(given),
  ];
}

function setUp(
  { node, network, stateDirectory, unseen }: Given,
): DiagnosisFinding[] {
  const record = recordUnseen(unseen);
  if (record?.code === "RecordInvalid") {
    return [finding(
      "error",
      "node-record-invalid",
      record.about,
      record.reason,
      "podnet node down --force, which removes its sandboxes; podnet node up --pod-cidr CIDR",
    )];
  }
  if (node === undefined) {
    return record !== undefined ? [] : [finding(
      "note",
      "node-not-set-up",
      `state directory ${stateDirectory.path}`,
      "no node of this name was set up yet, so pod CIDRs are not known",
      "podnet node up --pod-cidr CIDR; to judge a CIDR before: podnet doctor --pod-cidr CIDR",
    )];
  }
  if (node.here) return [];
  return [finding(
    "error",
    "node-elsewhere",
    `node ${node.name}`,
    `was set up in network namespace ${node.netnsId}, and this is ${network.id}`,
    "name its namespace: podnet --netns PATH|NAME|PID; if that is gone: podnet node down --force",
  )];
}

/** A record that cannot be read, or may not, is among what could not be learned. */
function recordUnseen(unseen: Given["unseen"]): Unseen | undefined {
  return unseen.find(({ about }) => about.startsWith("record"));
}

function table({ node, ruleset }: Given): DiagnosisFinding[] {
  if (!node?.here) return [];
  const about = `table inet ${TABLE}`;
  if (node.table === "missing" && node.differences === undefined) {
    return [finding(
      "error",
      "node-table-missing",
      about,
      "is not there: host ports and masquerading do not work",
      "podnet check --repair",
    )];
  }
  if (node.table !== "foreign") return [];
  const comment = ruleset?.find((t) => t.name === TABLE)?.comment;
  return [finding(
    "error",
    "node-table-foreign",
    about,
    `is not this node's${comment === undefined ? "" : ` but of ${comment}`}`,
    "take the other node down, or use its name and state directory",
  )];
}

function differences(
  { node }: Given,
  others: readonly DiagnosisFinding[],
): DiagnosisFinding[] {
  return (node?.differences ?? []).flatMap(
    ({ sandbox, object, problem, remedy }) => {
      const about = sandbox === undefined ? object : `${sandbox}: ${object}`;
      if (others.some((other) => other.about === about)) return [];
      return [finding("error", "difference", about, problem, remedy)];
    },
  );
}

function garbage({ node }: Given): DiagnosisFinding[] {
  const found = node?.garbage ?? [];
  const [first] = found;
  if (first === undefined) return [];
  return [finding(
    "warning",
    "garbage",
    `${found.length} without an owner`,
    `such as ${first.kind} ${first.id}: ${first.reason}`,
    "podnet gc, after a look at podnet gc --dry-run",
  )];
}

/** Other nodes in the same state directory, and links of other nodes in the same namespace. */
function neighbours(
  { name, network, stateDirectory, unseen }: Given,
): DiagnosisFinding[] {
  // Whose the namespace is, only the record says.
  if (recordUnseen(unseen) !== undefined) return [];
  const inDirectory = stateDirectory.nodes.filter((other) => other !== name);
  const inNamespace = new Set(
    network.links.flatMap(({ alias }) => {
      const other = /^podnet:([^/]+)\//.exec(alias ?? "")?.[1];
      return other === undefined || other === name ? [] : [other];
    }),
  );
  return [
    ...inDirectory.length === 0 ? [] : [finding(
      "note",
      "other-nodes",
      `state directory ${stateDirectory.path}`,
      `has more nodes: ${inDirectory.join(", ")}`,
      "nothing; podnet --node NAME doctor looks at another one",
    )],
    ...inNamespace.size === 0 ? [] : [finding(
      "warning",
      "other-nodes",
      `network namespace ${network.id}`,
      `has pods' links of ${
        [...inNamespace].join(", ")
      }: a namespace can be one node only`,
      "take that node down with its own name and state directory",
    )],
  ];
}
