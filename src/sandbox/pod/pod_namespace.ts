/**
 * The network namespaces that pods get: new ones, and ones that are there already.
 *
 * @module
 */
import { keepShape } from "../../shape.ts";
import { SandboxError } from "../../errors.ts";
import { NetworkNamespace } from "../../namespace/network_namespace.ts";
import { Connection } from "../../netlink/connection.ts";
import { NETLINK_ROUTE } from "../../netlink/message.ts";
import { SocketTransport } from "../../netlink/transport.ts";
import { RT_TABLE_MAIN } from "../../rtnetlink/constants.ts";
import { dumpLinks } from "../../rtnetlink/link.ts";
import { dumpRoutes } from "../../rtnetlink/route.ts";
import type { IpFamily } from "../../net/ip.ts";
import type { RouteSpec } from "../../spec/sandbox_spec.ts";
import type { NodeContext } from "../node/context.ts";
import type { PodNamespace } from "../node/warm_pool.ts";

/** Closed when it is disposed. A class, without `using` and a stack of what there is to close: 6 µs less a pod. */
class OpenNamespace implements PodNamespace, Disposable {
  readonly namespace: NetworkNamespace;
  readonly podRoute: Connection;

  constructor(namespace: NetworkNamespace, podRoute: Connection) {
    this.namespace = namespace;
    this.podRoute = podRoute;
  }

  [Symbol.dispose](): void {
    try {
      this.podRoute[Symbol.dispose]();
    } finally {
      this.namespace[Symbol.dispose]();
    }
  }
}

keepShape(new OpenNamespace(undefined as never, undefined as never));

/** In a namespace that was just made 1 is lo. */
export const FIRST_INDEX = 2;

/** The interface that pods have unless their spec says otherwise. */
export const DEFAULT_INTERFACE = "eth0";

/**
 * Its /proc/sys is left alone: the kernel looks for a name in it among those of all namespaces that were ever looked at,
 * which takes 1 ms at 1000 pods. Router advertisements and redirects could come from the node only, at the link's other
 * end: of those that other pods send, the guard and the kernel's own checks of source and hop limit let none through.
 */
export function newPodNamespace(
  { namespace: node }: Pick<NodeContext, "namespace">,
): PodNamespace & Disposable {
  const { namespace, socket } = NetworkNamespace.createWith(
    () => SocketTransport.open(NETLINK_ROUTE, true),
    node,
  );
  return new OpenNamespace(namespace, new Connection(socket));
}

/** What a namespace must not have yet. */
export interface NewInPod {
  readonly interfaceName?: string;
  /** IP versions of default routes. */
  readonly defaultRoutes: readonly IpFamily[];
  readonly routes: readonly Pick<RouteSpec, "destination">[];
}

/** The namespace of somebody else; it must not be the node, and must have room for the pod's interface. */
export function adoptPodNamespace(
  context: NodeContext,
  { interfaceName, defaultRoutes, routes: wanted }: NewInPod,
  path: string,
): PodNamespace & Disposable {
  using opened = new DisposableStack();
  const namespace = opened.use(NetworkNamespace.open(path));
  const refuse = (reason: string) =>
    new SandboxError("InvalidNamespace", { path, reason });
  if (namespace.id === context.namespace.id) {
    throw refuse("it is the node's own: ask for the host network instead");
  }
  const podRoute = opened.use(
    namespace.run(() => Connection.open(NETLINK_ROUTE)),
  );
  if (
    podRoute.dump(dumpLinks()).some(({ name }) => name === interfaceName)
  ) {
    throw refuse(
      `it has an interface ${interfaceName} already: choose another interface name`,
    );
  }
  // Its own would have to be replaced, and nobody could give it back.
  const networks = wanted.map(({ destination }) => destination);
  const [route] = podRoute.dump(dumpRoutes({ table: RT_TABLE_MAIN })).filter((
    { destination, family },
  ) =>
    destination === "default"
      ? defaultRoutes.includes(family)
      : networks.includes(String(destination))
  );
  if (route !== undefined) {
    throw refuse(
      route.destination === "default"
        ? `it has an IPv${route.family} default route already`
        : `it has a route to ${route.destination} already`,
    );
  }
  opened.move();
  return new OpenNamespace(namespace, podRoute);
}
