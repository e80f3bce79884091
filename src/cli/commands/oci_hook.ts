/**
 * `podnet oci-hook`, and the commands that install it
 *
 * @module
 */
import type { NodeOptions } from "../../../mod.ts";
import type { ProgramPaths } from "../../install/program.ts";
import type { HookOptions } from "../../oci/hook_configuration.ts";
import { defineCommand } from "../command.ts";
import { integer } from "../numbers.ts";
import { causeChain, describe, type GivenOptions } from "../errors.ts";
import {
  ANNOTATION_PREFIX,
  ANNOTATIONS,
  readAnnotations,
} from "../oci_annotations.ts";
import type { GlobalValues, OptionTable, OptionValues } from "../options.ts";
import { print, printFailure } from "../output.ts";
import {
  defineUninstall,
  denoOption,
  denoPath,
  directoryOf,
  INSTALLED,
  libraryOptions,
  libraryPaths,
} from "../program_options.ts";
import { podCidrOption } from "../sandbox_options.ts";
import { nodeSelection, openNode } from "../session.ts";
import { UsageError } from "../usage.ts";

/** Its executable, and the directories of its modules. */
const HOOK_NAME = "podnet-oci-hook";

const hookOptions = {
  ...podCidrOption,
  "timeout": {
    value: "SECONDS",
    help: "Give up after so long (default: 9)",
  },
} as const satisfies OptionTable;

type HookValues = OptionValues<typeof hookOptions>;

const binOption = {
  "bin-dir": {
    value: "DIR",
    help: "Where the hook's executable is (default: /usr/local/bin)",
  },
} as const satisfies OptionTable;

const directories = {
  ...binOption,
  "hooks-dir": {
    value: "DIR",
    help:
      "Where podman or CRI-O look for hooks: containers with an annotation of podnet's then have this one",
  },
  ...libraryOptions(HOOK_NAME),
} as const satisfies OptionTable;

/** Is what OCI runtimes start. */
export const ociHook = defineCommand({
  operands: [],
  options: hookOptions,
  notes: [
    "OCI runtimes start it as a createRuntime and poststop hook, and describe the container on its",
    "standard input. It makes the network of the container's namespace, or takes it away.",
    `What the network is to be, annotations say: ${ANNOTATION_PREFIX}name, and ${ANNOTATION_PREFIX} before`,
    `${ANNOTATIONS.slice(0, 7).join(", ")},`,
    `${ANNOTATIONS.slice(7, 13).join(", ")},`,
    `${ANNOTATIONS.slice(13).join(", ")},`,
    "which are the options of podnet create. Of label and sysctl the annotation's name has the key at its",
    `end, as in ${ANNOTATION_PREFIX}label.app; words of the others are apart by spaces or commas. Names`,
    "go into the files resolv.conf and hosts of the bundle, which config.json mounts.",
    "See docs/crun-runc.md.",
  ],
  examples: ["podnet oci-hook --node node-a <state.json"],
  async run({ options, global }) {
    let given: GivenOptions = {
      table: hookOptions,
      values: { ...options, ...global },
    };
    try {
      const { within } = await import("../../oci/deadline.ts");
      await within(secondsOf(options), async () => {
        const { readContainerState } = await loadState();
        const state = await readContainerState(standardInput());
        const sandbox = await loadSandbox();
        if (state.status === "stopped") {
          const selection = nodeSelection(global);
          return await sandbox.removeContainerSandbox(state, selection);
        }
        const { spec, given: annotated } = await readAnnotations(
          state.annotations,
          sandbox.sandboxNameOf(state.id),
        );
        await using node = await openNode(global, nodeSettings(options));
        given = annotated;
        await sandbox.createContainerSandbox(state, node, spec);
      });
      return 0;
    } catch (error) {
      const { lines, exitCode } = await describe(error, given);
      // Runtimes show one line, if any.
      printFailure(lines.join("; "));
      if (global.debug) causeChain(error).forEach(printFailure);
      return exitCode;
    }
  },
});

/** Prints what makes a runtime start the hook. */
export const ociHookConfig = defineCommand({
  operands: [],
  options: { ...hookOptions, ...binOption },
  notes: [
    "Prints the hooks of config.json. Give the options that podnet oci-hook is to be started with.",
  ],
  examples: [
    "podnet oci-hook config",
    "podnet oci-hook config --node node-a --pod-cidr 10.244.1.0/24",
  ],
  async run({ options, global }) {
    const { hooksText } = await import("../../oci/hook_configuration.ts");
    // The installation starts this, so that Deno keeps all that the hook needs compiled.
    await Promise.all([
      loadState(),
      loadSandbox(),
      import("../../oci/deadline.ts"),
      import("../../../mod.ts"),
    ]);
    print(hooksText(await hookInvocation(options, global)).trimEnd());
    return 0;
  },
});

