/**
 * Looking at what may not be seen: a kernel that lacks something, a user who may not know.
 *
 * @module
 */
import { Errno, isSyscallError } from "../../../ffi/errno.ts";
import { readTextFile } from "../../../ffi/file.ts";
import { SandboxError, type SandboxErrorCode } from "../../errors.ts";

/** Something that could not be learned. */
export interface Unseen {
  /** What, such as `nf_tables rules`. */
  readonly about: string;
  /** Why, in plain words. */
  readonly reason: string;
  /** The code of the error, where podnet has one for it. */
  readonly code?: SandboxErrorCode;
}

/** Gathers what could not be learned, so that one thing that cannot be seen does not hide the others. */
export class Witness {
  readonly #unseen: Unseen[] = [];

  /** What could not be learned so far. */
  get unseen(): readonly Unseen[] {
    return this.#unseen;
  }

  /** The result of `look`, or undefined when it throws, which is noted. */
  see<T>(about: string, look: () => T): T | undefined {
    try {
      return look();
    } catch (error) {
      this.#noteError(about, error);
      return undefined;
    }
  }

  /** {@linkcode Witness.see} for what takes its time. */
  async wait<T>(
    about: string,
    look: () => Promise<T>,
  ): Promise<T | undefined> {
    try {
      return await look();
    } catch (error) {
      this.#noteError(about, error);
      return undefined;
    }
  }

  /** Notes that something could not be learned. */
  note(about: string, reason: string): void {
    this.#unseen.push({ about, reason });
  }

  #noteError(about: string, error: unknown): void {
    this.#unseen.push({
      about,
      reason: error instanceof Error ? error.message : String(error),
      ...(error instanceof SandboxError ? { code: error.code } : {}),
    });
  }
}

/** A small file of `/proc` without its last newline; undefined when this kernel has none of the name. */
export function readIfPresent(path: string): string | undefined {
  try {
    return readTextFile(path).replace(/\n$/, "");
  } catch (error) {
    if (isSyscallError(error, Errno.ENOENT, Errno.ENOTDIR)) return undefined;
    throw error;
  }
}

/** {@linkcode readIfPresent} of a file that is one number. */
export function readNumber(path: string): number | undefined {
  const text = readIfPresent(path);
  const number = text === undefined ? NaN : Number(text);
  return Number.isNaN(number) ? undefined : number;
}
