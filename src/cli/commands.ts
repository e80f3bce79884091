/**
 * Every command by name. They are loaded when they are needed, in two groups: those that scripts run again and again, and the
 * others. More groups would be more files for the runtime to look at before it runs anything.
 *
 * @module
 */
import type { Command } from "./command.ts";
import { type CommandName, summaries } from "./summaries.ts";

/** A command that is not loaded yet. */
export interface CommandEntry {
  /** One line for the list of commands. */
  readonly summary: string;
  /** Loads it. */
  load(): Promise<Command>;
}

const loaders: Readonly<Record<CommandName, () => Promise<Command>>> = {
  "create": async () => (await import("./commands/pods.ts")).create,
  "run": async () => (await import("./commands/others.ts")).run,
  "exec": async () => (await import("./commands/others.ts")).exec,
  "ls": async () => (await import("./commands/others.ts")).ls,
  "inspect": async () => (await import("./commands/others.ts")).inspect,
  "rm": async () => (await import("./commands/pods.ts")).rm,
  "ports": async () => (await import("./commands/others.ts")).ports,
  "ports add": async () => (await import("./commands/others.ts")).portsAdd,
  "ports rm": async () => (await import("./commands/others.ts")).portsRemove,
  "node up": async () => (await import("./commands/others.ts")).nodeUp,
  "node show": async () => (await import("./commands/others.ts")).nodeShow,
  "node watch": async () => (await import("./commands/others.ts")).nodeWatch,
  "node leave": async () => (await import("./commands/others.ts")).nodeLeave,
  "node status": async () => (await import("./commands/others.ts")).nodeStatus,
  "node ls": async () => (await import("./commands/others.ts")).nodeLs,
  "node routes": async () => (await import("./commands/others.ts")).nodeRoutes,
  "node picture": async () =>
    (await import("./commands/others.ts")).nodePicture,
  "node down": async () => (await import("./commands/others.ts")).nodeDown,
  "check": async () => (await import("./commands/others.ts")).check,
  "doctor": async () => (await import("./commands/others.ts")).doctor,
  "gc": async () => (await import("./commands/others.ts")).gc,
  "cni add": async () => (await import("./commands/others.ts")).cniAdd,
  "cni del": async () => (await import("./commands/others.ts")).cniDel,
  "cni check": async () => (await import("./commands/others.ts")).cniCheck,
  "cni gc": async () => (await import("./commands/others.ts")).cniGc,
  "cni status": async () => (await import("./commands/others.ts")).cniStatus,
  "cni install": async () => (await import("./commands/others.ts")).cniInstall,
  "cni uninstall": async () =>
    (await import("./commands/others.ts")).cniUninstall,
  "oci-hook": async () => (await import("./commands/others.ts")).ociHook,
  "oci-hook config": async () =>
    (await import("./commands/others.ts")).ociHookConfig,
  "oci-hook install": async () =>
    (await import("./commands/others.ts")).ociHookInstall,
  "oci-hook uninstall": async () =>
    (await import("./commands/others.ts")).ociHookUninstall,
  "install": async () => (await import("./commands/others.ts")).install,
  "uninstall": async () => (await import("./commands/others.ts")).uninstall,
  "events": async () => (await import("./commands/others.ts")).events,
  "completions": async () => (await import("./commands/others.ts")).completions,
  "help": async () => (await import("./commands/others.ts")).help,
};

/** The commands, in the order in which the help lists them. */
export const commands: ReadonlyMap<string, CommandEntry> = new Map(
  Object.entries(summaries).map(([name, summary]) => [
    name,
    { summary, load: loaders[name as CommandName] },
  ]),
);
