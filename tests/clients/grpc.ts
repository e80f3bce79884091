/**
 * One gRPC call over a Unix socket: a request of HTTP/2, in which a message has five bytes before it.
 *
 * @module
 */
import { connect } from "node:http2";
import { createConnection } from "node:net";

/** What a server answers instead of a message. */
export class GrpcError extends Error {
  /** Such as 5, not found. */
  readonly code: number;

  constructor(method: string, code: number, message: string) {
    super(`${method}: ${message}`);
    this.name = "GrpcError";
    this.code = code;
  }
}

/** `bool compressed; uint32 length;` */
const PREFIX_SIZE = 5;

/**
 * Calls a method.
 *
 * @param method such as `runtime.v1.RuntimeService/Version`
 * @throws {GrpcError} what the server says
 * @throws {Error} when the connection cannot be made, or ends before the answer
 */
export async function call(
  socket: string,
  method: string,
  request: Uint8Array,
): Promise<Uint8Array> {
  const session = connect("http://localhost", {
    createConnection: () => createConnection(socket),
  });
  const { promise: failed, reject } = Promise.withResolvers<never>();
  const closed = new Promise<void>((resolve) => session.once("close", resolve));
  session.once("error", reject);
  session.once("close", () => reject(new Error(`${method}: no answer`)));
  try {
    return await Promise.race([exchange(session, method, request), failed]);
  } finally {
    session.destroy();
    await closed;
  }
}

type Session = ReturnType<typeof connect>;

function exchange(
  session: Session,
  method: string,
  request: Uint8Array,
): Promise<Uint8Array> {
  const stream = session.request({
    ":method": "POST",
    ":path": `/${method}`,
    "content-type": "application/grpc",
    "te": "trailers",
  });
  const body = new Uint8Array(PREFIX_SIZE + request.length);
  new DataView(body.buffer).setUint32(1, request.length);
  body.set(request, PREFIX_SIZE);
  stream.end(body);
  return new Promise((resolve, reject) => {
    const parts: Uint8Array[] = [];
    // An answer without a message has its status in the header.
    let status: Record<string, unknown> = {};
    stream.on("response", (header) => status = { ...status, ...header });
    stream.on("trailers", (trailer) => status = { ...status, ...trailer });
    stream.on("data", (part: Uint8Array) => parts.push(part));
    stream.on("error", reject);
    stream.on("end", async () => {
      const { "grpc-status": code, "grpc-message": message } = status;
      if (code === undefined) reject(new Error(`${method}: no status`));
      else if (code !== "0") {
        const words = decodeURIComponent(`${message}`);
        reject(new GrpcError(method, Number(code), words));
      } else {
        const answer = await new Blob(parts as BlobPart[]).bytes();
        resolve(answer.subarray(PREFIX_SIZE));
      }
    });
  });
}
