/**
 * Rules of others, and the node itself.
 *
 * @module
 */
import { IpAddress } from "../../src/net/ip.ts";
import { healthy, link, table } from "./healthy.ts";
import { type Case, network, node, stateDirectory } from "./spoiled.ts";

export const rulesetCases: readonly Case[] = [
  [
    "a policy of drop",
    {
      ruleset: [
        table({}, {
          hook: {
            type: "filter",
            hook: "forward",
            priority: 0,
            policy: "drop",
          },
        }),
      ],
    },
    "traffic-dropped",
    "error",
  ],
  [
    "a rule that cannot be judged",
    {
      ruleset: [table({}, {
        rules: [{
          handle: 4,
          expressions: [
            { $other: { name: "limit" } },
            { immediate: { dreg: 0, data: { verdict: { code: "drop" } } } },
          ],
        }],
      })],
    },
    "traffic-maybe-dropped",
    "warning",
  ],
  [
    "drop at the hook input",
    {
      ruleset: [table({}, {
        hook: { type: "filter", hook: "input", priority: 0, policy: "drop" },
        rules: [{
          handle: 4,
          expressions: [
            { ct: { dreg: 1, key: "direction" } },
            { cmp: { sreg: 1, op: "eq", data: { value: Uint8Array.of(1) } } },
            { immediate: { dreg: 0, data: { verdict: { code: "accept" } } } },
          ],
        }],
      })],
    },
    "node-closed-to-pods",
    "note",
  ],
  ["a table of the bridge family", {
    ruleset: [table({ family: "bridge" }, { name: "x" })],
  }],
  [
    "old iptables",
    network({ legacyTables: { "iptables-legacy": ["filter"] } }),
    "legacy-iptables",
    "warning",
  ],
  [
    "firewalld",
    { ruleset: [table({ name: "firewalld" })] },
    "firewall-manager",
    "note",
  ],
  [
    "ufw",
    {
      ruleset: [
        table({
          chains: new Map([["ufw-user-input", {
            name: "ufw-user-input",
            rules: [],
          }]]),
        }),
      ],
    },
    "firewall-manager",
    "note",
  ],
  [
    "a flowtable",
    { ruleset: [table({ flowtables: ["fast"] })] },
    "flowtable",
    "note",
  ],
  [
    "a host port that is caught",
    {
      ...node({
        hostPorts: [{ protocol: "tcp", port: 80, sandbox: "default/web" }],
      }),
      ruleset: [table({}, {
        hook: {
          type: "nat",
          hook: "prerouting",
          priority: -100,
          policy: "accept",
        },
        rules: [{ handle: 4, expressions: [{ nat: { type: "dnat" } }] }],
      })],
    },
    "host-port-caught",
    "warning",
  ],
  [
    "NAT after podnet's own",
    {
      ...node({
        hostPorts: [{ protocol: "tcp", port: 80, sandbox: "default/web" }],
      }),
      ruleset: [table({}, {
        hook: {
          type: "nat",
          hook: "prerouting",
          priority: 0,
          policy: "accept",
        },
        rules: [{ handle: 4, expressions: [{ nat: { type: "dnat" } }] }],
      })],
    },
  ],
  [
    "a listener on a host port",
    {
      ...node({
        hostPorts: [{ protocol: "tcp", port: 80, sandbox: "default/web" }],
      }),
      listeners: [{
        protocol: "tcp",
        port: 80,
        uid: 33,
        address: IpAddress.parse("::"),
      }],
    },
    "host-port-has-listener",
    "warning",
  ],
  [
    "a listener on another address",
    {
      ...node({
        hostPorts: [{
          protocol: "tcp",
          port: 80,
          address: "192.168.50.1",
          sandbox: "default/web",
        }],
      }),
      listeners: [{
        protocol: "tcp",
        port: 80,
        uid: 33,
        address: IpAddress.parse("127.0.0.1"),
      }],
    },
  ],
  [
    "a listener that keeps the port for the pod's container",
    {
      ...node({
        hostPorts: [{
          protocol: "tcp",
          port: 80,
          sandbox: "default/web",
          containerID: "one",
        }],
      }),
      listeners: [{
        protocol: "tcp",
        port: 80,
        uid: 0,
        address: IpAddress.parse("::"),
        keptFor: "one",
      }],
    },
  ],
  [
    "a listener that keeps the port for another container",
    {
      ...node({
        hostPorts: [{ protocol: "tcp", port: 80, sandbox: "default/web" }],
      }),
      listeners: [{
        protocol: "tcp",
        port: 80,
        uid: 0,
        address: IpAddress.parse("::"),
        keptFor: "one",
      }],
    },
    "host-port-has-listener",
    "warning",
  ],
  [
    "masquerading of all",
    {
      ruleset: [table({}, {
        hook: {
          type: "nat",
          hook: "postrouting",
          priority: 100,
          policy: "accept",
        },
        rules: [{ handle: 4, expressions: [{ masq: {} }] }],
      })],
    },
    "pod-source-replaced",
    "warning",
  ],
  [
    "a node of another namespace",
    node({ here: false }),
    "node-elsewhere",
    "error",
  ],
  [
    "another node's table",
    node({ table: "foreign" }),
    "node-table-foreign",
    "error",
  ],
  [
    "a difference",
    node({
      differences: [{
        sandbox: "default/web",
        object: "link",
        problem: "is down",
        remedy: "mend it",
      }],
    }),
    "difference",
    "error",
  ],
  [
    "garbage",
    node({
      garbage: [{
        kind: "sandbox",
        id: "ab",
        reason: "it died",
        removed: false,
      }],
    }),
    "garbage",
    "warning",
  ],
  [
    "more nodes",
    stateDirectory({ nodes: ["node-1", "node-2"] }),
    "other-nodes",
    "note",
  ],
  [
    "links of another node",
    network({
      links: [
        ...healthy.network.links,
        link("pn-1", { alias: "podnet:other/ab" }),
      ],
    }),
    "other-nodes",
    "warning",
  ],
];
