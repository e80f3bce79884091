/**
 * The rules and sets of the node's nf_tables table.
 *
 * @module
 */
import { BridgeGroup } from "../../attachment/bridge.ts";
import { nodeTable } from "../../hostport/ruleset.ts";
import { Cidr } from "../../net/cidr.ts";
import type { Table } from "../../nftables/ruleset.ts";
import type { NodeContext, NodeTable } from "./context.ts";
import { HOST_INTERFACE_PREFIX } from "../records/identity.ts";

const made = new WeakMap<NodeTable, Table>();

/** All of the table that the node is to have, host ports apart. */
export function wholeTable(
  { settings, pools, table }: Pick<NodeContext, "settings" | "pools" | "table">,
): Table {
  const found = made.get(table);
  if (found !== undefined) return found;
  const whole = nodeTable({
    comment: table.comment,
    interfacePrefix: HOST_INTERFACE_PREFIX,
    bridgeGroups: BridgeGroup,
    gateways: pools.map(({ gateway }) => gateway),
    podCidrs: pools.map(({ cidr }) => cidr),
    masquerade: settings.masquerade,
    nonMasqueradeCidrs: settings.nonMasqueradeCidrs.map((text) =>
      Cidr.parse(text)
    ),
    maxConnectionsPerPod: settings.maxConnectionsPerPod,
  });
  made.set(table, whole);
  return whole;
}
