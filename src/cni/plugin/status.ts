/**
 * `STATUS`: whether ADD would work.
 *
 * @module
 */
import { fileSystemSpace } from "../../../ffi/file_system.ts";
import { refuseImpossible } from "../../sandbox/adopted.ts";
import type { Node } from "../../sandbox/node.ts";
import { CniError, CniErrorCode } from "../model/error.ts";
import type { PluginRequest } from "../model/network.ts";
import { explained } from "./explain.ts";
import { failureOf } from "./failure.ts";
import type { Invocation } from "./invocation.ts";
import { addressesOf, readWish, type Wish } from "./wish.ts";
import { openWished } from "./wished_node.ts";

/** ADD of a container of which the runtime says nothing. */
const SOME_ADD: Invocation = {
  command: "ADD",
  containerID: "some",
  netns: "/proc/thread-self/ns/net",
  ifname: "eth0",
  args: "",
  mayBeOwnNamespace: false,
};

/**
 * Reads the configuration as ADD does, and looks for the links that it names; opens the node, which makes it when it is new and
 * mends it when it has lost something, counts its free addresses, and looks whether there is room for what is noted of a
 * container.
 *
 * @throws {CniError} 50 when ADD would fail
 */
export async function status(request: PluginRequest): Promise<void> {
  const read = () =>
    withSomeAddresses(readWish(SOME_ADD, request, { hasDefaultRoute: false }));
  try {
    await explained(read, async () => {
      const wish = read();
      await using node = await openWished(wish);
      requireRoom(node.stateDir);
      await refuseImpossible(node, wish.spec);
      if (wish.spec.attachment?.type !== "none") requireAddresses(node);
    });
  } catch (error) {
    const { message, details } = failureOf(error);
    throw unavailable(message, details);
  }
}

/**
 * On networks of others the runtime may give addresses, also of an IP version of which the configuration has none: whether
 * gateways and routes go with them is known when it does.
 */
function withSomeAddresses(wish: Wish): Wish {
  const interfaces = wish.spec.interfaces?.map((own) => {
    const { addresses = [], gateways = [], routes = [] } = own;
    const given = addressesOf(own);
    const led = [...gateways, ...routes.map(({ destination }) => destination)];
    const missing = led.filter((text) => !given.some(isLike(text)));
    const some = EVERYWHERE.filter((text) => missing.some(isLike(text)));
    return { ...own, addresses: [...addresses, ...some] };
  });
  const spec = { ...wish.spec, ...interfaces !== undefined && { interfaces } };
  return { ...wish, spec };
}

/** Each in one half of all addresses of its IP version, and none that no interface can have. */
const EVERYWHERE = ["0.0.0.1/1", "128.0.0.1/1", "::2/1", "8000::2/1"];

/** Whether texts are of one IP version. */
function isLike(one: string): (other: string) => boolean {
  return (other) => one.includes(":") === other.includes(":");
}

function requireAddresses(node: Node): void {
  const free = node.freeAddresses();
  const full = node.podCidrs.filter((_, i) => free[i] === 0n);
  if (full.length === 0) return;
  throw unavailable(
    `all addresses of ${
      full.join(" and ")
    } are taken: remove containers, or give the node a larger pod CIDR`,
  );
}

/** Opening a node that is in order writes nothing, and ADD does. */
function requireRoom(stateDir: string): void {
  const { bytes, availableBytes, files, freeFiles, readOnly } = fileSystemSpace(
    stateDir,
  );
  if (readOnly) {
    throw unavailable(`${stateDir} is read-only: remount it read-write`);
  }
  if (bytes > 0 && availableBytes === 0 || files > 0 && freeFiles === 0) {
    throw unavailable(`${stateDir} is full: make room (df, df -i)`);
  }
}

function unavailable(message: string, details = ""): CniError {
  return new CniError(CniErrorCode.PLUGIN_NOT_AVAILABLE, message, { details });
}
