/**
 * The checks of the installation in the order and the words for people.
 *
 * @module
 */

import type { HealthCheck, HealthStatus } from "../api/rows.ts";
import { formatDuration } from "../format.ts";
import { healthTexts } from "./texts.ts";

/** What the page shows of a check. */
export type Check = Omit<HealthCheck, "checked_at">;

/** Checks of one status. */
export interface CheckGroup {
  status: HealthStatus;
  checks: readonly Check[];
}

/** A piece of a text: words, or a time in ISO 8601. */
export type TextPart = { text: string } | { time: string };

/** Statuses by urgency. */
const STATUSES: readonly HealthStatus[] = ["problem", "warning", "unknown", "ok"];

/** Reply windows and links are measured in minutes, so clocks may differ by this much. */
const MAX_CLOCK_DIFFERENCE_MS = 30_000;

const JOB = "job ";
const TIME = /(\d{4}-\d\d-\d\d) (\d\d:\d\d:\d\d) UTC/;
const JOB_NAMES = Object.keys(healthTexts.checks)
  .filter((name) => name.startsWith(JOB)).map((name) => name.slice(JOB.length));
/** A job where a text names it, but not in a path such as docs/cli/kapso-sync.md. */
const JOB_NAME = new RegExp(`(?<![\\w./-])(?:${JOB_NAMES.join("|")})(?![\\w/-]|\\.\\w)`, "g");

/** The checks by status, the most urgent first, each group in the given order. Leaves out empty groups. */
export function groupChecks(checks: readonly Check[]): CheckGroup[] {
  return STATUSES
    .map((status) => ({ status, checks: checks.filter((check) => check.status === status) }))
    .filter(({ checks }) => checks.length > 0);
}

/** All checks in one sentence. */
export function summarise(checks: readonly Check[]): string {
  const count = (status: HealthStatus) => checks.filter((check) => check.status === status).length;
  const { summary } = healthTexts;
  if (count("problem") + count("warning") === 0) {
    return count("unknown") === 0 ? summary.allOk : summary.onlyUnknown(count("unknown"));
  }
  const parts = (["problem", "warning", "unknown"] as const)
    .filter((status) => count(status) > 0).map((status) => summary[status](count(status)));
  return `${parts.join(", ")}.`;
}

/**
 * Compares the clock of the server with that of the reader.
 *
 * @param checkedAt The server's time, read between `askedAt` and `answeredAt` (milliseconds of this device).
 * @returns A warning, or undefined where the clocks agree.
 */
export function checkClock(
  checkedAt: string,
  askedAt: number,
  answeredAt: number,
): Check | undefined {
  const serverTime = Date.parse(checkedAt);
  const difference = Math.max(askedAt - serverTime, serverTime - answeredAt);
  if (difference <= MAX_CLOCK_DIFFERENCE_MS) return undefined;
  return {
    name: "clock",
    status: "warning",
    found: healthTexts.clock.found(formatDuration(difference / 1000)),
    what_to_do: healthTexts.clock.whatToDo,
  };
}

/** What people call the part that a check is about. */
export function checkTitle(name: string): string {
  const known = healthTexts.checks[name];
  return known?.title ?? name.slice(0, 1).toUpperCase() + name.slice(1);
}

/** Splits a text of the database at its times, and calls jobs by their titles. */
export function readText(text: string): TextPart[] {
  // Splitting by a pattern with groups keeps them: words, date, time, words, …
  const pieces = text.split(TIME);
  const parts: TextPart[] = [];
  for (let at = 0; at < pieces.length; at += 3) {
    const words = pieces[at]!.replace(JOB_NAME, (name) => `“${checkTitle(JOB + name)}”`);
    if (words !== "") parts.push({ text: words });
    if (at + 2 < pieces.length) parts.push({ time: `${pieces[at + 1]}T${pieces[at + 2]}Z` });
  }
  return parts;
}
