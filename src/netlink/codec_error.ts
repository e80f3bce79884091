/**
 * The error of a value that does not fit the wire.
 *
 * @module
 */

/** `["expressions", "[1]", "cmp"]` reads `expressions[1].cmp`. */
export function formatPath(path: readonly string[]): string {
  return path.join(".").replaceAll(".[", "[");
}

/** A value did not fit the wire, or the wire did not fit the table. */
export class CodecError extends Error {
  /** `"CodecError"`. */
  override readonly name = "CodecError";
  /** Attribute names from the message root, such as `["linkinfo", "veth", "peer", "mtu"]`. */
  readonly path: string[] = [];
  /** What is wrong with the value, without its place. */
  readonly reason: string;
  /** What the message was for, such as `create veth pn-12ab`; set by the connection. */
  operation: string | undefined;

  /** Makes the error of a payload; {@linkcode within} adds where it lies. */
  constructor(reason: string) {
    super(reason);
    this.reason = reason;
  }
  /** Adds an enclosing attribute name while the error unwinds. */
  within(name: string): this {
    this.path.unshift(name);
    this.#format();
    return this;
  }
  /** Adds what the message was for. */
  during(operation: string): this {
    this.operation = operation;
    this.#format();
    return this;
  }

  #format(): void {
    const path = formatPath(this.path);
    this.message = [this.operation, path, this.reason]
      .filter((part) => part !== undefined && part !== "").join(": ");
  }
}
