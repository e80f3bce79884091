/**
 * Calls of etcd's JSON gateway (https://etcd.io/docs/v3.4/dev-guide/api_grpc_gateway/): one answer, or a stream of them.
 *
 * @module
 */
import * as v from "valibot";
import { isStoreError, StoreError } from "../store.ts";
import type { EtcdOptions } from "./options.ts";
import { Lines } from "./lines.ts";
import { Limit } from "../limit.ts";

const TIMEOUT_MS = 5000;
/** etcd refuses requests of more than 1.5 MB; a page of a listing stays far below this. */
const MAX_ANSWER_BYTES = 64 << 20;

/** Codes of gRPC (google/rpc/code.proto) that decide what to do. */
const GRPC = {
  deadlineExceeded: 4,
  outOfRange: 11,
  unavailable: 14,
  invalidArgument: 3,
  unauthenticated: 16,
} as const;

/** What the gateway says when it refuses. */
const refusal = v.object({
  code: v.optional(v.number()),
  error: v.optional(v.string()),
  message: v.optional(v.string()),
});
const token = v.object({ token: v.string() });

/** Connections to the members of one etcd. */
export class EtcdGateway implements Disposable {
  readonly #endpoints: readonly string[];
  readonly #client: Deno.HttpClient;
  readonly #user:
    | { readonly name: string; readonly password: string }
    | undefined;
  readonly #timeoutMs: number;
  /** The endpoint that answered last. */
  #current = 0;
  #token: string | undefined;
  /** Streams that are read, by their endpoints. */
  readonly #streams = new Map<Limit, string>();

  /** Opens nothing yet. The options are checked. */
  constructor(options: EtcdOptions) {
    const { endpoints, user, password = "", ca, cert, key } = options;
    this.#endpoints = endpoints.map((url) => url.replace(/\/+$/, ""));
    this.#timeoutMs = options.timeoutMs ?? TIMEOUT_MS;
    this.#user = user === undefined ? undefined : { name: user, password };
    this.#client = Deno.createHttpClient({
      // A call of HTTP/2 would share its connection, and its fate, with the watch.
      http2: false,
      ...ca !== undefined && { caCerts: [ca] },
      ...cert !== undefined && key !== undefined && { cert, key },
    });
  }

  /** The endpoints, for people. */
  get description(): string {
    return this.#endpoints.join(", ");
  }

  [Symbol.dispose](): void {
    this.#client.close();
  }

  /**
   * One answer.
   *
   * @throws {StoreError}
   */
  async call(
    path: string,
    body: unknown,
    signal: AbortSignal | undefined,
  ): Promise<unknown> {
    return await this.#try(async (endpoint) => {
      using limit = new Limit(signal, this.#timeoutMs);
      const response = await this.#post(endpoint, path, body, limit);
      const text = await limit.during(() => readAll(response));
      return parseJson(endpoint, text);
    }, signal);
  }

  /**
   * The answers of a stream, until the reader has enough, or it breaks.
   *
   * @param silenceMs longest time without any, in milliseconds; then it ends
   * @throws {StoreError}
   */
  async *stream(
    path: string,
    body: unknown,
    signal: AbortSignal | undefined,
    silenceMs: number,
  ): AsyncGenerator<unknown, void, undefined> {
    const [response, limit, endpoint] = await this.#try(async (endpoint) => {
      using started = new DisposableStack();
      const limit = started.use(new Limit(signal, this.#timeoutMs));
      const response = await this.#post(endpoint, path, body, limit);
      this.#streams.set(limit, endpoint);
      started.move();
      return [response, limit, endpoint] as const;
    }, signal);
    using _limit = limit;
    const lines = new Lines(MAX_ANSWER_BYTES);
    const reader = response.body?.getReader();
    try {
      for (;;) {
        limit.restart(silenceMs);
        const chunk = await this.#next(endpoint, reader, limit, signal);
        if (chunk === undefined) return;
        limit.stop();
        for (const line of lines.push(chunk)) yield parseJson(endpoint, line);
      }
    } finally {
      this.#streams.delete(limit);
      await reader?.cancel().catch(() => {});
    }
  }

  /** The next part of a stream; undefined when there was none for as long as the limit lets it wait. */
  async #next(
    endpoint: string,
    reader: ReadableStreamDefaultReader<Uint8Array> | undefined,
    limit: Limit,
    signal: AbortSignal | undefined,
  ): Promise<Uint8Array | undefined> {
    try {
      const chunk = await limit.during(async () => await reader?.read());
      if (chunk?.value !== undefined) return chunk.value;
    } catch (error) {
      signal?.throwIfAborted();
      if (limit.isOver) return undefined;
      throw broken(endpoint, error);
    }
    throw broken(endpoint, "it ended the stream");
  }

  get #endpoint(): string {
    return this.#endpoints[this.#current] ?? "";
  }

  /** Asks the endpoints one after another, beginning with the one that answered last, until one is able to answer. */
  async #try<T>(
    ask: (endpoint: string) => Promise<T>,
    signal: AbortSignal | undefined,
  ): Promise<T> {
    const failures: string[] = [];
    let last: unknown;
    for (let attempt = 0; attempt < this.#endpoints.length; attempt++) {
      const endpoint = this.#endpoint;
      try {
        return await ask(endpoint);
      } catch (error) {
        const isSilent = isStoreError(error, "unreachable");
        // Also when whoever asks has no more time for this one: the next call is not to wait for it again.
        const isLeft = isSilent || signal?.aborted === true;
        // Another call may have left it meanwhile.
        if (isLeft && endpoint === this.#endpoint) {
          this.#current = (this.#current + 1) % this.#endpoints.length;
        }
        signal?.throwIfAborted();
        if (!isSilent) throw error;
        failures.push(error.message);
        last = error;
        // One that hangs says nothing in its streams either.
        for (const [limit, of] of this.#streams) {
          if (of === endpoint) limit.end(error);
        }
      }
    }
    throw new StoreError("unreachable", failures.join("; "), last);
  }

  /** Sends a request and waits for the beginning of its answer. */
  async #post(
    endpoint: string,
    path: string,
    body: unknown,
    limit: Limit,
  ): Promise<Response> {
    for (let isRetry = false;; isRetry = true) {
      const authorization = await this.#authorization(endpoint, limit);
      const response = await this.#send(endpoint, path, body, limit, {
        ...authorization !== undefined && { authorization },
      });
      if (response.ok) return response;
      const { code, text } = await refusalOf(response, limit);
      const mayBeToken = authorization !== undefined &&
        (code === GRPC.unauthenticated || code === GRPC.invalidArgument);
      // It has ended, or users have changed.
      if (mayBeToken && this.#token === authorization) this.#token = undefined;
      if (mayBeToken && !isRetry) continue;
      throw refused(endpoint, code, text, response.status);
    }
  }

  async #send(
    endpoint: string,
    path: string,
    body: unknown,
    limit: Limit,
    headers: Record<string, string>,
  ): Promise<Response> {
    try {
      return await limit.during(() =>
        fetch(`${endpoint}/v3/${path}`, {
          method: "POST",
          body: JSON.stringify(body),
          // A member that has lost the others must say so, not wait for them (etcd's WithRequireLeader).
          headers: { ...headers, "grpc-metadata-hasleader": "true" },
          redirect: "error",
          signal: limit.signal,
          client: this.#client,
        })
      );
    } catch (error) {
      throw broken(endpoint, error);
    }
  }

  /** A token of the user, if there is one; asked for again when it was refused. */
  async #authorization(
    endpoint: string,
    limit: Limit,
  ): Promise<string | undefined> {
    if (this.#user === undefined || this.#token !== undefined) {
      return this.#token;
    }
    const response = await this.#send(
      endpoint,
      "auth/authenticate",
      this.#user,
      limit,
      {},
    );
    if (!response.ok) {
      const { code, text } = await refusalOf(response, limit);
      throw refused(endpoint, code, text, response.status);
    }
    const answer = v.safeParse(
      token,
      parseJson(endpoint, await limit.during(() => readAll(response))),
    );
    if (!answer.success) throw notEtcd(endpoint);
    return this.#token = answer.output.token;
  }
}

