import { assertEquals } from "@std/assert";

function* sources(directory: string): Generator<[string, string]> {
  for (const { name, isDirectory } of Deno.readDirSync(directory)) {
    const path = `${directory}/${name}`;
    if (isDirectory) yield* sources(path);
    else if (name.endsWith(".ts")) yield [path, Deno.readTextFileSync(path)];
  }
}

Deno.test("whatever a test waits for has as much time as anything else, on any machine", () => {
  const own = [...sources(new URL(".", import.meta.url).pathname)]
    .flatMap(([path, text]) =>
      [...text.matchAll(/deadline = [^;]*performance\.now\(\) \+ (\w+)/g)]
        .map(([, limit]) => `${path.split("/tests/").at(-1)}: ${limit}`)
    )
    // LATER_MS is reached when what is waited for was made to fail.
    .filter((found) => !/: (?:PATIENCE|TIMEOUT|LATER)_MS$/.test(found));
  assertEquals(own, []);
});
