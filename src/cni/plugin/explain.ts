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
import { type Places, specOn, type Wish } from "./wish.ts";

/** Does something; when the input is what is wrong, tells every problem of it. */
export async function explained<T>(
  read: () => Wish,
  act: () => Promise<T>,
): Promise<T> {
  try {
    return await act();
  } catch (error) {
    if (!isSandboxError(error, "InvalidSpec")) throw error;
    const problems = allProblems(read, error.context.problems);
    const ofEnvironment = problems.filter(({ path }) => path.startsWith("CNI_"))
      .map(({ path, message }) => `${path}: ${message}`);
    if (ofEnvironment.length > 0) throw invalidEnvironment(ofEnvironment);
    throw invalidConfig(problems);
  }
}

/**
 * Those of the configuration, of the node and of the sandbox, none of which was tried after the first.
 *
 * @param told for what only the kernel knows
 */
function allProblems(
  read: () => Wish,
  told: readonly Problem[],
): readonly Problem[] {
  let wish: Wish | undefined;
  const found = problemsOf(() => {
    wish = read();
  });
  if (wish === undefined) return found;
  const { node, places } = wish;
  let podCidrs: readonly string[] = [];
  found.push(
    ...problemsOf(() => {
      ({ podCidrs = [] } = parseNodeOptions(node, hostName));
    }).map((problem) => placed(problem, places.node)),
  );
  // Without networks, every address would be outside of them.
  if (found.length === 0 && podCidrs.length > 0) {
    const spec = specOn(wish, podCidrs);
    const context = { podCidrs: podCidrs.map((text) => Cidr.parse(text)) };
    found.push(
      ...problemsOf(() => parseSandboxSpec(spec, context)).map((problem) =>
        placed(problem, places.spec)
      ),
    );
  }
  return found.length > 0
    ? found
    : told.map((problem) => placed(problem, places.spec));
}

/** A problem by the place that whoever wrote it knows. */
function placed(problem: Problem, places: Places): Problem {
  const { path } = problem;
  const root = /^\w*/.exec(path)?.[0] ?? "";
  const rest = path.slice(root.length);
  const place = places.get(root);
  return {
    ...problem,
    path: places.get(path) ?? (place === undefined ? path : place + rest),
  };
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
