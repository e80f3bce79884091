/**
 * Strings and numbers as C wants them.
 *
 * A buffer given to C has to be in a local variable until the call has returned, unless it is an argument of the call.
 * @module
 */

const ENCODER = new TextEncoder();
const DECODER = new TextDecoder();

/** The bytes of a string in UTF-8. */
export function utf8(text: string): Uint8Array<ArrayBuffer> {
  // What is written is short and mostly ASCII; asking the runtime takes a microsecond.
  const size = text.length;
  if (size > MAX_SHORT) return ENCODER.encode(text);
  const bytes = new Uint8Array(size);
  for (let i = 0; i < size; i++) {
    const code = text.charCodeAt(i);
    if (code > 0x7f) return ENCODER.encode(text);
    bytes[i] = code;
  }
  return bytes;
}

const MAX_SHORT = 512;
const SHORT = new Uint8Array(MAX_SHORT);

/**
 * As {@linkcode utf8}, in memory that the next call overwrites: for what is used at once. An array is memory outside of the
 * runtime's heap, and making one takes a microsecond.
 */
export function utf8Once(text: string): Uint8Array<ArrayBuffer> {
  const size = text.length;
  if (size > MAX_SHORT) return ENCODER.encode(text);
  for (let i = 0; i < size; i++) {
    const code = text.charCodeAt(i);
    if (code > 0x7f) return ENCODER.encode(text);
    SHORT[i] = code;
  }
  return SHORT.subarray(0, size);
}

/** The string of UTF-8 bytes; what is not UTF-8 becomes U+FFFD. */
export function fromUtf8(bytes: Uint8Array): string {
  return DECODER.decode(bytes);
}

/**
 * A string as C wants it: UTF-8, ended by a zero byte.
 *
 * @throws {TypeError} if the string contains a zero character, at which C would cut it off
 */
export function cString(text: string): Uint8Array<ArrayBuffer> {
  if (text.includes("\0")) {
    throw new TypeError(
      `${JSON.stringify(text)} contains a zero character: write it without`,
    );
  }
  // Paths are mostly ASCII, and asking the runtime to encode one takes as long as the system call.
  const bytes = new Uint8Array(text.length + 1);
  for (let i = 0; i < text.length; i++) {
    const code = text.charCodeAt(i);
    if (code > 0x7f) return utf8(text + "\0");
    bytes[i] = code;
  }
  return bytes;
}

/** PATH_MAX: the kernel takes no longer one. */
const PATH = new Uint8Array(4096);
const SECOND_PATH = new Uint8Array(4096);

/**
 * As {@linkcode cString}, in memory that the next call overwrites: for the path of a call that is made at once. An array of
 * more than 64 bytes is memory outside of the runtime's heap, and making one takes longer than most calls (measured: with
 * that of a status, 3 µs of 4).
 *
 * @throws {TypeError} if the string contains a zero character
 */
export function cPath(text: string): Uint8Array<ArrayBuffer> {
  return pathIn(PATH, text);
}

/** As {@linkcode cPath}, for the other path of the same call. */
export function cSecondPath(text: string): Uint8Array<ArrayBuffer> {
  return pathIn(SECOND_PATH, text);
}

function pathIn(
  memory: Uint8Array<ArrayBuffer>,
  text: string,
): Uint8Array<ArrayBuffer> {
  const size = text.length;
  if (size >= memory.length) return cString(text);
  for (let i = 0; i < size; i++) {
    const code = text.charCodeAt(i);
    if (code === 0 || code > 0x7f) return cString(text);
    memory[i] = code;
  }
  memory[size] = 0;
  return memory;
}

/** The string that begins at `offset` and ends before the next zero byte, or with the buffer. */
export function fromCString(bytes: Uint8Array, offset = 0): string {
  const end = bytes.indexOf(0, offset);
  return fromUtf8(bytes.subarray(offset, end === -1 ? bytes.length : end));
}

/** A C `int` in memory. */
export function cInt(value: number): Uint8Array<ArrayBuffer> {
  return new Uint8Array(Int32Array.of(value).buffer);
}

/** Where a buffer is; it does not move for as long as it is referred to. */
export function addressOf(buffer: Uint8Array<ArrayBuffer>): bigint {
  return BigInt(Deno.UnsafePointer.value(Deno.UnsafePointer.of(buffer)));
}
