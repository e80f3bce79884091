/**
 * `STATUS`: whether ADD would work.
 *
 * @module
 */
import { openNode } from "../../sandbox/open_node.ts";
import { Problems } from "../../spec/problems.ts";
import { readRuntimeConfig } from "../model/capabilities.ts";
import { CniError, CniErrorCode } from "../model/error.ts";
import type { PluginRequest } from "../model/network.ts";
import { failureOf } from "./failure.ts";
import { readSettings } from "./settings.ts";
import { wiringKey } from "./wiring.ts";

/**
 * Opens the node, which makes it when it is new and mends it when it has lost something, and counts its free addresses.
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
    if (wiringKey(request.raw) !== undefined) return;
    const free = node.freeAddresses();
    const full = node.podCidrs.filter((_, i) => free[i] === 0n);
    if (full.length > 0) {
      throw new CniError(
        CniErrorCode.PLUGIN_NOT_AVAILABLE,
        `all addresses of ${
          full.join(" and ")
        } are taken: remove containers, or give the node a larger pod CIDR`,
      );
    }
  } catch (error) {
    const { message, details } = failureOf(error);
    throw new CniError(CniErrorCode.PLUGIN_NOT_AVAILABLE, message, { details });
  }
}
