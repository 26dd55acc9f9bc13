/**
 * Calendar days of the summaries.
 *
 * @module
 */

import { assert, assertEquals } from "@std/assert";
import { addDays, isDay, oldestDay, todayIn } from "../../../app/src/summaries/days.ts";

Deno.test("days go on over months, leap days and years", () => {
  assertEquals(addDays("2026-03-01", -1), "2026-02-28");
  assertEquals(addDays("2028-02-28", 1), "2028-02-29");
  assertEquals(addDays("2026-12-31", 1), "2027-01-01");
  assertEquals(oldestDay("2026-11-21"), "2025-11-20");
});

Deno.test("only days that exist are days", () => {
  assert(isDay("2028-02-29"));
  for (const text of [undefined, "", "today", "2026-02-29", "2026-13-01", "2026-1-1"]) {
    assert(!isDay(text), text);
  }
});

Deno.test("today is the workspace's", () => {
  const days = new Set([todayIn("Pacific/Kiritimati"), todayIn("Pacific/Niue")]);
  // Their clocks are 25 hours apart.
  assert(days.size === 2);
  assert([...days].every(isDay));
});
