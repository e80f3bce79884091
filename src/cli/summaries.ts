/**
 * Every command by name, with one line for the list of commands.
 *
 * @module
 */

/** The commands, in the order in which the help lists them. */
export const summaries = {
  "create": "Create a pod sandbox",
  "run": "Run a command in a new sandbox and remove the sandbox after it",
  "exec": "Run a command in a sandbox",
  "ls": "List sandboxes",
  "inspect": "Show everything about a sandbox",
  "rm": "Remove sandboxes",
  "ports": "List host ports",
  "ports add": "Map host ports to a sandbox",
  "ports rm": "Take host ports away from a sandbox",
  "node up": "Set the node up, and keep its settings",
  "node show": "Show the node's settings",
  "node watch": "Print what happens on the node, and repair it",
  "node leave": "Take the node down, and out of its cluster",
  "node status": "Show how the node stands to its cluster",
  "node ls": "List the nodes of the cluster",
  "node routes": "List the ways to other nodes' pods",
  "node picture": "Draw the cluster as this node sees it",
  "node down": "Take away all that podnet made on the node",
  "check": "Compare the node and its sandboxes with what they should be",
  "doctor": "Say what is wrong with the machine, and what helps",
  "gc": "Remove what crashed processes left behind",
  "cni add": "Attach a sandbox to a network by its CNI plugins",
  "cni del": "Detach a sandbox from a network",
  "cni check": "Have CNI plugins look whether what they made is there",
  "cni gc": "Have CNI plugins remove what belongs to no sandbox",
  "cni status": "Show whether the CNI plugins of a network are ready",
  "cni install": "Make container runtimes use podnet, as a CNI plugin",
  "cni uninstall": "Take the CNI plugin away",
  "oci-hook": "Give a container its network, as a hook of its OCI runtime",
  "oci-hook config": "Print what makes an OCI runtime start the hook",
  "oci-hook install": "Install the hook, so that it starts fast",
  "oci-hook uninstall": "Take the hook away",
  "install": "Install this command, so that it starts fast",
  "uninstall": "Take the installed command away",
  "events": "Print what happens to sandboxes as it happens",
  "completions": "Print the completion script for a shell",
  "help": "Show help for a command",
} as const;

/** A command's name. */
export type CommandName = keyof typeof summaries;

/** The commands that scripts run for each pod. */
export const POD_COMMANDS = ["create", "rm"] as const;

/** What a command does, in one line; undefined when there is no such command. */
export function summaryOf(name: string): string | undefined {
  return Object.hasOwn(summaries, name)
    ? summaries[name as CommandName]
    : undefined;
}
