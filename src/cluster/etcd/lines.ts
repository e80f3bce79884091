/**
 * Lines of a stream.
 *
 * @module
 */
import { StoreError } from "../store.ts";

/** Cuts bytes into lines. */
export class Lines {
  readonly #maxLength: number;
  readonly #decoder = new TextDecoder();
  #parts: string[] = [];
  #length = 0;

  /** @param maxLength of a line */
  constructor(maxLength: number) {
    this.#maxLength = maxLength;
  }

  /**
   * The lines that end in these bytes, without empty ones.
   *
   * @throws {StoreError} `refused` for a line that is too long
   */
  push(bytes: Uint8Array): string[] {
    const [first = "", ...more] = this.#decoder.decode(bytes, { stream: true })
      .split("\n");
    // Joined once: a line of many pieces would be copied again with each.
    this.#parts.push(first);
    this.#length += first.length;
    if (this.#length > this.#maxLength) {
      throw new StoreError("refused", "an answer is larger than 64 MB");
    }
    const rest = more.pop();
    if (rest === undefined) return [];
    const lines = [this.#parts.join(""), ...more];
    this.#parts = [rest];
    this.#length = rest.length;
    return lines.filter((line) => line.trim() !== "");
  }
}
