/**
 * How a request of daily-summary works through the slices that are due, without a database.
 *
 * @module
 */

import { assertEquals } from "@std/assert";
import { AppError } from "../../../supabase/functions/_shared/http/errors.ts";
import { createHandler } from "../../../supabase/functions/daily-summary/handler.ts";
import { createNoteWriter, type Slice } from "../../../supabase/functions/daily-summary/notes.ts";
import type { PersonDay } from "../../../supabase/functions/_shared/contracts/daily_summary.ts";
import type { RunRow } from "../../../supabase/functions/daily-summary/store.ts";

const TEXT = "my card number is secret";

function slice(workspaceId: string): Slice {
  const day: PersonDay = {
    person_id: crypto.randomUUID(),
    message_count: 1,
    digest: "d",
    inbound_count: 1,
    outbound_count: 0,
    first_inbound_at: null,
    first_answer_seconds: null,
    unanswered_count: 1,
    has_open_question: false,
    messages: [{ from: "customer", at: "09:00", type: "text", text: TEXT }],
  };
  return {
    workspaceId,
    localDate: "2026-02-03",
    leaseToken: crypto.randomUUID(),
    coveredUntil: "2026-02-04T00:00:00.000Z",
    language: "en",
    allowExternalAi: true,
    tokensUsed: 0,
    messagesSent: 0,
    personIds: [day.person_id],
    keptIds: [],
    days: [day],
  };
}

/** Posts as the schedule does, with a store that has the given slices. */
async function post(
  slices: Slice[],
  write: (slice: Slice) => boolean = () => true,
  { stepMs = 0 } = {},
) {
  const written: string[] = [];
  const logged: string[] = [];
  let now = 0;
  const handler = createHandler({
    readCaller: () => Promise.resolve({ kind: "service" }),
    store: {
      claim: () => {
        now += stepMs;
        return Promise.resolve(slices.shift());
      },
      write: (given) => {
        const isWritten = write(given);
        if (isWritten) written.push(given.workspaceId);
        return Promise.resolve(isWritten);
      },
      run: (workspaceId) =>
        Promise.resolve(
          {
            workspace_id: workspaceId,
            covered_until: "2026-02-04",
            started_at: "2026-02-04",
            finished_at: null,
          } as RunRow,
        ),
    },
    createWriter: () => createNoteWriter(undefined, () => "mark"),
    waitUntil: () => {},
    budgetMs: 1000,
    log: (level, event, fields) => logged.push(JSON.stringify({ level, event, ...fields })),
    monotonic: () => now,
  });
  const response = await handler(
    new Request("http://localhost/daily-summary", { method: "POST", body: "{}" }),
  );
  return { status: response.status, body: await response.json(), written, logged };
}

Deno.test("a slice that cannot be written does not block other businesses", async () => {
  const { status, body, written, logged } = await post(
    [slice("a"), slice("b"), slice("c")],
    (given) => {
      if (given.workspaceId === "b") throw new AppError(500, "internal_error", "no");
      return true;
    },
  );
  assertEquals([status, body.has_more, written], [200, false, ["a", "c"]]);
  assertEquals(logged.filter((line) => line.includes("slice_failed")).length, 1);
});

Deno.test("a database that is not available is reported", async () => {
  const { status, body } = await post([slice("a")], () => {
    throw new AppError(503, "database_unavailable", "later", { retryAfterSeconds: 5 });
  });
  assertEquals([status, body.code], [503, "database_unavailable"]);
});

Deno.test("when the budget is used up the rest is left for the next call", async () => {
  const many = Array.from({ length: 10 }, (_, index) => slice(String(index)));
  const { body, written } = await post(many, undefined, { stepMs: 400 });
  assertEquals([body.has_more, written.length, many.length], [true, 3, 7]);
});

Deno.test("no message text is logged", async () => {
  const { logged } = await post([slice("a")]);
  assertEquals(logged.length > 1, true);
  assertEquals(logged.filter((line) => line.includes("secret")), []);
});
