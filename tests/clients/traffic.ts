/**
 * Who reaches whom: questions from everywhere to a port of a pod.
 *
 * @module
 */
import { assertEquals } from "@std/assert";
import type { NetworkNamespace } from "../../src/namespace/network_namespace.ts";
import { ask, serve, type Transport } from "../support/ask.ts";
import { type Endpoint, familyOf, formatEndpoint } from "../support/sockets.ts";

/** A question to a pod. */
export interface Question {
  /** Where it is asked, for people. */
  readonly from: string;
  readonly network: NetworkNamespace;
  readonly transport?: Transport;
  readonly to: Endpoint;
}

/**
 * Asks one after the other, while somebody serves a port on every address of the pod, and holds every question to be
 * answered by the pod.
 */
export function assertAnswered(
  pod: NetworkNamespace,
  port: number,
  questions: readonly Question[],
): void {
  for (const { from, network, transport = "tcp", to } of questions) {
    const address = familyOf(to.address) === 4 ? "0.0.0.0" : "::";
    using server = serve("pod", pod, { transport, address, port });
    const answer = ask(transport, network, to, [server]);
    const who = typeof answer === "string" ? answer : answer.server;
    assertEquals(who, "pod", `${from}: ${transport} ${formatEndpoint(to)}`);
  }
}

/** Holds a question to be answered by nobody. */
export function assertUnanswered(
  { from, network, transport = "tcp", to }: Question,
): void {
  const answer = ask(transport, network, to, [], { timeoutMs: 300 });
  assertEquals(
    typeof answer,
    "string",
    `${from}: ${transport} ${formatEndpoint(to)} is answered`,
  );
}
