/**
 * Errors told by the names that whoever wrote the configuration knows, and all of them at once.
 *
 * @module
 */
import { isSandboxError, type Problem } from "../../errors.ts";
import { hostName } from "../../../ffi/process.ts";
import { Cidr } from "../../net/cidr.ts";
import { parseNodeOptions } from "../../spec/node_options.ts";
import { parseSandboxSpec } from "../../spec/parse.ts";
import { invalidConfig } from "./failure.ts";
import { invalidEnvironment } from "./invocation.ts";
import type { Wish } from "./wish.ts";

/** Does something; when the input is what is wrong, tells every problem of it. */
export async function explained<T>(
  read: () => Wish,
  act: () => Promise<T>,
): Promise<T> {
  try {
    return await act();
  } catch (error) {
    if (!isSandboxError(error, "InvalidSpec")) throw error;
    const problems = allProblems(read) ?? error.context.problems;
    const ofEnvironment = problems.flatMap(({ path, message }) => {
      const variable = VARIABLES[rootOf(path)];
      return variable === undefined ? [] : [`${variable}: ${message}`];
    });
    if (ofEnvironment.length > 0) throw invalidEnvironment(ofEnvironment);
    throw invalidConfig(problems);
  }
}

/** What the library knows by these names is in the environment. */
const VARIABLES: Readonly<Record<string, string | undefined>> = {
  interfaceName: "CNI_IFNAME",
  netns: "CNI_NETNS",
  namespace: "K8S_POD_NAMESPACE in CNI_ARGS",
  uid: "K8S_POD_UID in CNI_ARGS",
};

/** And these in other places of the configuration. */
const PLACES: Readonly<Record<string, string | undefined>> = {
  ports: "runtimeConfig.portMappings",
  addresses: "runtimeConfig.ips",
  mac: "runtimeConfig.mac",
  sysctls: "sysctl",
  unsafeSysctls: "sysctl",
};

/** Those of the configuration, of the node and of the sandbox, none of which was tried after the first. */
function allProblems(read: () => Wish): readonly Problem[] | undefined {
  let wish: Wish | undefined;
  const found = problemsOf(() => {
    wish = read();
  });
  if (wish === undefined) return found;
  const { node, spec, places } = wish as Wish;
  let podCidrs: readonly Cidr[] = [];
  found.push(
    ...problemsOf(() => {
      const { podCidrs: valid = [] } = parseNodeOptions(node, hostName);
      podCidrs = valid.map((text) => Cidr.parse(text));
    }).map((problem) => ({
      ...problem,
      path: places.get(problem.path) ?? problem.path,
    })),
  );
  // Without networks, every address would be outside of them.
  if (found.length === 0 && podCidrs.length > 0) {
    found.push(
      ...problemsOf(() => parseSandboxSpec(spec, { podCidrs })).map(
        (problem) => {
          const place = places.get(problem.path);
          if (place !== undefined) return { ...problem, path: place };
          const root = rootOf(problem.path);
          const rest = problem.path.slice(root.length);
          return { ...problem, path: `${PLACES[root] ?? root}${rest}` };
        },
      ),
    );
  }
  return found.length === 0 ? undefined : found;
}

function problemsOf(read: () => unknown): Problem[] {
  try {
    read();
    return [];
  } catch (error) {
    if (!isSandboxError(error, "InvalidSpec")) throw error;
    return [...error.context.problems];
  }
}

function rootOf(path: string): string {
  return /^\w*/.exec(path)?.[0] ?? "";
}
