/**
 * What went wrong with host ports elsewhere, as the security history has it. Each line is an attack, what stops it, and
 * what comes of it.
 *
 * @module
 */
import { assertEquals, assertRejects } from "@std/assert";
import { SandboxError } from "../../src/errors.ts";
import { ask, FAMILIES } from "../support/ask.ts";
import { command } from "../support/command.ts";
import {
  type Bytes,
  familyName,
  ipFrame,
  ipPacket,
  PROTOCOL,
  udp,
  udpPacket,
} from "../support/frames.ts";
import { nodeAddress, outsideAddress } from "../support/pods.ts";
import { type Family, TestSocket } from "../support/sockets.ts";
import {
  chainDefence,
  commandDefence,
  type Defence,
  Scene,
  testAttacks,
} from "./scene.ts";

const PORT = 8080;

let scene: Scene;
Deno.test.beforeAll(async () => {
  scene = await Scene.create({
    ports: [{ protocol: "udp", hostPort: PORT, containerPort: 80 }],
  });
});
Deno.test.afterAll(() => scene[Symbol.asyncDispose]().then());

/** Only what is for the node itself is looked up; without it, every packet. */
const LOCAL_ONLY: Defence = chainDefence(
  ["prerouting", "output"],
  "fib daddr type local",
  (chain) => chain.replace("fib daddr type local ", ""),
);

/** A connection of its own for each datagram: those that are known go where they went before. */
let nextPort = 20000;

/** A datagram of the attacker, whatever becomes of it. */
function datagram(
  scene: Scene,
  family: Family,
  to: string,
  mark: Bytes,
  port = PORT,
): Bytes {
  return ipFrame(udpPacket({
    from: { address: scene.attacker.address(family), port: nextPort++ },
    to: { address: to, port },
  }, mark));
}

testAttacks(
  () => scene,
  FAMILIES.flatMap((family) => [
    {
      name:
        `a host port takes a pod's packets to other machines (CVE-2025-67499, ${
          familyName(family)
        })`,
      alone: [LOCAL_ONLY],
      attempt: (scene: Scene) =>
        scene.arrives(scene.targetVictim(family), (mark) => [
          datagram(scene, family, outsideAddress(family), mark),
        ]),
    },
    {
      name:
        `a host port takes the node's packets to other machines (CVE-2025-67499, ${
          familyName(family)
        })`,
      alone: [LOCAL_ONLY],
      attempt: (scene: Scene) =>
        scene.arrives(scene.targetVictim(family), (mark) => {
          using client = TestSocket.open(scene.node.namespace, {
            kind: "udp",
            family,
          });
          client.send(mark, { address: outsideAddress(family), port: PORT });
          return [];
        }),
    },
  ]),
);

/** As an element of podnet's map, past its validation. */
function interceptor(scene: Scene, family: Family): string {
  const victim = scene.victim.address(family);
  return `inet podnet hostports${family}_ip { ${
    outsideAddress(family)
  } . udp . 5353 : ${victim} . 80 }`;
}

testAttacks(
  () => scene,
  FAMILIES.map((family) => ({
    name:
      `a host port on another machine's address takes its packets (CVE-2020-8554, ${
        familyName(family)
      })`,
    alone: [LOCAL_ONLY],
    attempt: async (scene: Scene) => {
      const { namespace } = scene.node;
      command(namespace, `nft add element ${interceptor(scene, family)}`);
      try {
        return await scene.arrives(scene.targetVictim(family), (mark) => [
          datagram(scene, family, outsideAddress(family), mark, 5353),
        ]);
      } finally {
        command(namespace, `nft delete element ${interceptor(scene, family)}`);
      }
    },
  })),
);

Deno.test("a pod is created with a host port on another machine's address (CVE-2020-8554) | host IPs must be the node's | HostAddressUnknown", async () => {
  for (const family of FAMILIES) {
    const hostIP = outsideAddress(family);
    const error = await assertRejects(
      () =>
        scene.node.node.createSandbox({
          name: "interceptor",
          ports: [{ hostIP, hostPort: 5353, containerPort: 80 }],
        }),
      SandboxError,
    );
    assertEquals(error.code, "HostAddressUnknown");
  }
});

/** A service on the node's address and the host port's port, at the priority that kube-proxy's are at. */
function addServices({ attacker, node: { namespace } }: Scene): void {
  const rules = FAMILIES.map((family) => {
    const ip = family === 4 ? "ip" : "ip6";
    return `${ip} daddr ${
      nodeAddress(family)
    } udp dport ${PORT} dnat ${ip} to ${attacker.address(family)}`;
  });
  command(
    namespace,
    `nft -f - <<'END'
table inet services
delete table inet services
table inet services {
  chain prerouting {
    type nat hook prerouting priority -100
    ${rules.join("\n    ")}
  }
}
END`,
  );
}

