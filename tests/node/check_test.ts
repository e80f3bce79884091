/**
 * Everything that can be damaged behind podnet's back: found by check(), mended by repair(), without breaking a connection.
 *
 * @module
 */
import { assert, assertEquals, assertMatch } from "@std/assert";
import type { Finding } from "../../mod.ts";
import { findElementsOf } from "../../src/hostport/host_ports.ts";
import { TABLE } from "../../src/hostport/sets.ts";
import { NftablesConnection } from "../../src/nftables/connection.ts";
import { Transaction } from "../../src/nftables/transaction.ts";
import { createLab, type Lab, type LabNode } from "../../src/testing/mod.ts";
import { nodeAddress, nodeAt, Pod } from "../support/pods.ts";
import { FAMILIES } from "../support/ask.ts";
import { command } from "../support/command.ts";
import { type Family, TestSocket } from "../support/sockets.ts";

const SYSCTL = "net.ipv4.ip_unprivileged_port_start";

let lab: Lab;
let node: LabNode;
let pod: Pod;
let owned: AsyncDisposableStack;

Deno.test.beforeAll(async () => {
  await using stack = new AsyncDisposableStack();
  lab = stack.use(await createLab());
  node = nodeAt(lab.nodes, 0);
  pod = stack.use(
    await Pod.create(node, {
      name: "web",
      ports: [{ hostPort: 8080, containerPort: 80 }],
      sysctls: { [SYSCTL]: "0" },
    }),
  );
  // Somebody who must not be touched.
  stack.use(await Pod.create(node, { name: "other" }));
  owned = stack.move();
});

Deno.test.afterAll(() => owned[Symbol.asyncDispose]().then());

/** A TCP connection from the outside host through a host port into the pod. */
class Connection implements Disposable {
  readonly #family: Family;
  readonly #client: TestSocket;
  readonly #server: TestSocket;

  constructor(family: Family) {
    using server = pod.serve("tcp", family, 80);
    this.#family = family;
    this.#client = TestSocket.open(lab.outside.namespace, {
      kind: "tcp",
      family,
    });
    this.#client.connect({ address: nodeAddress(family), port: 8080 });
    this.#server = server.socket.accept().socket;
  }

  /** Asserts that bytes get through in both directions. */
  assertAlive(): void {
    for (
      const [from, to] of [
        [this.#client, this.#server],
        [this.#server, this.#client],
      ] as const
    ) {
      const sent = crypto.getRandomValues(new Uint8Array(100));
      from.send(sent);
      assertEquals(to.receiveExactly(100), sent, `IPv${this.#family}`);
    }
  }

  [Symbol.dispose](): void {
    this.#client[Symbol.dispose]();
    this.#server[Symbol.dispose]();
  }
}

/** Handle of the first rule of a chain. */
function ruleHandle(chain: string): string {
  const text = command(
    node.namespace,
    `nft -a list chain inet podnet ${chain}`,
  );
  const [, handle] = /^\t\t.*# handle (\d+)$/m.exec(
    text.replace(/^\t\ttype .*\n/m, ""),
  ) ?? [];
  assert(handle !== undefined, text);
  return handle;
}

function deleteElements(set: string): void {
  using nft = node.namespace.run(() => NftablesConnection.open());
  const transaction = new Transaction();
  const found = findElementsOf(nft, (id) => id === pod.sandbox.id)
    .filter((placed) => placed.set.name === set);
  assertEquals(found.length, 1);
  for (const { set, element } of found) {
    transaction.deleteElements(TABLE, set, [element]);
  }
  nft.commit(transaction);
}

const onNode = (...lines: string[]) => () => {
  for (const line of lines) command(node.namespace, fill(line));
};

const inPod = (...lines: string[]) => () => {
  for (const line of lines) command(pod.namespace, fill(line));
};

/** Puts the pod's own names into a command line. */
function fill(line: string): string {
  return line.replaceAll("LINK", pod.sandbox.hostInterface ?? "")
    .replaceAll("POD4", pod.address(4)).replaceAll("POD6", pod.address(6));
}

const NODE = /^nf_tables table inet podnet /;

