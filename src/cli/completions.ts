/**
 * Completion scripts, made from the tables.
 *
 * @module
 */
import type { Command } from "./command.ts";
import { commands } from "./commands.ts";
import { globalOptions, type Option, type OptionTable } from "./options.ts";

/** The shells that there is a script for. */
export const shells = ["bash", "zsh", "fish"] as const;

/** The script for one of {@linkcode shells}. */
export async function completionScript(shell: string): Promise<string> {
  const loaded = await Promise.all(
    [...commands].map(async ([name, entry]) => ({
      name,
      summary: entry.summary,
      command: await entry.load(),
    })),
  );
  if (shell === "fish") return fishScript(loaded);
  const bash = bashScript(loaded);
  return shell === "zsh" ? zshScript(bash) : bash;
}

/**
 * zsh runs bash's completion functions itself. By the first line it knows a script in its fpath, which it loads when it has to
 * complete something for the first time: the last line does that.
 */
function zshScript(bash: string): string {
  return [
    "#compdef podnet",
    "autoload -U +X bashcompinit && bashcompinit",
    bash,
    'if [ "$funcstack[1]" = _podnet ]; then _bash_complete -F _podnet; fi',
  ].join("\n");
}

interface NamedCommand {
  readonly name: string;
  readonly summary: string;
  readonly command: Command;
}

/** Options that say which sandboxes `podnet ls` lists. */
const SELECTION = ["--state-dir", "--node", "--netns", "--namespace"];

/** Leaves of what `podnet ls` prints the names: the first column of the table. */
const NAMES = "2>/dev/null | awk 'NR > 1 { print $1 }'";

/** The spellings of an option: `-p`, `--publish`. */
function spellings(name: string, { short }: Option): string[] {
  return [...(short === undefined ? [] : [`-${short}`]), `--${name}`];
}

/** Every option that takes a value, of all commands; one name is the same option everywhere. */
function valueOptions(all: readonly NamedCommand[]): OptionTable {
  const tables = [globalOptions, ...all.map(({ command }) => command.options)];
  return Object.fromEntries(
    tables.flatMap((table) => Object.entries<Option>(table))
      .filter(([, option]) => option.value !== undefined),
  );
}

/** Commands whose first word is a command as well, or begins several: `ports`, `node`. */
function subcommands(
  all: readonly NamedCommand[],
): ReadonlyMap<string, readonly string[]> {
  const found = new Map<string, string[]>();
  for (const { name } of all) {
    const [group = "", verb] = name.split(" ");
    if (verb !== undefined) found.set(group, [...found.get(group) ?? [], verb]);
  }
  return found;
}

function firstWords(all: readonly NamedCommand[]): string[] {
  return [...new Set(all.map(({ name }) => name.split(" ")[0] ?? name))];
}

function bashScript(all: readonly NamedCommand[]): string {
  const groups = subcommands(all);
  const values = Object.entries(valueOptions(all));
  const globals = optionWords(globalOptions);
  const pairs = all.map(({ name }) => name).filter((n) => n.includes(" "));
  return [
    "_podnet_paths() {",
    "  local IFS=$'\\n'",
    "  # Has bash quote what it inserts. Others do so anyhow, and have no such command.",
    "  compopt -o filenames 2>/dev/null",
    '  COMPREPLY+=($(compgen "$1" -- "$cur"))',
    "}",
    "_podnet_sandboxes() {",
    "  # xargs takes away the quotes of the words, which are as they were typed.",
    `  printf '%s ' "ls$selection" | xargs podnet ${NAMES}`,
    "}",
    "_podnet() {",
    "  local cur=${COMP_WORDS[COMP_CWORD]} command= operands=0 i=1 word",
    "  local options= words= selection=",
    "  COMPREPLY=()",
    '  [ "$cur" = "=" ] && cur=',
    '  while [ "$i" -lt "$COMP_CWORD" ]; do',
    "    word=${COMP_WORDS[$i]}",
    '    case "$word" in',
    "      --)",
    '        COMPREPLY=($(compgen -c -- "$cur"))',
    "        _podnet_paths -f",
    "        return ;;",
    `      ${values.flatMap(([n, o]) => spellings(n, o)).join("|")})`,
    "        i=$((i + 1))",
    '        [ "${COMP_WORDS[$i]}" = "=" ] && [ "$i" -lt "$COMP_CWORD" ] && i=$((i + 1))',
    '        if [ "$i" -eq "$COMP_CWORD" ]; then',
    '          case "$word" in',
    ...values.flatMap(([name, option]) => {
      const action = bashValue(option);
      return action === undefined
        ? []
        : [`            ${spellings(name, option).join("|")}) ${action} ;;`];
    }),
    "          esac",
    "          return",
    "        fi",
    '        case "$word" in',
    `          ${SELECTION.join("|")})`,
    '            selection="$selection $word ${COMP_WORDS[$i]/#\\~\\//$HOME/}" ;;',
    "        esac ;;",
    "      # bash makes three words of it.",
    `      ${SELECTION.map((option) => `${option}=*`).join("|")})`,
    '        selection="$selection ${word/=\\~\\//=$HOME/}" ;;',
    "      -*) ;;",
    "      *)",
    "        operands=$((operands + 1))",
    '        case "$operands $command $word" in',
    '          "1 "*) command=$word ;;',
    `          ${pairs.map((pair) => `"2 ${pair}"`).join("|")})`,
    '            command="$command $word" ;;',
    "        esac ;;",
    "    esac",
    "    i=$((i + 1))",
    "  done",
    '  case "$command" in',
    `    "") words="${firstWords(all).join(" ")}" options="--version" ;;`,
    ...all.map(({ name, command }) => {
      const verbs = groups.get(name) ?? [];
      const words = [...verbs, ...operandWords(command, all)].join(" ");
      return `    "${name}") words="${words}" options="${
        optionWords(command.options)
      }" ;;`;
    }),
    ...[...groups].filter(([group]) => !commands.has(group)).map((
      [group, verbs],
    ) => `    "${group}") words="${verbs.join(" ")}" ;;`),
    "  esac",
    '  case "$cur" in',
    `    -*) COMPREPLY=($(compgen -W "$options ${globals}" -- "$cur")) ;;`,
    '    *) COMPREPLY=($(compgen -W "$words" -- "$cur")) ;;',
    "  esac",
    "}",
    "complete -F _podnet podnet",
  ].join("\n");
}