/** Installs the hook. */
export const ociHookInstall = defineCommand({
  operands: [],
  options: { ...hookOptions, ...denoOption, ...directories },
  notes: [
    INSTALLED,
    "podnet oci-hook config prints what config.json needs; the file in --hooks-dir has the same for podman.",
    "What stands in that file stays, but for what options say.",
  ],
  examples: [
    "podnet oci-hook install",
    "podnet oci-hook install --hooks-dir /etc/containers/oci/hooks.d --pod-cidr 10.244.1.0/24",
  ],
  async run({ options, global }) {
    const { hooksFileText, OCI_HOOK } = await import(
      "../../oci/hook_configuration.ts"
    );
    const { install } = await import("../program_setup.ts");
    const invocation = await hookInvocation(options, global);
    // The others say what is usual, for a file that does not.
    const said = new Set(
      Object.entries({ ...global, ...options })
        .filter(([, value]) => Array.isArray(value) ? value.length : value)
        .map(([name]) => `--${name}`),
    );
    await install(OCI_HOOK, hookPaths(options), {
      entries: ["main"],
      deno: denoPath(options),
      configuration: (before) =>
        hooksFileText(invocation, said, ANNOTATION_PREFIX, before),
      trial: ["config"],
    });
    return 0;
  },
});

/** Takes the hook away. */
export const ociHookUninstall = defineUninstall({
  program: "the hook",
  directories,
  paths: hookPaths,
  examples: [
    "podnet oci-hook uninstall",
    "podnet oci-hook uninstall --hooks-dir /etc/containers/oci/hooks.d",
  ],
  async load() {
    const { OCI_HOOK } = await import("../../oci/hook_configuration.ts");
    const { LABELS } = await loadSandbox();
    return {
      kind: OCI_HOOK,
      isIts: (labels) => labels[LABELS.id] !== undefined,
    };
  },
});

function loadState() {
  return import("../../oci/container_state.ts");
}

function loadSandbox() {
  return import("../../oci/container_sandbox.ts");
}

/** Nothing of a terminal, where nobody writes a description of a container. */
async function* standardInput(): AsyncGenerator<Uint8Array> {
  if (Deno.stdin.isTerminal()) return;
  const buffer = new Uint8Array(65536);
  for (;;) {
    const length = await Deno.stdin.read(buffer);
    if (length === null) return;
    yield buffer.slice(0, length);
  }
}

function nodeSettings(options: HookValues): NodeOptions {
  const podCidrs = options["pod-cidr"];
  return podCidrs.length > 0 ? { podCidrs } : {};
}

/** How a runtime is to start the hook: with what this command was given. */
async function hookInvocation(
  options: HookValues & OptionValues<typeof binOption>,
  global: GlobalValues,
): Promise<HookOptions> {
  const { chooseNode } = await import("../../install/node_choice.ts");
  const { node, stateDir, podCidrs } = chooseNode(
    nodeSelection(global),
    options["pod-cidr"],
  );
  return {
    path: executable(options),
    args: {
      ...given("--node", node),
      ...given("--state-dir", stateDir),
      ...given("--netns", global.netns),
      ...given("--pod-cidr", ...podCidrs),
      ...given("--timeout", `${secondsOf(options)}`),
    },
  };
}

/** An option with each of its values. */
function given(option: string, ...values: readonly (string | undefined)[]) {
  return {
    [option]: values.flatMap((value) =>
      value === undefined ? [] : [option, value]
    ),
  };
}

function hookPaths(options: OptionValues<typeof directories>): ProgramPaths {
  return {
    launcher: executable(options),
    ...options["hooks-dir"] !== undefined && {
      configuration: `${directoryOf(options, "hooks-dir", "/")}/50-podnet.json`,
    },
    ...libraryPaths(options, HOOK_NAME),
  };
}

function executable(options: OptionValues<typeof binOption>): string {
  return `${directoryOf(options, "bin-dir", "/usr/local/bin")}/${HOOK_NAME}`;
}

function secondsOf({ timeout = "9" }: HookValues): number {
  const seconds = integer("timeout", timeout);
  if (seconds >= 1 && seconds <= 3600) return seconds;
  throw new UsageError(
    `--timeout ${timeout} is out of range: write 1 to 3600 seconds`,
  );
}
