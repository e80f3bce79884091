/**
 * Finds what has no living owner, from both sides: notes without a sandbox, and parts in the kernel without a note.
 *
 * Everything of ours leads back to a sandbox id, and each id is looked at again under its own lock, so what another
 * process is making at that moment is never touched.
 *
 * @module
 */
import { readDirectory } from "../../ffi/file.ts";
import { isSandboxError } from "../errors.ts";
import { findElementsOf } from "../hostport/host_ports.ts";
import { dumpLinks } from "../rtnetlink/link.ts";
import { removeFile, UNFINISHED } from "../state/store.ts";
import { isAlive } from "./alive.ts";
import type { NodeContext } from "./context.ts";
import { HOST_INTERFACE_PREFIX, idOfAlias } from "./identity.ts";
import type { SandboxRecord } from "./records.ts";
import { removeOrphans, removeRemains } from "./remove.ts";

/** The kernel takes about 50 ms for one namespace, 300 ms for a thousand. */
const SETTLE_MS = 400;
/** How often it is asked meanwhile. */
const SETTLE_STEP_MS = 20;

/** Something without an owner. */
export interface Garbage {
  /**
   * `record`: a sandbox whose record cannot be read. `file`: one that a crash kept from being written, of a sandbox that is
   * alive. `link`, `element`: parts in the kernel that no record tells of.
   */
  readonly kind: "sandbox" | "link" | "element" | "record" | "file";
  /** Id of the sandbox that it belonged to. */
  readonly id: string;
  /** In plain words. */
  readonly reason: string;
  /** False in a dry run, and for a damaged record unless forced. */
  readonly removed: boolean;
}

/** What to collect. */
export interface GarbageOptions {
  /**
   * Tell, but touch nothing.
   * @default false
   */
  readonly dryRun?: boolean;
  /**
   * Also sandboxes whose record cannot be read: the record is moved to `<stateDir>/<node>/damaged`, never deleted.
   * @default false
   */
  readonly force?: boolean;
}

/** Collects garbage; see {@linkcode GarbageOptions}. */
export async function collectGarbage(
  context: NodeContext,
  options: GarbageOptions = {},
): Promise<Garbage[]> {
  const dryRun = options.dryRun ?? false;
  const { state } = context;
  using _node = await state.lock("shared");
  const garbage: Garbage[] = [];
  for (const id of state.sandboxIds()) {
    using lock = await state.lockSandbox(id);
    if (lock === undefined) continue; // removed by now
    const found = judge(context, id, options.force ?? false);
    if (found === undefined) {
      garbage.push(...unfinishedFiles(context, id, dryRun));
      continue;
    }
    const removed = found.removed && !dryRun;
    garbage.push({ ...found, removed });
    if (!removed) continue;
    if (found.kind === "record") state.setAsideRecord(id);
    removeRemains(context, id, state.readableSandbox(id));
    if (found.kind === "record") removeOrphans(context, id, { retired: true });
    state.removeSandbox(id);
  }
  for (const [id, kind, reason] of await settledOrphans(context)) {
    if (!dryRun) {
      using _lock = await state.lockNewSandbox(id);
      if (state.readableSandbox(id) !== undefined) continue; // made since the kernel was asked
      removeOrphans(context, id, { retired: true });
      state.removeSandbox(id);
    }
    garbage.push({ kind, id, reason, removed: !dryRun });
  }
  return garbage;
}

/** Files that a process died over while it wrote them, of a sandbox that is alive and whose lock is held. */
function unfinishedFiles(
  { state }: NodeContext,
  id: string,
  dryRun: boolean,
): Garbage[] {
  const directory = state.sandboxDirectory(id);
  return readDirectory(directory)
    .filter(({ name }) => name.endsWith(UNFINISHED))
    .map(({ name }) => {
      if (!dryRun) removeFile(`${directory}/${name}`);
      const reason = `${name} was not written to its end`;
      return { kind: "file", id, reason, removed: !dryRun };
    });
}

/** Why a sandbox with a directory is garbage, if it is. Its lock is held, so nobody is at work on it. */
function judge(
  context: NodeContext,
  id: string,
  force: boolean,
): Garbage | undefined {
  let record: SandboxRecord | undefined;
  try {
    record = context.state.readSandbox(id);
  } catch (error) {
    if (!isSandboxError(error, "RecordInvalid")) throw error;
    return { kind: "record", id, reason: error.message, removed: force };
  }
  const garbage = (reason: string): Garbage => ({
    kind: "sandbox",
    id,
    reason,
    removed: true,
  });
  if (record === undefined) return garbage("its creation was cut short");
  if (record.state === "creating") {
    return garbage("its creation was cut short before it was ready");
  }
  return isAlive(context, record)
    ? undefined
    : garbage("its network namespace is gone");
}

type Orphan = readonly [id: string, kind: "link" | "element", reason: string];

/**
 * The kernel destroys the link of a removed sandbox on its own time; one that goes by itself is no garbage. Asked twice at
 * least: a sandbox may be removed between one question and the next.
 */
async function settledOrphans(context: NodeContext): Promise<Orphan[]> {
  const deadline = performance.now() + SETTLE_MS;
  let left = orphans(context);
  while (left.length > 0) {
    const mayGo = left.some(([, kind]) => kind === "link");
    if (mayGo) await new Promise((done) => setTimeout(done, SETTLE_STEP_MS));
    const now = orphans(context);
    left = now.filter(([id]) => left.some(([other]) => other === id));
    if (!mayGo || performance.now() > deadline) break;
  }
  return left;
}

/** Ids that the kernel knows and the state directory does not. */
function orphans({ sockets, settings, state }: NodeContext): Orphan[] {
  const known = new Set(state.sandboxIds());
  const found = new Map<string, ["link" | "element", string]>();
  for (const { name, alias } of sockets.route.dump(dumpLinks({}))) {
    const id = idOfAlias(settings.name, alias);
    if (
      id !== undefined && !known.has(id) &&
      name.startsWith(HOST_INTERFACE_PREFIX)
    ) {
      found.set(id, ["link", `link ${name} belongs to no sandbox`]);
    }
  }
  for (
    const { set, element } of findElementsOf(
      sockets.nft,
      (id) => !known.has(id) && !found.has(id),
    )
  ) {
    found.set(element.comment ?? "", [
      "element",
      `elements of set ${set.name} belong to no sandbox`,
    ]);
  }
  return [...found].map(([id, [kind, reason]]) => [id, kind, reason]);
}