function optionWords(table: OptionTable): string {
  return Object.entries(table).flatMap(([n, o]) => spellings(n, o)).join(" ");
}

/** Whether the value of an option is the path of a file; it may be something else besides. */
function isFile({ value }: Option): boolean {
  return /\b(?:FILE|PATH)\b/.test(value ?? "");
}

/** What to offer as the value of an option; undefined for nothing. */
function bashValue(option: Option): string | undefined {
  const { value, choices } = option;
  if (choices !== undefined) {
    return `COMPREPLY=($(compgen -W "${choices.join(" ")}" -- "$cur"))`;
  }
  if (value === "DIR") return "_podnet_paths -d";
  return isFile(option) ? "_podnet_paths -f" : undefined;
}

/** What to offer in place of an operand, as words for the shell's double quotes. */
function operandWords(
  { operands }: Command,
  all: readonly NamedCommand[],
): string[] {
  return operands.flatMap(({ choices, completes }) => {
    if (completes === "sandboxes") return ["$(_podnet_sandboxes)"];
    if (completes === "commands") return firstWords(all);
    return choices ?? [];
  });
}

function fishScript(all: readonly NamedCommand[]): string {
  const groups = subcommands(all);
  const values = Object.entries(valueOptions(all));
  const pairs = all.map(({ name }) => name).filter((n) => n.includes(" "));
  const complete = (command: string, rest: string) =>
    `complete -c podnet -n '__podnet_in "${command}"' ${rest}`;
  return [
    "# Prints the command on a line, and the options that select sandboxes on others.",
    "function __podnet_words",
    "    set -l words (commandline -opc)[2..]",
    "    set -l command ''",
    "    set -l selection",
    "    set -l operands 0",
    "    while set -q words[1]",
    "        switch $words[1]",
    "            case --",
    "                set command --",
    "                break",
    `            case ${SELECTION.join(" ")}`,
    "                set -a selection $words[1] (string replace -r '^~/' $HOME/ -- $words[2])",
    "                set -e words[1]",
    `            case ${SELECTION.map((option) => `'${option}=*'`).join(" ")}`,
    "                set -a selection (string replace '=~/' =$HOME/ -- $words[1])",
    `            case ${values.flatMap(([n, o]) => spellings(n, o)).join(" ")}`,
    "                set -e words[1]",
    "            case '-*'",
    "            case '*'",
    "                set operands (math $operands + 1)",
    "                if test $operands -eq 1",
    "                    set command $words[1]",
    '                else if test $operands -eq 2; and contains -- "$command $words[1]" ' +
    pairs.map((pair) => `'${pair}'`).join(" "),
    '                    set command "$command $words[1]"',
    "                end",
    "        end",
    "        set -e words[1]",
    "    end",
    "    printf '%s\\n' $command $selection",
    "end",
    "function __podnet_in",
    '    test "$argv[1]" = (__podnet_words)[1]',
    "end",
    "function _podnet_sandboxes",
    `    podnet ls (__podnet_words)[2..] ${NAMES}`,
    "end",
    "complete -c podnet -f",
    complete("--", "-Fa '(__fish_complete_command)'"),
    complete("", "-l version -d 'Print the version'"),
    ...firstWords(all).map((word) =>
      complete("", `-a ${word} -d ${fishQuote(summaryOf(word))}`)
    ),
    ...[...groups].flatMap(([group, verbs]) =>
      verbs.map((verb) =>
        complete(
          group,
          `-a ${verb} -d ${fishQuote(summaryOf(`${group} ${verb}`))}`,
        )
      )
    ),
    ...Object.entries(globalOptions).map(([name, option]) =>
      `complete -c podnet ${fishOption(name, option)}`
    ),
    ...all.flatMap(({ name, command }) => [
      ...operandWords(command, all).map((words) =>
        complete(name, `-a ${fishQuote(words.replace(/^\$/, ""))}`)
      ),
      ...Object.entries(command.options).map(([option, entry]) =>
        complete(name, fishOption(option, entry))
      ),
    ]),
  ].join("\n");
}

function summaryOf(name: string): string {
  return commands.get(name)?.summary ?? "Set up, show or take down the node";
}

function fishOption(
  name: string,
  option: Option,
): string {
  const { short, value, choices, help } = option;
  const files = value === "DIR" || isFile(option);
  return [
    `-l ${name}`,
    ...(short === undefined ? [] : [`-s ${short}`]),
    ...(value === undefined ? [] : [files ? "-rF" : "-x"]),
    ...(choices === undefined ? [] : [`-a ${fishQuote(choices.join(" "))}`]),
    `-d ${fishQuote(help)}`,
  ].join(" ");
}

/** Single quotes: fish knows the escapes `\\` and `\'` in them. */
function fishQuote(text: string): string {
  return `'${text.replace(/[\\']/g, "\\$&")}'`;
}
