/** Policy rules and queueing disciplines, compared with what ip(8) and tc(8) tell. */
import { assertEquals } from "@std/assert";
import { NetworkNamespace } from "../../src/namespace/network_namespace.ts";
import { Connection } from "../../src/netlink/connection.ts";
import { NETLINK_ROUTE } from "../../src/netlink/message.ts";
import { LOOPBACK_INDEX } from "../../src/rtnetlink/link.ts";
import { newQdisc } from "../../src/rtnetlink/qdisc.ts";
import {
  dumpPolicyRules,
  type PolicyRule,
} from "../../src/rtnetlink/policy_rule.ts";
import { command } from "../support/command.ts";

/** A rule as text. */
function textOf(rule: PolicyRule): string {
  return [
    rule.priority,
    rule.action,
    rule.table,
    ...rule.source === undefined ? [] : [`from ${rule.source}`],
    ...rule.destination === undefined ? [] : [`to ${rule.destination}`],
    ...rule.inputLink === undefined ? [] : [`iif ${rule.inputLink}`],
    ...rule.hasOtherConditions ? ["and more"] : [],
    ...rule.inverted ? ["not"] : [],
    ...rule.suppressedPrefixLength === undefined
      ? []
      : [`suppress ${rule.suppressedPrefixLength}`],
  ].join(" ");
}

Deno.test("dumpPolicyRules() tells rules as ip made them", () => {
  using namespace = NetworkNamespace.create();
  using route = namespace.run(() => Connection.open(NETLINK_ROUTE));
  command(
    namespace,
    `
    ip rule add from 10.0.0.0/8 to 10.1.0.0/16 lookup 1000 priority 10
    ip rule add not fwmark 7 lookup 77 priority 11
    ip rule add iif eth0 prohibit priority 12
    ip rule add lookup main suppress_prefixlength 0 priority 13
    ip rule add ipproto tcp dport 25 lookup 5 priority 14
    ip -6 rule add to fd00::/8 lookup main priority 15`,
  );
  assertEquals(route.dump(dumpPolicyRules(4)).map(textOf), [
    "0 1 255",
    "10 1 1000 from 10.0.0.0/8 to 10.1.0.0/16",
    "11 1 77 and more not",
    "12 8 0 iif eth0",
    "13 1 254 suppress 0",
    "14 1 5 and more",
    "32766 1 254",
    "32767 1 253",
  ]);
  assertEquals(route.dump(dumpPolicyRules(6)).map(textOf), [
    "0 1 255",
    "15 1 254 to fd00::/8",
    "32766 1 254",
  ]);
});

Deno.test("newQdisc() makes a queueing discipline the root of a link", () => {
  using namespace = NetworkNamespace.create();
  using route = namespace.run(() => Connection.open(NETLINK_ROUTE));
  route.execute([newQdisc({ index: LOOPBACK_INDEX, kind: "pfifo" })]);
  const [qdisc] = JSON.parse(command(namespace, "tc -j qdisc show dev lo"));
  assertEquals([qdisc.kind, qdisc.root], ["pfifo", true]);
});
