/**
 * Rights, features of the kernel, limits, the state directory.
 *
 * @module
 */
import { trial } from "./healthy.ts";
import {
  type Case,
  limits,
  node,
  privileges,
  stateDirectory,
} from "./spoiled.ts";

export const machineCases: readonly Case[] = [
  ["nothing", {}],
  [
    "no CAP_NET_ADMIN",
    privileges({ capabilities: ["CAP_SYS_ADMIN"] }),
    "not-permitted",
    "error",
  ],
  ["unknown capabilities", {
    privileges: {
      user: 0,
      userNamespace: false,
      foreignNamespaces: [],
      noNewPrivileges: false,
      seccomp: false,
    },
  }],
  [
    "a needed feature refused with all capabilities",
    { trials: [trial("veth", true, "refused", "EPERM")] },
    "system-calls-filtered",
    "error",
  ],
  [
    "another feature refused",
    { trials: [trial("vxlan", false, "refused", "EPERM")] },
    "system-calls-filtered",
    "warning",
  ],
  [
    "no veth",
    { trials: [trial("veth", true, "absent", "EOPNOTSUPP")] },
    "kernel-feature-missing",
    "error",
  ],
  [
    "no vxlan",
    { trials: [trial("vxlan", false, "absent", "EOPNOTSUPP")] },
    "kernel-features-absent",
    "note",
  ],
  ["nothing tried", { trials: [trial("veth", true, "untried")] }],
  [
    "a user namespace",
    privileges({ userNamespace: true }),
    "user-namespace",
    "note",
  ],
  [
    "a user namespace without a network of its own",
    {
      ...privileges({ foreignNamespaces: ["net", "mnt"] }),
      trials: [trial("network namespaces", true, "refused", "EPERM")],
    },
    "not-permitted",
    "error",
  ],
  [
    "few open files",
    privileges({ openFilesLimit: 256 }),
    "open-files-limit",
    "warning",
  ],
  [
    "no namespaces",
    limits({ maxNetworkNamespaces: 0 }),
    "namespaces-limit",
    "error",
  ],
  [
    "few namespaces",
    { ...limits({ maxNetworkNamespaces: 110 }), ...node({ sandboxes: 100 }) },
    "namespaces-limit",
    "warning",
  ],
  ["enough namespaces", {
    ...limits({ maxNetworkNamespaces: 200 }),
    ...node({ sandboxes: 100 }),
  }],
  ["many mounts", limits({ mounts: 90000 }), "mounts-limit", "warning"],
  [
    "many connections",
    limits({ trackedConnections: 230000 }),
    "conntrack-full",
    "warning",
  ],
  ["fewer connections", limits({ trackedConnections: 200000 })],
  [
    "a limit of none",
    limits({ trackedConnections: 5, maxTrackedConnections: 0 }),
  ],
  [
    "many neighbours",
    limits({ neighbours: { 6: 1000 } }),
    "neighbours-full",
    "warning",
  ],
  [
    "a link for a state directory",
    stateDirectory({ status: { kind: "symlink", mode: 0o777, uid: 0 } }),
    "state-directory-unusable",
    "error",
  ],
  [
    "somebody's state directory",
    stateDirectory({ status: { kind: "directory", mode: 0o700, uid: 7 } }),
    "state-directory-unusable",
    "error",
  ],
  [
    "everybody's state directory",
    stateDirectory({ status: { kind: "directory", mode: 0o777, uid: 0 } }),
    "state-directory-unusable",
    "error",
  ],
  [
    "a read-only state directory",
    stateDirectory({ readOnly: true, availableBytes: 0 }),
    "state-directory-unusable",
    "error",
  ],
  [
    "a state directory of nobody's",
    stateDirectory({ writable: false }),
    "state-directory-unusable",
    "error",
  ],
  [
    "little room",
    stateDirectory({ availableBytes: 1 << 20 }),
    "state-directory-full",
    "warning",
  ],
  [
    "no room",
    stateDirectory({ availableBytes: 0 }),
    "state-directory-full",
    "error",
  ],
  [
    "no more files",
    stateDirectory({ freeFiles: 0 }),
    "state-directory-full",
    "error",
  ],
  [
    "a disk",
    stateDirectory({ fileSystem: "ext4" }),
    "state-outlives-reboot",
    "note",
  ],
  ["private pins", node({ pinsShared: false }), "pins-not-shared", "warning"],
];
