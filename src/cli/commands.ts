/**
 * Every command by name. They are loaded when they are needed, in two groups: those that scripts run again and again, and the
 * others. More groups would be more files for the runtime to look at before it runs anything.
 *
 * @module
 */
import type { Command } from "./command.ts";

/** A command that is not loaded yet. */
export interface CommandEntry {
  /** One line for the list of commands. */
  readonly summary: string;
  /** Loads it. */
  load(): Promise<Command>;
}

/** The commands, in the order in which the help lists them. */
export const commands: ReadonlyMap<string, CommandEntry> = new Map<
  string,
  CommandEntry
>([
  ["create", {
    summary: "Create a pod sandbox",
    load: async () => (await import("./commands/pods.ts")).create,
  }],
  ["run", {
    summary: "Run a command in a new sandbox and remove the sandbox after it",
    load: async () => (await import("./commands/others.ts")).run,
  }],
  ["exec", {
    summary: "Run a command in a sandbox",
    load: async () => (await import("./commands/others.ts")).exec,
  }],
  ["ls", {
    summary: "List sandboxes",
    load: async () => (await import("./commands/others.ts")).ls,
  }],
  ["inspect", {
    summary: "Show everything about a sandbox",
    load: async () => (await import("./commands/others.ts")).inspect,
  }],
  ["rm", {
    summary: "Remove sandboxes",
    load: async () => (await import("./commands/pods.ts")).rm,
  }],
  ["ports", {
    summary: "List host ports",
    load: async () => (await import("./commands/others.ts")).ports,
  }],
  ["ports add", {
    summary: "Map host ports to a sandbox",
    load: async () => (await import("./commands/others.ts")).portsAdd,
  }],
  ["ports rm", {
    summary: "Take host ports away from a sandbox",
    load: async () => (await import("./commands/others.ts")).portsRemove,
  }],
  ["node up", {
    summary: "Set the node up, and keep its settings",
    load: async () => (await import("./commands/others.ts")).nodeUp,
  }],
  ["node show", {
    summary: "Show the node's settings",
    load: async () => (await import("./commands/others.ts")).nodeShow,
  }],
  ["node watch", {
    summary: "Print what happens on the node, and repair it",
    load: async () => (await import("./commands/others.ts")).nodeWatch,
  }],
  ["node leave", {
    summary: "Take the node down, and out of its cluster",
    load: async () => (await import("./commands/others.ts")).nodeLeave,
  }],
  ["node status", {
    summary: "Show how the node stands to its cluster",
    load: async () => (await import("./commands/others.ts")).nodeStatus,
  }],
  ["node ls", {
    summary: "List the nodes of the cluster",
    load: async () => (await import("./commands/others.ts")).nodeLs,
  }],
  ["node routes", {
    summary: "List the ways to other nodes' pods",
    load: async () => (await import("./commands/others.ts")).nodeRoutes,
  }],
  ["node picture", {
    summary: "Draw the cluster as this node sees it",
    load: async () => (await import("./commands/others.ts")).nodePicture,
  }],
  ["node down", {
    summary: "Take away all that podnet made on the node",
    load: async () => (await import("./commands/others.ts")).nodeDown,
  }],
  ["check", {
    summary: "Compare the node and its sandboxes with what they should be",
    load: async () => (await import("./commands/others.ts")).check,
  }],
  ["doctor", {
    summary: "Say what is wrong with the machine, and what helps",
    load: async () => (await import("./commands/others.ts")).doctor,
  }],
  ["gc", {
    summary: "Remove what crashed processes left behind",
    load: async () => (await import("./commands/others.ts")).gc,
  }],
  ["cni add", {
    summary: "Attach a sandbox to a network by its CNI plugins",
    load: async () => (await import("./commands/others.ts")).cniAdd,
  }],
  ["cni del", {
    summary: "Detach a sandbox from a network",
    load: async () => (await import("./commands/others.ts")).cniDel,
  }],
  ["cni check", {
    summary: "Have CNI plugins look whether what they made is there",
    load: async () => (await import("./commands/others.ts")).cniCheck,
  }],
  ["cni gc", {
    summary: "Have CNI plugins remove what belongs to no sandbox",
    load: async () => (await import("./commands/others.ts")).cniGc,
  }],
  ["cni status", {
    summary: "Show whether the CNI plugins of a network are ready",
    load: async () => (await import("./commands/others.ts")).cniStatus,
  }],
  ["cni install", {
    summary: "Make container runtimes use podnet, as a CNI plugin",
    load: async () => (await import("./commands/others.ts")).cniInstall,
  }],
  ["cni uninstall", {
    summary: "Take the CNI plugin away",
    load: async () => (await import("./commands/others.ts")).cniUninstall,
  }],
  ["oci-hook", {
    summary: "Give a container its network, as a hook of its OCI runtime",
    load: async () => (await import("./commands/others.ts")).ociHook,
  }],
  ["oci-hook config", {
    summary: "Print what makes an OCI runtime start the hook",
    load: async () => (await import("./commands/others.ts")).ociHookConfig,
  }],
  ["oci-hook install", {
    summary: "Install the hook, so that it starts fast",
    load: async () => (await import("./commands/others.ts")).ociHookInstall,
  }],
  ["oci-hook uninstall", {
    summary: "Take the hook away",
    load: async () => (await import("./commands/others.ts")).ociHookUninstall,
  }],
  ["events", {
    summary: "Print what happens to sandboxes as it happens",
    load: async () => (await import("./commands/others.ts")).events,
  }],
  ["completions", {
    summary: "Print the completion script for a shell",
    load: async () => (await import("./commands/others.ts")).completions,
  }],
  ["help", {
    summary: "Show help for a command",
    load: async () => (await import("./commands/others.ts")).help,
  }],
]);