/** What is damaged, how, and what check() tells of it: `object problem` of each finding. */
const damages: readonly [string, () => void, readonly RegExp[]][] = [
  [
    "a rule deleted",
    () =>
      onNode(
        `nft delete rule inet podnet hostports handle ${
          ruleHandle("hostports")
        }`,
      )(),
    [NODE],
  ],
  [
    "a rule added",
    onNode("nft add rule inet podnet guard counter"),
    [NODE],
  ],
  [
    "a chain deleted",
    onNode(
      "nft flush chain inet podnet postrouting",
      "nft delete chain inet podnet postrouting",
    ),
    [NODE],
  ],
  [
    "a chain emptied",
    onNode("nft flush chain inet podnet guard"),
    [NODE],
  ],
  [
    "a network deleted from its set",
    onNode("nft flush set inet podnet pods4"),
    [/^nf_tables table inet podnet set pods4 lacks /],
  ],
  [
    "a host port's element deleted",
    () => deleteElements("hostports4"),
    [/^element .* of set hostports4 is missing$/],
  ],
  [
    "a loopback element deleted",
    () => deleteElements("loopback6"),
    [/^element .* of set loopback6 is missing$/],
  ],
  [
    "the hairpin element deleted",
    () => deleteElements("hairpin6"),
    [/^element .* of set hairpin6 is missing$/],
  ],
  [
    "the table deleted",
    onNode("nft delete table inet podnet"),
    [NODE, /^element .* of set hostports4 is missing$/],
  ],
  [
    "the ruleset flushed",
    onNode("nft flush ruleset"),
    [NODE, /^element .* of set hairpin4 is missing$/],
  ],
  [
    "the node's end down",
    onNode("ip link set LINK down"),
    [
      /^link pn-\w+ is down$/,
      /^route to 10\.244\.1\.\d+\/32 is missing$/,
      /^route to fd00:.*\/128 is missing$/,
    ],
  ],
  [
    "the pod's end down",
    inPod("ip link set eth0 down"),
    [
      /^pod's link eth0 is down$/,
      /^pod's default route via 10\.244\.1\.1 is missing$/,
      /^pod's default route via fd00:10:244:1::1 is missing$/,
    ],
  ],
  ["the pod's lo down", inPod("ip link set lo down"), [
    /^pod's link lo is down$/,
  ]],
  [
    "the MTU changed on both ends",
    () => {
      onNode("ip link set LINK mtu 1400")();
      inPod("ip link set eth0 mtu 1400")();
    },
    [
      /^link pn-\w+ has MTU 1400, not 1500$/,
      /^pod's link eth0 has MTU 1400, not 1500$/,
    ],
  ],
  [
    "the pod's MAC changed",
    inPod("ip link set eth0 address 02:00:00:00:00:77"),
    [/^pod's link eth0 has MAC 02:00:00:00:00:77, not /],
  ],
  [
    "the pod's IPv4 address removed",
    inPod("ip -4 addr flush dev eth0"),
    [/^pod's address 10\.244\.1\.\d+ is missing$/],
  ],
  [
    "the pod's IPv6 address removed",
    inPod("ip addr del POD6/128 dev eth0"),
    [/^pod's address fd00:\S+ is missing$/],
  ],
  [
    "the routes to the pod removed",
    onNode("ip route del POD4/32", "ip -6 route del POD6/128"),
    [/^route to 10\.\S+ is missing$/, /^route to fd00:\S+ is missing$/],
  ],
  [
    "the pod's default routes removed",
    inPod("ip route del default", "ip -6 route del default"),
    [
      /^pod's default route via 10\.244\.1\.1 is missing$/,
      /^pod's default route via fd00:10:244:1::1 is missing$/,
    ],
  ],
  [
    "the node's neighbours removed",
    onNode("ip neigh del POD4 dev LINK", "ip neigh del POD6 dev LINK"),
    [
      /^neighbour 10\.\S+ on pn-\w+ is missing$/,
      /^neighbour fd00:\S+ on pn-\w+ is missing$/,
    ],
  ],
  [
    "the pod's neighbours removed",
    inPod(
      "ip neigh del 10.244.1.1 dev eth0",
      "ip neigh del fd00:10:244:1::1 dev eth0",
    ),
    [
      /^pod's neighbour 10\.244\.1\.1 is missing$/,
      /^pod's neighbour fd00:10:244:1::1 is missing$/,
    ],
  ],
  [
    "a neighbour that leads elsewhere",
    onNode("ip neigh replace POD4 lladdr 02:00:00:00:00:78 dev LINK"),
    [/^neighbour 10\.\S+ on pn-\w+ is 02:00:00:00:00:78, not /],
  ],
  [
    "a sysctl changed",
    inPod(`sysctl -q -w ${SYSCTL}=1024`),
    [new RegExp(`^sysctl ${SYSCTL} is "1024" instead of "0"$`)],
  ],
  [
    "forwarding off",
    onNode("sysctl -q -w net.ipv4.ip_forward=0"),
    [/^sysctl net\.ipv4\.ip_forward is off$/],
  ],
  [
    "the gateway address removed",
    onNode("ip addr del 10.244.1.1/32 dev lo"),
    [/^address 10\.244\.1\.1\/32 of lo is missing$/],
  ],
  [
    "the node's lo down",
    onNode("ip link set lo down"),
    [/^link lo is down$/],
  ],
];

/** Damage that every pod takes part in. */
const OF_THE_NODE = /table|ruleset|gateway|node's lo|forwarding/;

function textOf({ object, problem }: Finding): string {
  return `${object} ${problem}`;
}

Deno.test("check() is empty on a healthy node, and repair() then does nothing", async () => {
  const { node: { node: ofLab } } = { node };
  assertEquals(await ofLab.check(), []);
  assertEquals(await ofLab.repair(), { mended: [], remaining: [] });
});

for (const [title, damage, expected] of damages) {
  Deno.test(`check() finds and repair() mends ${title}; connections survive`, async () => {
    using stack = new DisposableStack();
    const connections = FAMILIES.map((family) =>
      stack.use(new Connection(family))
    );
    damage();
    const found = await node.node.check();
    for (const pattern of expected) {
      assert(
        found.some((finding) => pattern.test(textOf(finding))),
        `${pattern} in:\n${found.map(textOf).join("\n")}`,
      );
    }
    for (const { remedy, sandbox = "default/web" } of found) {
      assertMatch(remedy, /^repair /);
      if (!OF_THE_NODE.test(title)) assertEquals(sandbox, "default/web");
    }
    assertEquals(await node.node.check(), found, "check() changed something");
    const { remaining } = await node.node.repair();
    assertEquals(remaining, []);
    assertEquals(await node.node.check(), []);
    for (const connection of connections) connection.assertAlive();
    for (const family of FAMILIES) new Connection(family)[Symbol.dispose]();
  });
}

Deno.test("a link that is gone is made anew, and the pod's namespace, addresses and ports stay", async () => {
  using stack = new DisposableStack();
  const connections = FAMILIES.map((family) =>
    stack.use(new Connection(family))
  );
  const { hostInterface, addresses } = pod.sandbox;
  command(pod.namespace, "ip link del eth0");
  const found = await node.node.check();
  assertEquals(found.map(textOf), [`link ${hostInterface} is gone`]);
  const { mended, remaining } = await node.node.repair();
  assertEquals(mended, found);
  assertEquals(remaining, []);
  const again = await node.node.openSandbox("web");
  assert(again.hostInterface !== hostInterface);
  assertEquals(again.addresses, addresses);
  for (const connection of connections) connection.assertAlive();
});

Deno.test("check() tells what only people can mend, and repair() leaves it", async () => {
  deleteElements("hostports4");
  deleteElements("loopback4");
  const other = await node.node.openSandbox("other");
  const port = { hostIP: "0.0.0.0", hostPort: 8080, containerPort: 80 };
  await other.addPorts([port]);
  const found = await node.node.check();
  assertEquals(
    found.map(({ sandbox, problem, remedy, repairable }) => ({
      sandbox,
      problem,
      remedy,
      repairable,
    })),
    Array(2).fill({
      sandbox: "default/web",
      problem: `belongs to sandbox default/other (${other.id})`,
      remedy: "take the port from one of them (podnet ports rm)",
      repairable: false,
    }),
  );
  assertEquals(await node.node.repair(), { mended: [], remaining: found });
  // Its remedy works.
  await other.removePorts([port]);
  const { mended, remaining } = await node.node.repair();
  assertEquals(mended.map(({ problem }) => problem), [
    "is missing",
    "is missing",
  ]);
  assertEquals(remaining, []);
  assertEquals(await node.node.check(), []);
});

Deno.test("check() finds a sandbox whose namespace is gone, and one whose creation was cut short", async () => {
  const gone = await node.node.createSandbox({ name: "gone" });
  command(node.namespace, `umount -l ${gone.netnsPath}`);
  const findings = await node.node.check();
  assertEquals(findings.map(({ sandbox, problem }) => [sandbox, problem]), [
    ["default/gone", "is gone"],
  ]);
  await gone.remove({ force: true });
  assertEquals(await node.node.check(), []);
});
