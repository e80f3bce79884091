/**
 * Links and pipes planted where podnet keeps its files: what they lead to stays as it is, and the error names the path.
 * Each line is an attack, what stops it, and what comes of it.
 *
 * @module
 */
import { assert, assertEquals } from "@std/assert";
import { openNode } from "../../mod.ts";
import { isSandboxError } from "../../src/errors.ts";
import { sandboxId } from "../../src/sandbox/records/identity.ts";
import { createLab, type LabNode } from "../../src/testing/mod.ts";
import { nodeAt } from "../support/pods.ts";

const NAME = "web";
const SECRET = "somebody else's";

/** Where something is planted, relative to the node's directory, and what podnet says or does. */
interface Plant {
  readonly path: string;
  /** The error's code; without one, what was planted is replaced. */
  readonly code?: "StateUnusable" | "RecordInvalid" | "InvalidNamespace";
}

const directory = `sandboxes/${sandboxId("default", NAME)}`;

/** Before a sandbox is created. The directory is there as a crash leaves it, except where it is planted itself. */
const PLANTS: readonly Plant[] = [
  { path: directory, code: "StateUnusable" },
  { path: "lock", code: "StateUnusable" },
  { path: `${directory}/record.cbor`, code: "RecordInvalid" },
  { path: `${directory}/creating.cbor` },
  { path: `${directory}/netns`, code: "InvalidNamespace" },
  { path: `${directory}/record.cbor.tmp` },
  { path: `${directory}/resolv.conf` },
  { path: `${directory}/hosts` },
];

const CARELESS = "overwritten";

/** What podnet would do at the path if it were not careful. */
function careless(path: string): void {
  Deno.writeTextFileSync(path, CARELESS);
}

/** Code and path of the error that an act is refused with. */
async function refusal(
  act: () => Promise<unknown>,
): Promise<readonly [string, string] | undefined> {
  try {
    await act();
    return undefined;
  } catch (error) {
    if (!isSandboxError(error) || !("path" in error.context)) throw error;
    return [error.code, String(error.context.path)];
  }
}

/** Writes every file of a sandbox, the record anew, too. */
async function create({ node, namespace }: LabNode): Promise<void> {
  await using sandbox = await node.createSandbox({
    name: NAME,
    dns: { nameservers: ["192.0.2.53"] },
  });
  const { name, stateDir } = node;
  // One who has not written the record does not add to it.
  await using other = await openNode({ name, stateDir, netns: namespace });
  const again = await other.openSandbox(sandbox.id);
  await again.addContainer({ name: "app" });
}

for (const { path, code } of PLANTS) {
  const place = path.replace(directory, "sandboxes/<id>");
  Deno.test(
    `a symbolic link at ${place} | O_NOFOLLOW, O_EXCL and rename | ${
      code === undefined ? "is replaced" : `${code} names it`
    }, its target stays; opened plainly, it is overwritten`,
    async () => {
      await using lab = await createLab();
      const node = nodeAt(lab.nodes, 0);
      const base = `${node.node.stateDir}/${node.name}`;
      const planted = `${base}/${path}`;
      const target = `${node.node.stateDir}/target`;
      const isDirectory = path === directory;
      if (isDirectory) Deno.mkdirSync(target);
      else Deno.writeTextFileSync(target, SECRET);
      if (path.startsWith(`${directory}/`)) {
        Deno.mkdirSync(`${base}/${directory}`);
      }
      if (path === "lock") Deno.removeSync(planted);
      Deno.symlinkSync(target, planted);

      const refused = await refusal(() => create(node));
      assertEquals(refused, code === undefined ? undefined : [code, planted]);
      if (isDirectory) assertEquals([...Deno.readDirSync(target)], []);
      else assertEquals(Deno.readTextFileSync(target), SECRET);
      if (code !== undefined) {
        Deno.removeSync(planted);
        if (path === "lock") Deno.writeTextFileSync(planted, "");
        await create(node);
      } else assert(!isLink(planted));

      const plain = `${base}/plain`;
      Deno.symlinkSync(target, plain);
      careless(isDirectory ? `${plain}/file` : plain);
      const reached = isDirectory ? `${target}/file` : target;
      assertEquals(Deno.readTextFileSync(reached), CARELESS);
      Deno.removeSync(plain);
      Deno.removeSync(target, { recursive: true });
    },
  );
}

function isLink(path: string): boolean {
  try {
    return Deno.lstatSync(path).isSymlink;
  } catch (error) {
    if (error instanceof Deno.errors.NotFound) return false;
    throw error;
  }
}
