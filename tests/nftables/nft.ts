/** The nft program, and its text in a form that can be compared. */

/** Runs nft; throws what it says when it fails. */
export function nft(args: readonly string[], input?: string): string {
  let file: string | undefined;
  try {
    if (input !== undefined) {
      file = Deno.makeTempFileSync();
      Deno.writeTextFileSync(file, input);
    }
    const { success, stdout, stderr } = new Deno.Command("nft", {
      args: [...args, ...(file === undefined ? [] : ["-f", file])],
    }).outputSync();
    const decoder = new TextDecoder();
    if (!success) throw new Error(decoder.decode(stderr));
    return decoder.decode(stdout);
  } finally {
    if (file !== undefined) Deno.removeSync(file);
  }
}

/** What `nft list` prints of a table, without counts. */
export function listTable(name: string): string {
  return nft(["--stateless", "list", "table", "inet", name]);
}

/** Elements one a line and in order of their text: nft fills lines, and prints hash sets in no order. */
export function normalise(text: string): string {
  return text.replace(
    /elements = \{ ([^}]*) \}/g,
    (_, elements: string) =>
      `elements = {\n${elements.split(/,\s+/).sort().join("\n")}\n}`,
  );
}
