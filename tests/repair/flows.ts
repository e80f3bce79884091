/**
 * Connections that were there before something was damaged, and carry bytes all the while.
 *
 * @module
 */
import { assert, assertEquals } from "@std/assert";
import { Errno, isSyscallError } from "../../ffi/errno.ts";
import { isRefusal, TestSocket } from "../support/sockets.ts";
import type { Endpoint, Family } from "../support/sockets.ts";
import type { NetworkNamespace } from "../../src/namespace/network_namespace.ts";

/** Where a flow comes from, where it is sent, and where it must arrive. */
export interface Way {
  readonly title: string;
  readonly family: Family;
  readonly from: NetworkNamespace;
  readonly to: Endpoint;
  readonly server: NetworkNamespace;
  readonly at: Endpoint;
}

/** A flow between two sockets. */
export interface Flow extends Disposable {
  readonly title: string;
  /** Sends something from either side, which may be lost or wait for a while. */
  send(): void;
  /** Asserts that all that was sent has come, or comes, and that more gets through. */
  assertAlive(): void;
}

/** A TCP connection: nothing of what is sent may be lost, whatever happens to the packets. */
export function tcpFlow({ title, family, from, to, server, at }: Way): Flow {
  using listener = TestSocket.open(server, { kind: "tcp", family, local: at });
  listener.listen();
  const client = TestSocket.open(from, { kind: "tcp", family });
  client.connect(to);
  const peer = listener.accept().socket;
  const ways = [[client, peer], [peer, client]] as const;
  const pending = ways.map((): Uint8Array[] => []);
  const send = () => {
    for (const [i, [sender]] of ways.entries()) {
      const bytes = crypto.getRandomValues(new Uint8Array(100));
      sender.send(bytes);
      pending[i]?.push(bytes);
    }
  };
  return {
    title: `TCP IPv${family} ${title}`,
    send,
    assertAlive: () => {
      send();
      for (const [i, [, receiver]] of ways.entries()) {
        const sent = Uint8Array.from(
          pending[i]?.splice(0).flatMap((bytes) => [...bytes]) ?? [],
        );
        assertEquals(receiver.receiveExactly(sent.length), sent, title);
      }
    },
    [Symbol.dispose]: () => {
      client[Symbol.dispose]();
      peer[Symbol.dispose]();
    },
  };
}

/** Datagrams between the same two ports: some may be lost, and then the server still sees the same client. */
export function udpFlow({ title, family, from, to, server, at }: Way): Flow {
  const peer = TestSocket.open(server, { kind: "udp", family, local: at });
  const client = TestSocket.open(from, { kind: "udp", family });
  client.connect(to);
  const name = `UDP IPv${family} ${title}`;
  let seen: Endpoint | undefined;
  const exchange = () => {
    const bytes = crypto.getRandomValues(new Uint8Array(16));
    trySend(client, bytes);
    for (;;) {
      const received = peer.receive();
      assert(received !== undefined, `${name}: nothing arrives`);
      // What was sent in between may come as well.
      if (received.data.toHex() !== bytes.toHex()) continue;
      seen ??= received.from;
      assertEquals(received.from, seen, `${name}: another client`);
      peer.send(bytes, received.from);
      break;
    }
    assertEquals(client.receive()?.data, bytes, `${name}: no answer`);
  };
  exchange();
  return {
    title: name,
    send: () => trySend(client, new Uint8Array(1)),
    assertAlive: exchange,
    [Symbol.dispose]: () => {
      client[Symbol.dispose]();
      peer[Symbol.dispose]();
    },
  };
}

/** An ICMP error for an earlier datagram is told by the next call, which then sends nothing. */
function trySend(socket: TestSocket, bytes: Uint8Array<ArrayBuffer>): void {
  for (let tries = 0;; tries++) {
    try {
      return socket.send(bytes);
    } catch (error) {
      if (!isUnreachable(error) || tries === 3) throw error;
    }
  }
}

function isUnreachable(error: unknown): boolean {
  return isRefusal(error) ||
    isSyscallError(
      error,
      Errno.EHOSTUNREACH,
      Errno.ENETUNREACH,
      Errno.ENETDOWN,
    );
}
