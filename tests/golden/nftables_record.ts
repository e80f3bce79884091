/**
 * Records what nft sends for the sample ruleset, as `type hex` of each message body:
 *
 *     unshare -n deno run -A tests/golden/nftables_record.ts > tests/golden/nftables_sample.txt
 */
import { sampleText } from "../nftables/sample.ts";

/** Rebuilds the bodies from libmnl's print of the messages: `nft --debug=mnl` on standard error. */
function bodies(print: string): string[] {
  // deno-lint-ignore no-control-regex
  const lines = print.replace(/\x1b\[[0-9;]*m/g, "").split("\n");
  const found: { readonly type: number; hex: string }[] = [];
  for (const line of lines) {
    const header = /^\|\s*(\d{5}) \| .{4} \|\s+\|\s*type \| flags/.exec(line);
    if (header) found.push({ type: Number(header[1]), hex: "" });
    const message = found.at(-1);
    if (message === undefined) continue;
    const data = /^\| ((?:[0-9a-f]{2} ){4}) \|/.exec(line);
    if (data) message.hex += (data[1] ?? "").replaceAll(" ", "");
    const attribute = /^\|(\d{5})\|(.)(.)\|(\d{5})\|/.exec(line);
    if (attribute) {
      const [, length, nested, byteorder, type] = attribute;
      const bytes = new Uint8Array(4);
      const view = new DataView(bytes.buffer);
      view.setUint16(0, Number(length), true);
      view.setUint16(
        2,
        Number(type) | (nested === "N" ? 0x8000 : 0) |
          (byteorder === "B" ? 0x4000 : 0),
        true,
      );
      message.hex += bytes.toHex();
    }
  }
  return found.map(({ type, hex }) => `${type} ${hex}`);
}

const file = Deno.makeTempFileSync();
Deno.writeTextFileSync(file, sampleText("podnet"));
const { stdout } = new Deno.Command("nft", {
  args: ["--debug=mnl", "-f", file],
}).outputSync();
Deno.removeSync(file);
const version = new Deno.Command("nft", { args: ["--version"] }).outputSync();
const decoder = new TextDecoder();
console.log(
  `# nft --debug=mnl -f sample.nft: ${decoder.decode(version.stdout).trim()}`,
);
// What nft reads first (NFT_MSG_GET*) is of no interest.
const recorded = bodies(decoder.decode(stdout));
const begin = recorded.findIndex((line) => line.startsWith("16 "));
console.log(recorded.slice(begin).join("\n"));
