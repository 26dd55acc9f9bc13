/**
 * The report of the doctor.
 *
 * @module
 */

import type { Check } from "./check.ts";

const SIGNS = { ok: "✓", warning: "!", problem: "✗", unknown: "?" } as const;

/** Formats the checks as a table, with what to do below each one that needs it. */
export function formatChecks(url: string, checks: readonly Check[]): string {
  const width = Math.max(...checks.map(({ name }) => name.length));
  const lines = checks.flatMap(({ name, status, found, what_to_do }) => [
    `${SIGNS[status]} ${name.padEnd(width)}  ${found}`,
    ...what_to_do === null ? [] : [`  ${"".padEnd(width)}  → ${what_to_do}`],
  ]);
  const count = (status: Check["status"]) =>
    checks.filter((check) => check.status === status).length;
  const summary = `${checks.length} checks: ${count("problem")} problems, ` +
    `${count("warning")} warnings, ${count("unknown")} unknown.`;
  return `${url}\n\n${lines.join("\n")}\n\n${summary}\n`;
}
