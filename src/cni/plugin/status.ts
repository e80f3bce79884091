/**
 * `STATUS`: whether ADD would work.
 *
 * @module
 */
import { fileSystemSpace } from "../../../ffi/file_system.ts";
import { openNode } from "../../sandbox/open_node.ts";
import { Problems } from "../../spec/problems.ts";
import { readRuntimeConfig } from "../model/capabilities.ts";
import { CniError, CniErrorCode } from "../model/error.ts";
import type { PluginRequest } from "../model/network.ts";
import { failureOf } from "./failure.ts";
import { readSettings } from "./settings.ts";
import { wiringKey } from "./wiring.ts";

/**
 * Opens the node, which makes it when it is new and mends it when it has lost something, counts its free addresses, and looks
 * whether there is room for what is noted of a container.
 *
 * @throws {CniError} 50 when ADD would fail
 */
export async function status(request: PluginRequest): Promise<void> {
  const problems = new Problems();
  const { ipRanges = [] } = readRuntimeConfig(request.runtimeConfig);
  try {
    const settings = problems.finish(
      readSettings(request.raw, ipRanges, problems),
    );
    // Without pod CIDRs a node is made for the networks of others.
    await using node = await openNode({
      ...wiringKey(request.raw) === undefined ? {} : { podCidrs: [] },
      ...settings.node,
    });
    requireRoom(node.stateDir);
    if (wiringKey(request.raw) !== undefined) return;
    const free = node.freeAddresses();
    const full = node.podCidrs.filter((_, i) => free[i] === 0n);
    if (full.length > 0) {
      throw unavailable(
        `all addresses of ${
          full.join(" and ")
        } are taken: remove containers, or give the node a larger pod CIDR`,
      );
    }
  } catch (error) {
    const { message, details } = failureOf(error);
    throw unavailable(message, details);
  }
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
