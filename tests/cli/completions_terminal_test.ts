/** The completion scripts, where they are used: in shells on a terminal, by keys. */
import { assertEquals } from "@std/assert";
import { completionScript, shells } from "../../src/cli/completions.ts";
import { temporaryDirectory } from "../support/temporary_directory.ts";

/** Lists one sandbox, called by what it was asked for; anything else is told to the test. */
const FAKE_PODNET = `#!/bin/sh
if [ "$1" = ls ]; then
  echo NAME
  echo "$*" | tr -c 'a-z0-9\\n' .
else
  printf '<%s>' "$@" >>"$HOME/told"
  echo >>"$HOME/told"
fi
`;

/** The file that each shell begins with, and what is in it for a script `_podnet` in a directory. */
const BEGINNINGS = {
  bash: [".bashrc", (directory: string) => `source ${directory}/_podnet`],
  zsh: [
    ".zshrc",
    (directory: string) =>
      `fpath=(${directory} $fpath); autoload -U compinit; compinit -u -D`,
  ],
  fish: [
    ".config/fish/config.fish",
    (directory: string) => `source ${directory}/_podnet`,
  ],
} as const;

/** What `podnet` is started with, of the keys of each line. Beside the shell are a directory `my dir` and a file `0 file`. */
async function typed(
  shell: typeof shells[number],
  lines: readonly string[],
): Promise<string[]> {
  using directory = temporaryDirectory();
  const home = directory.path;
  await Deno.mkdir(`${home}/bin`);
  await Deno.mkdir(`${home}/.config/fish`, { recursive: true });
  await Deno.mkdir(`${home}/here/my dir`, { recursive: true });
  await Deno.writeTextFile(`${home}/here/0 file`, "");
  await Deno.writeTextFile(`${home}/bin/podnet`, FAKE_PODNET, { mode: 0o755 });
  await Deno.writeTextFile(`${home}/_podnet`, await completionScript(shell));
  const [file, beginning] = BEGINNINGS[shell];
  await Deno.writeTextFile(`${home}/${file}`, beginning(home));
  const terminal = new Deno.Command("script", {
    args: ["--quiet", "--return", "--command", shell, "/dev/null"],
    cwd: `${home}/here`,
    clearEnv: true,
    env: {
      HOME: home,
      PATH: `${home}/bin:/usr/bin:/bin`,
      TERM: "dumb",
      XDG_RUNTIME_DIR: home,
      // Else it reads all manual pages once it has ended.
      FISH_UNIT_TESTS_RUNNING: "1",
    },
    stdin: "piped",
    stdout: "piped",
  }).spawn();
  const keys = [...lines, "exit"].map((line) => `${line}\n`).join("");
  const [{ success }, shown] = await Promise.all([
    terminal.status,
    new Response(terminal.stdout).text(),
    new Response(keys).body?.pipeTo(terminal.stdin),
  ]);
  assertEquals(success, true, shown);
  const told = await Deno.readTextFile(`${home}/told`);
  return told.trimEnd().replaceAll(home, "HOME")
    .replaceAll(home.replace(/[^a-z0-9]/g, "."), "HOME").split("\n");
}

/** Keys, up to the one that completes, and what the command is started with then. */
const COMPLETED = [
  ["rm l\t", "<rm><ls>"],
  ["exec l\t-- unshar\t", "<exec><ls><--><unshare>"],
  ["exec web -- cat 0\t", "<exec><web><--><cat><0 file>"],
  ["inspect web --output j\t", "<inspect><web><--output><json>"],
  ["cni install --bin-dir my\t", "<cni><install><--bin-dir><my dir>"],
  ["cni install --deno 0\t", "<cni><install><--deno><0 file>"],
  ...["peers", "etcd-cacert", "etcd-cert", "etcd-key", "etcd-password-file"]
    .map((name) =>
      [`node up --${name} 0\t`, `<node><up><--${name}><0 file>`] as const
    ),
  [
    "--state-dir my\\ dir --node=x --netns y rm --namespace 'z' \t",
    "<--state-dir><my dir><--node=x><--netns><y><rm><--namespace><z><ls...state.dir.my.dir...node.x...netns.y...namespace.z>",
  ],
  [
    "ports --state-dir ~/x rm \t",
    "<ports><--state-dir><HOME/x><rm><ls...state.dir.HOME.x>",
  ],
] as const;

for (const shell of shells) {
  Deno.test(`the completion script for ${shell} completes what is typed on a terminal`, async () => {
    const lines = COMPLETED.map(([keys]) => `podnet ${keys}`);
    assertEquals(
      // What the value of an option is may be a directory: whether that ends with a slash is the shell's affair.
      (await typed(shell, lines)).map((line) => line.replace("/>", ">")),
      COMPLETED.map(([, words]) => words),
    );
  });
}
