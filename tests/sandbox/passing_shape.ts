/**
 * Code that a collection does take away: see `compiled_code_test.ts`.
 *
 * @module
 */

/** Its objects live for a moment, and nothing keeps its shape. */
class Passing {
  readonly number: number;

  constructor(number: number) {
    this.number = number;
  }
}

/** Has V8 compile what reads them. */
export async function readPassingShapes(): Promise<void> {
  for (let times = 0; times < 50; times++) {
    sumOfPassing();
    // V8 compiles on another thread.
    await new Promise((resolve) => setTimeout(resolve, 10));
  }
}

function sumOfPassing(): number {
  let sum = 0;
  for (let number = 0; number < 1_000_000; number++) {
    sum += read(new Passing(number));
  }
  return sum;
}

function read({ number }: Passing): number {
  return number;
}
