/**
 * The page Health in words: the summary, the order of the checks, times and names in texts, and the clock.
 *
 * @module
 */

import { assertEquals, assertMatch } from "@std/assert";
import type { HealthStatus } from "../../../app/src/api/rows.ts";
import {
  checkClock,
  checkTitle,
  groupChecks,
  readText,
  summarise,
} from "../../../app/src/health/checks.ts";

const NOON = Date.UTC(2026, 0, 1, 12);

function checks(...statuses: HealthStatus[]) {
  return statuses.map((status, index) => ({
    name: `check ${index}`,
    status,
    found: "",
    what_to_do: null,
  }));
}

/** The parts of a text, times in brackets. */
function read(text: string): string {
  return readText(text).map((part) => "time" in part ? `[${part.time}]` : part.text).join("");
}

Deno.test("the summary counts what needs a person", () => {
  assertEquals(summarise(checks("ok", "ok")), "Everything works.");
  assertEquals(summarise(checks("ok", "unknown")), "No problems. 1 check has no result yet.");
  assertEquals(
    summarise(checks("unknown", "unknown")),
    "No problems. 2 checks have no result yet.",
  );
  assertEquals(summarise(checks("warning", "ok")), "1 warning.");
  assertEquals(
    summarise(checks("problem", "unknown", "warning", "ok", "problem")),
    "2 problems, 1 warning, 1 unknown.",
  );
});

Deno.test("problems come first, and checks of one status stay in their order", () => {
  const groups = groupChecks(checks("ok", "unknown", "problem", "ok", "warning", "problem"));
  assertEquals(
    groups.map(({ status, checks }) => [status, ...checks.map(({ name }) => name)]),
    [
      ["problem", "check 2", "check 5"],
      ["warning", "check 4"],
      ["unknown", "check 1"],
      ["ok", "check 0", "check 3"],
    ],
  );
  assertEquals(groupChecks(checks("ok")).length, 1);
});

Deno.test("times of a text are found, and jobs get their titles", () => {
  assertEquals(
    read("Succeeded at 2026-01-02 03:04:05 UTC."),
    "Succeeded at [2026-01-02T03:04:05Z].",
  );
  assertEquals(
    read("2026-01-02 03:04:05 UTC and 2026-01-02 03:04:06 UTC"),
    "[2026-01-02T03:04:05Z] and [2026-01-02T03:04:06Z]",
  );
  assertEquals(read("0 failed, 0 waiting."), "0 failed, 0 waiting.");
  assertEquals(
    read("Check the jobs send-queued-messages and settle-outbox."),
    "Check the jobs “Send waiting messages” and “Settle sent messages”.",
  );
  // A page of the documentation is no job, and neither is a longer name.
  for (const text of ["(docs/cli/kapso-sync.md)", "kapso-sync-2", "kapso-sync/tick"]) {
    assertEquals(read(text), text);
  }
});

Deno.test("a check that the app does not know keeps its name", () => {
  assertEquals(checkTitle("table policies"), "Access rules");
  assertEquals(checkTitle("job brew-coffee"), "Job brew-coffee");
});

Deno.test("clocks that differ by more than 30 s are a warning, however slow the answer is", () => {
  const at = (seconds: number) => new Date(NOON + seconds * 1000).toISOString();
  assertEquals(checkClock(at(0), NOON, NOON), undefined);
  assertEquals(checkClock(at(30), NOON, NOON), undefined);
  assertEquals(checkClock(at(-30), NOON, NOON), undefined);
  // It may have checked at any moment of a request of two minutes.
  assertEquals(checkClock(at(100), NOON, NOON + 120_000), undefined);
  for (const seconds of [45, -45]) {
    const clock = checkClock(at(seconds), NOON, NOON)!;
    assertEquals(clock.status, "warning");
    assertMatch(clock.found, /differ by 45 sec/);
  }
  assertMatch(checkClock(at(180), NOON, NOON + 120_000)!.found, /differ by 1 min/);
});
