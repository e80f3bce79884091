/**
 * Trials of nf_tables and connection tracking.
 *
 * @module
 */
import { Errno } from "../../../ffi/errno.ts";
import { flushConntrack, listConntrack } from "../../conntrack/conntrack.ts";
import { SETS } from "../../hostport/sets.ts";
import { isNetlinkError } from "../../netlink/netlink_error.ts";
import { NfFamily } from "../../netlink/nfnetlink.ts";
import {
  GenerationError,
  type NftablesConnection,
} from "../../nftables/connection.ts";
import { encodeKey } from "../../nftables/datatype.ts";
import { meta } from "../../nftables/expression.ts";
import type {
  Chain,
  Element,
  NftSet,
  Rule,
  Table,
} from "../../nftables/ruleset.ts";
import { equals, fibMissing, rule, verdict } from "../../nftables/statement.ts";
import { masquerade } from "../../nftables/source_nat.ts";
import {
  flowtableMessage,
  type NftBody,
  NftMessage,
} from "../../nftables/tables.ts";
import { Transaction } from "../../nftables/transaction.ts";
import { type Attempt, type TrialGround, Untried } from "./attempt.ts";

function nftOf({ nft }: TrialGround): NftablesConnection {
  if (nft === undefined) throw new Untried();
  return nft;
}

function needed(
  feature: string,
  run: (nft: NftablesConnection) => boolean | void,
): Attempt {
  return {
    feature,
    needed: true,
    without: "host ports, masquerading and protection from spoofing need it",
    run: (ground) => run(nftOf(ground)),
  };
}

function table(name: string, parts: Partial<Table>): Table {
  return { family: "inet", name, sets: [], chains: [], ...parts };
}

function create(nft: NftablesConnection, made: Table): void {
  const transaction = new Transaction();
  transaction.createTable(made);
  nft.commit(transaction);
}

function postrouting(type: "filter" | "nat", made: Rule): Chain {
  return {
    name: "c",
    hook: { type, hook: "postrouting", priority: 100 },
    rules: [made],
  };
}

/** What nf_tables and conntrack are used for. */
export const netfilterAttempts: readonly Attempt[] = [
  needed("nf_tables", (nft) => create(nft, table("plain", {}))),
  needed("nf_tables nat", (nft) => {
    const masked = rule([equals(meta.oifname, "none"), masquerade]);
    create(nft, table("nat", { chains: [postrouting("nat", masked)] }));
  }),
  needed("nf_tables fib", (nft) => {
    const checked = rule([fibMissing("saddr", "iif"), verdict("drop")]);
    const chain: Chain = {
      name: "c",
      hook: { type: "filter", hook: "prerouting", priority: -300 },
      rules: [checked],
    };
    create(nft, table("fib", { chains: [chain] }));
  }),
  needed("nf_tables concatenated maps", (nft) => {
    const set = SETS[6].specific;
    const element: Element = {
      key: encodeKey(set.key, ["fd00::1", "tcp", 80]),
      data: encodeKey(set.data ?? [], ["fd00::2", 80]),
    };
    create(nft, table("map", { sets: [{ ...set, elements: [element] }] }));
  }),
  needed("nf_tables interval sets", (nft) => {
    const key = ["ipv4_addr"] as const;
    const set: NftSet = { name: "s", key, interval: true };
    const element: Element = {
      key: encodeKey(key, ["10.0.0.0"]),
      keyEnd: encodeKey(key, ["10.255.255.255"]),
    };
    create(nft, table("range", { sets: [{ ...set, elements: [element] }] }));
  }),
  needed("nf_tables transactions", (nft) => {
    const transaction = new Transaction();
    transaction.createTable(table("undone", {}));
    transaction.deleteTable("absent");
    try {
      nft.commit(transaction);
      return false;
    } catch (error) {
      if (!isNetlinkError(error, Errno.ENOENT)) throw error;
      return nft.getTable("undone") === undefined;
    }
  }),
  needed("nf_tables generations", (nft) => {
    const transaction = new Transaction();
    transaction.createTable(table("stale", {}));
    try {
      nft.commit(transaction, { generation: nft.generation() + 7 });
      return false;
    } catch (error) {
      if (!(error instanceof GenerationError)) throw error;
    }
  }),
  {
    feature: "conntrack by netlink",
    needed: true,
    without: "connections of pods that are gone cannot be ended",
    run(ground) {
      listConntrack(nftOf(ground).netlink, { family: 4 });
    },
  },
  {
    feature: "conntrack filters",
    needed: false,
    without:
      "ending connections of a host port costs a walk through all of them",
    run(ground) {
      const filter = {
        family: 4,
        protocol: 17,
        originalDestinationPort: 9,
      } as const;
      // Undefined: the kernel did it by itself.
      return flushConntrack(nftOf(ground).netlink, filter) === undefined;
    },
  },
  {
    feature: "nf_tables connection counts",
    needed: false,
    without: "no limit on the connections of one pod",
    run(ground) {
      const transaction = new Transaction();
      transaction.createTable(table("count", {
        chains: [postrouting("filter", {
          // NFTA_CONNLIMIT_COUNT 1: 10 connections (linux/netfilter/nf_tables.h).
          expressions: [{
            $other: {
              name: "connlimit",
              data: Uint8Array.of(8, 0, 1, 0, 0, 0, 0, 10),
            },
          }],
        })],
      }));
      nftOf(ground).commit(transaction);
    },
  },
  {
    feature: "nf_tables flowtables",
    needed: false,
    without: "no shortcut for established connections",
    run(ground) {
      const nft = nftOf(ground);
      const transaction = new Transaction();
      transaction.createTable(table("flow", {}));
      const [begin, create, end] = transaction.requests();
      if (begin === undefined || create === undefined || end === undefined) {
        throw new Untried();
      }
      const INGRESS = 0;
      const value: NftBody<
        { table: string; name: string; hook: object }
      > = {
        header: { family: NfFamily.inet },
        attrs: {
          table: "flow",
          name: "f",
          hook: { num: INGRESS, priority: 0, devs: ["lo"] },
        },
      };
      nft.netlink.execute([begin, create, {
        operation: "add flowtable",
        type: NftMessage.newFlowtable,
        flags: create.flags,
        codec: flowtableMessage,
        value,
      }, end]);
    },
  },
];
