/**
 * A new link for a sandbox that lost its own: the namespace, its processes and its addresses stay.
 *
 * @module
 */
import type { AddressWish } from "../../attachment/address_claims.ts";
import { removeShaper } from "../../attachment/bandwidth.ts";
import { releasePodRules } from "../../attachment/pod_routes.ts";
import {
  attachHost,
  detachHost,
  finishLink,
  makeLink,
  reattachPod,
  switchIpv6On,
} from "../../attachment/routed_veth.ts";
import { routeOf } from "../../attachment/check_pod.ts";
import { SandboxError } from "../../errors.ts";
import { NetworkNamespace } from "../../namespace/network_namespace.ts";
import { dumpLinks } from "../../rtnetlink/link.ts";
import type { NodeContext } from "../node/context.ts";
import { newHostLink, newIndex } from "../records/identity.ts";
import {
  type LinkedRecord,
  recordedClaims,
  recordedLink,
} from "./recorded_wiring.ts";

/**
 * Makes the link anew, with the sandbox's own addresses and MAC, and notes it. The caller holds the sandbox's lock.
 *
 * @throws {SandboxError} `AddressInUse` when somebody has an address by now
 * @throws {NetlinkError} EEXIST when the pod has another link of the name
 */
export function relink(context: NodeContext, id: string): void {
  const { state, sockets: { route } } = context;
  const record = state.readSandbox(id);
  if (record?.link === undefined) return;
  using pod = NetworkNamespace.open(state.pinPath(id));
  using podRoute = routeOf(() => NetworkNamespace.open(state.pinPath(id)));
  releasePodRules(podRoute, record.link.podIndex);
  const { name: hostInterface, index: hostIndex } = newHostLink();
  if (record.bandwidth?.egress !== undefined) {
    removeShaper(
      route,
      recordedLink(context, { ...record, link: record.link }),
    );
  }
  const isTaken = podRoute.dump(dumpLinks())
    .some(({ index }) => index === record.link?.podIndex);
  const podIndex = isTaken ? hostIndex : record.link.podIndex;
  const renewed: LinkedRecord = {
    ...record,
    link: { ...record.link, hostInterface, hostIndex, podIndex },
  };
  const link = recordedLink(context, renewed);
  // As in a creation: what is about to be made must be found by the record.
  state.writeSandbox(renewed);
  try {
    const wishes = recordedClaims(context, record).map((
      { address, gateway },
    ): AddressWish => ({
      gateway,
      first: address,
      others: () => [],
      exhausted: () =>
        new SandboxError("AddressInUse", { address: String(address) }),
    }));
    makeLink(route, pod, link);
    context.sockets.ipv6Guard?.guard(
      hostInterface,
      wishes.some((w) => w.gateway.family === 6),
    );
    const claimed = attachHost(route, link, wishes, newIndex);
    switchIpv6On(pod, link.interfaceName, claimed);
    reattachPod(podRoute, link, claimed);
    finishLink(route, podRoute, link, claimed);
  } catch (error) {
    detachHost(route, link);
    if (record.bandwidth?.egress !== undefined) removeShaper(route, link);
    throw error;
  }
}
