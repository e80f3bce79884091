/**
 * All rules of the diagnosis: from facts to findings, without a look at the machine.
 *
 * @module
 */
import type { Facts } from "../facts/facts.ts";
import { addressingFindings } from "./addressing.ts";
import { filterFindings } from "./filters.ts";
import type { DiagnosisFinding, Severity } from "./finding.ts";
import { kernelFindings } from "./kernel.ts";
import { limitFindings } from "./limits.ts";
import { managerFindings } from "./managers.ts";
import { nodeFindings } from "./node.ts";
import { stateDirectoryFindings } from "./state_directory.ts";
import { sysctlFindings } from "./sysctls.ts";
import { translationFindings } from "./translations.ts";

const ORDER: readonly Severity[] = ["error", "warning", "note"];

/** What the facts mean, the worst first. */
export function judge(facts: Facts): DiagnosisFinding[] {
  const found = [
    ...kernelFindings(facts),
    ...stateDirectoryFindings(facts),
    ...sysctlFindings(facts),
    ...addressingFindings(facts),
    ...filterFindings(facts),
    ...translationFindings(facts),
    ...managerFindings(facts),
    ...limitFindings(facts),
  ];
  return [...found, ...nodeFindings(facts, found)].toSorted((a, b) =>
    ORDER.indexOf(a.severity) - ORDER.indexOf(b.severity)
  );
}
