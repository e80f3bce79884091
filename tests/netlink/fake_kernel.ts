/** A transport without a kernel behind it, and the messages a kernel would answer with. */
import { ByteWindow, ByteWriter } from "../../src/netlink/bytes.ts";
import { attrs, encode } from "../../src/netlink/attrs.ts";
import { type Codec, u32 } from "../../src/netlink/codec.ts";
import {
  type Message,
  NLM_F_ACK_TLVS,
  NLM_F_CAPPED,
  NLM_F_MULTI,
  NLMSG_DONE,
  NLMSG_ERROR,
  readMessages,
  type Request,
} from "../../src/netlink/message.ts";
import { errorAttrs } from "../../src/netlink/netlink_error.ts";
import type { Transport } from "../../src/netlink/transport.ts";

/** A datagram, or an error that receiving throws. */
export type Answer = Uint8Array<ArrayBuffer> | Error;

/** Answers each datagram by asking a function, and keeps what was sent. */
export class FakeKernel implements Transport {
  readonly sent: Uint8Array<ArrayBuffer>[] = [];
  readonly queue: Answer[] = [];
  closed = false;
  readonly #answer: (messages: readonly Message[]) => readonly Answer[];

  constructor(
    answer: (messages: readonly Message[]) => readonly Answer[] = () => [],
  ) {
    this.#answer = answer;
  }

  send(datagram: Uint8Array<ArrayBuffer>): void {
    const copy = datagram.slice();
    this.sent.push(copy);
    this.queue.push(...this.#answer(readMessages(new ByteWindow(copy))));
  }

  receive(): Uint8Array<ArrayBuffer> | undefined {
    const next = this.queue.shift();
    if (next instanceof Error) throw next;
    return next;
  }

  [Symbol.dispose](): void {
    this.closed = true;
  }
}

const table = attrs("TEST_", { number: [1, u32] });

/** The body of test messages. */
export const testCodec = table;

/** A request of one attribute. */
export function request(
  operation: string,
  number = 0,
  flags = 0,
): Request<{ number?: number }> {
  return { operation, type: 100, flags, codec: table, value: { number } };
}

function message(
  type: number,
  flags: number,
  sequence: number,
  write: (out: ByteWriter) => void,
): Uint8Array<ArrayBuffer> {
  const out = new ByteWriter();
  out.reserve(4);
  out.u16(type, true);
  out.u16(flags, true);
  out.u32(sequence, true);
  out.u32(4711, true);
  write(out);
  out.setU32(0, out.length);
  out.reserve(-out.length & 3);
  return out.finish();
}

/** A reply with a body. */
export function reply<T>(
  sequence: number,
  codec: Codec<T>,
  value: T,
  flags = 0,
): Uint8Array<ArrayBuffer> {
  return message(100, flags, sequence, (out) => codec.write(out, value));
}

/** What an extended acknowledgement says. */
export interface Words {
  readonly msg?: string;
  readonly offs?: number;
  readonly missType?: number;
  readonly missNest?: number;
}

/** NLMSG_ERROR: an acknowledgement if `errno` is 0. With `echo` the request's body is repeated. */
export function error(
  sequence: number,
  errno: number,
  words?: Words,
  echo?: Uint8Array,
): Uint8Array<ArrayBuffer> {
  const flags = (words ? NLM_F_ACK_TLVS : 0) | (echo ? 0 : NLM_F_CAPPED);
  return message(NLMSG_ERROR, flags, sequence, (out) => {
    out.u32(-errno >>> 0, true);
    out.u32(16 + (echo?.length ?? 0), true);
    out.reserve(12);
    if (echo) out.bytes(echo);
    out.reserve(-out.length & 3);
    if (words) out.bytes(encode(errorAttrs, words));
  });
}

/** NLMSG_DONE. */
export function done(
  sequence: number,
  errno = 0,
  words?: Words,
  flags = 0,
): Uint8Array<ArrayBuffer> {
  const all = NLM_F_MULTI | flags | (words ? NLM_F_ACK_TLVS : 0);
  return message(NLMSG_DONE, all, sequence, (out) => {
    out.u32(-errno >>> 0, true);
    if (words) out.bytes(encode(errorAttrs, words));
  });
}

/** A message of any type without a body. */
export function bare(
  type: number,
  sequence: number,
  flags = 0,
): Uint8Array<ArrayBuffer> {
  return message(type, flags, sequence, () => {});
}

/** Several messages in one datagram. */
export function together(
  ...parts: readonly Uint8Array<ArrayBuffer>[]
): Uint8Array<ArrayBuffer> {
  const out = new ByteWriter();
  for (const part of parts) out.bytes(part);
  return out.finish();
}