const AFTER_SERVICES: Defence = chainDefence(
  ["prerouting"],
  "priority after services (-95)",
  (chain) => chain.replace(/priority [^;]+;/, "priority -100;"),
);

/** Of chains of one priority, the one that was made last comes first. */
const WHENEVER_MADE: Defence = {
  ...AFTER_SERVICES,
  remove: (scene) => {
    addServices(scene);
    AFTER_SERVICES.remove(scene);
  },
  restore: async (scene) => {
    await AFTER_SERVICES.restore(scene);
    command(scene.node.namespace, "nft delete table inet services");
  },
};

testAttacks(
  () => scene,
  FAMILIES.map((family) => ({
    name: `a host port takes the packets of a service (CVE-2019-9946, ${
      familyName(family)
    })`,
    alone: [WHENEVER_MADE],
    attempt: async (scene: Scene) => {
      const { namespace } = scene.node;
      const mine = !command(namespace, "nft list tables").includes("services");
      if (mine) {
        addServices(scene);
        // Made anew, and so later than the service.
        command(namespace, "nft flush chain inet podnet prerouting");
        await scene.node.node.repair();
      }
      try {
        using server = scene.victim.serve("udp", family, 80);
        // Where the service leads to.
        using service = scene.attacker.serve("udp", family, PORT);
        const to = { address: nodeAddress(family), port: PORT };
        const servers = [server, service];
        const answer = ask("udp", scene.outside.namespace, to, servers);
        return typeof answer === "object" && answer.server === "victim";
      } finally {
        if (mine) command(namespace, "nft delete table inet services");
      }
    },
  })),
);

/** The rule of others: whatever comes in by a host port gets an address of the node. */
const CLIENTS_STAY: Defence = {
  name: "masquerade of pods alone",
  remove: ({ node: { namespace } }) => {
    command(
      namespace,
      "nft add rule inet podnet postrouting ct status dnat masquerade",
    );
  },
  restore: async ({ node: { node } }) => {
    await node.repair();
  },
};

testAttacks(
  () => scene,
  FAMILIES.map((family) => ({
    name: `an outside client appears to a pod as its node (CVE-2021-20199, ${
      familyName(family)
    })`,
    alone: [CLIENTS_STAY],
    attempt: (scene: Scene) => {
      using server = scene.victim.serve("udp", family, 80);
      const to = { address: nodeAddress(family), port: PORT };
      const answer = ask("udp", scene.outside.namespace, to, [server]);
      return typeof answer !== "object" ||
        answer.client !== outsideAddress(family);
    },
  })),
);

/** Nobody can look at a port that is in a later piece: connection tracking waits for all. Untracked, nobody waits. */
const WHOLE: Defence = commandDefence(
  "connection tracking puts packets together",
  () =>
    `nft -f - <<'END'
table inet untracked {
  chain prerouting {
    type filter hook prerouting priority -460
    ip frag-off & 0x3fff != 0 notrack
    exthdr frag exists notrack
  }
}
END`,
  () => "nft delete table inet untracked",
);

/** A datagram to a host port in two pieces: the first has its header, and no more. */
function cut(scene: Scene, family: Family, mark: Bytes): Bytes[] {
  const from = scene.attacker.address(family);
  const to = nodeAddress(family);
  const segment = udp(
    {
      from: { address: from, port: nextPort++ },
      to: { address: to, port: PORT },
    },
    mark,
  );
  return [segment.slice(0, 8), segment.slice(8)].map((piece, i) =>
    ipFrame(ipPacket({
      from,
      to,
      protocol: PROTOCOL.udp,
      payload: piece,
      fragment: { id: nextPort, offset: 8 * i, more: i === 0 },
    }))
  );
}

testAttacks(
  () => scene,
  FAMILIES.flatMap((family) =>
    ([["in order", false], ["backwards", true]] as const).map((
      [order, isReverse],
    ) => ({
      name:
        `pieces that hide the port, past a host port to the node itself (${order}, ${
          familyName(family)
        })`,
      alone: [WHOLE],
      attempt: (scene: Scene) =>
        scene.arrives(scene.targetNode(family), (mark) => {
          const pieces = cut(scene, family, mark);
          return isReverse ? pieces.reverse() : pieces;
        }),
    }))
  ),
);
