/**
 * The Container Runtime Interface, version runtime.v1: what the tests ask of it, with the field numbers of its api.proto.
 *
 * @module
 */
import { call } from "./grpc.ts";
import {
  integer,
  list,
  type Message,
  message,
  nested,
  text,
  texts,
} from "./protobuf.ts";

/** Protocols as CRI counts them. */
export const PROTOCOLS = { tcp: 0, udp: 1, sctp: 2 } as const;

const PortMapping = message({
  protocol: integer(1),
  containerPort: integer(2),
  hostPort: integer(3),
  hostIp: text(4),
});

const DnsConfig = message({
  servers: list(text(1)),
  searches: list(text(2)),
  options: list(text(3)),
});

const PodSandboxMetadata = message({
  name: text(1),
  uid: text(2),
  namespace: text(3),
  attempt: integer(4),
});

const PodSandboxConfig = message({
  metadata: nested(1, PodSandboxMetadata),
  hostname: text(2),
  logDirectory: text(3),
  dnsConfig: nested(4, DnsConfig),
  portMappings: list(nested(5, PortMapping)),
  labels: texts(6),
  annotations: texts(7),
});

/** What a pod is to be. */
export type PodSandboxConfig = Parameters<typeof PodSandboxConfig.encode>[0];

const ContainerConfig = message({
  metadata: nested(1, message({ name: text(1), attempt: integer(2) })),
  image: nested(2, message({ image: text(1) })),
  command: list(text(3)),
});

const PodSandboxStatus = message({
  id: text(1),
  state: integer(3),
  network: nested(
    5,
    message({
      ip: text(1),
      additionalIps: list(nested(2, message({ ip: text(1) }))),
    }),
  ),
});

const podSandboxId = message({ podSandboxId: text(1) });
const containerId = message({ containerId: text(1) });
const nothing = message({});

/** Methods with what they take and give. */
const METHODS = {
  Status: [
    nothing,
    message({
      status: nested(
        1,
        message({
          conditions: list(
            nested(1, message({ type: text(1), status: integer(2) })),
          ),
        }),
      ),
    }),
  ],
  RunPodSandbox: [
    message({ config: nested(1, PodSandboxConfig) }),
    podSandboxId,
  ],
  StopPodSandbox: [podSandboxId, nothing],
  RemovePodSandbox: [podSandboxId, nothing],
  PodSandboxStatus: [
    message({ podSandboxId: text(1), verbose: integer(2) }),
    message({ status: nested(1, PodSandboxStatus), info: texts(2) }),
  ],
  ListPodSandbox: [
    nothing,
    message({ items: list(nested(1, message({ id: text(1) }))) }),
  ],
  CreateContainer: [
    message({
      podSandboxId: text(1),
      config: nested(2, ContainerConfig),
      sandboxConfig: nested(3, PodSandboxConfig),
    }),
    containerId,
  ],
  StartContainer: [containerId, nothing],
  ExecSync: [
    message({ containerId: text(1), command: list(text(2)) }),
    message({ stdout: text(1), stderr: text(2), exitCode: integer(3) }),
  ],
} as const;

type Methods = typeof METHODS;
type Request<M extends keyof Methods> = Parameters<Methods[M][0]["encode"]>[0];
type Answer<M extends keyof Methods> = ReturnType<Methods[M][1]["decode"]>;

/** The runtime service of a runtime. */
export class Cri {
  readonly #socket: string;

  /** @param socket its path */
  constructor(socket: string) {
    this.#socket = socket;
  }

  /**
   * Calls a method.
   *
   * @throws {GrpcError} what the runtime says
   * @throws {Error} when nobody answers
   */
  async call<M extends keyof Methods>(
    method: M,
    request: Request<M>,
  ): Promise<Answer<M>> {
    // TypeScript does not see that the two belong to the same method.
    const [from, to] = METHODS[method] as unknown as [
      Message<Request<M>>,
      Message<Answer<M>>,
    ];
    const name = `runtime.v1.RuntimeService/${method}`;
    return to.decode(await call(this.#socket, name, from.encode(request)));
  }
}