async function refusalOf(
  response: Response,
  limit: Limit,
): Promise<{ readonly code: number | undefined; readonly text: string }> {
  const text = await limit.during(() => readAll(response)).catch(() => "");
  const found = v.safeParse(refusal, attemptJson(text));
  if (!found.success) return { code: undefined, text: text.slice(0, 200) };
  const { code, error, message } = found.output;
  return { code, text: (error ?? message ?? "").slice(0, 200) };
}

function refused(
  endpoint: string,
  code: number | undefined,
  text: string,
  status: number,
): StoreError {
  const told = `${endpoint} says ${text || `HTTP status ${status}`}`;
  if (code === GRPC.outOfRange) return new StoreError("gap", told);
  const later = code === GRPC.unavailable || code === GRPC.deadlineExceeded ||
    (code === undefined && status >= 500);
  return new StoreError(later ? "unreachable" : "refused", told);
}

function broken(endpoint: string, cause: unknown): unknown {
  // The runtime does not let this program connect: no other endpoint, and no other time, helps.
  if (cause instanceof StoreError || cause instanceof Deno.errors.NotCapable) {
    return cause;
  }
  return new StoreError(
    "unreachable",
    `${endpoint}: ${reasonOf(cause)}`,
    cause,
  );
}

/** The runtime's own words are "fetch failed", and why that is so their cause. */
function reasonOf(error: unknown): string {
  if (!(error instanceof Error)) return String(error);
  return error.cause === undefined
    ? error.message.replace(
      /^error sending request .*: client error \(\w+\): /,
      "",
    )
    : reasonOf(error.cause);
}

/** The error for an answer that no etcd gives. */
export function notEtcd(endpoint: string, cause?: unknown): StoreError {
  return new StoreError(
    "refused",
    `${endpoint} does not answer like an etcd of version 3.4 or later`,
    cause,
  );
}

function attemptJson(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}

function parseJson(endpoint: string, text: string): unknown {
  try {
    return JSON.parse(text);
  } catch (error) {
    throw notEtcd(endpoint, error);
  }
}

async function readAll(response: Response): Promise<string> {
  if (response.body === null) return "";
  const decoder = new TextDecoder();
  let text = "";
  for await (const chunk of response.body) {
    text += decoder.decode(chunk, { stream: true });
    if (text.length > MAX_ANSWER_BYTES) {
      throw new StoreError("refused", "an answer is larger than 64 MB");
    }
  }
  return text + decoder.decode();
}
