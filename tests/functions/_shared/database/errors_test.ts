/**
 * What the functions make of the database's answers.
 *
 * @module
 */

import { assert, assertEquals, assertRejects } from "@std/assert";

import { createConversationStore } from "../../../../supabase/functions/_shared/messages/conversation_store.ts";
import { databaseError } from "../../../../supabase/functions/_shared/database/errors.ts";
import { AppError } from "../../../../supabase/functions/_shared/http/errors.ts";
import { createPeopleStore } from "../../../../supabase/functions/messaging-people/store.ts";
import { fakeClient } from "../../../support/handlers.ts";

Deno.test("databaseError() answers 503 if a retry can help, otherwise 500", async (t) => {
  const failures: [code: string | undefined, httpStatus: number, status: number, what: string][] = [
    ["", 0, 503, "no answer"],
    [undefined, 0, 503, "no answer"],
    ["ECONNREFUSED", 0, 503, "no server listens"],
    ["EPIPE", 0, 503, "a broken connection, whose code looks like an SQLSTATE"],
    [undefined, 502, 503, "a gateway without a code"],
    ["", 504, 503, "a gateway that waited too long"],
    ["XX000", 502, 503, "a gateway, with any code"],
    ["PGRST000", 503, 503, "PostgREST cannot connect"],
    ["PGRST001", 503, 503, "PostgREST lost the database"],
    ["PGRST002", 503, 503, "PostgREST has no schema yet"],
    ["PGRST003", 504, 503, "no connection is free"],
    ["08006", 500, 503, "connection failure"],
    ["40001", 409, 503, "serialization failure"],
    ["40P01", 500, 503, "deadlock"],
    ["53300", 500, 503, "too many connections"],
    ["53100", 500, 503, "disk full"],
    ["55P03", 500, 503, "a lock that was not free in time"],
    ["57014", 500, 503, "statement timeout"],
    ["57P01", 500, 503, "the server shuts down"],
    ["57P03", 500, 503, "the server starts up"],
    ["PGRST202", 404, 500, "there is no such function"],
    ["PGRST301", 401, 500, "the key of the service is wrong"],
    ["22P02", 400, 500, "invalid text"],
    ["22021", 400, 500, "invalid bytes"],
    ["23505", 409, 500, "unique violation"],
    ["42501", 403, 500, "permission denied"],
    ["42883", 404, 500, "undefined function"],
    ["P0002", 400, 500, "unknown connection"],
    ["XX000", 500, 500, "internal error"],
  ];
  for (const [code, httpStatus, status, what] of failures) {
    await t.step(`${code} with HTTP ${httpStatus}, ${what}: ${status}`, () => {
      const message = "secret text of the database";
      const error = databaseError({ ...(code === undefined ? {} : { code }), message }, httpStatus);
      const expected = status === 503
        ? [503, "database_unavailable", "Service unavailable, please try again", 5]
        : [500, "internal_error", "Internal server error", undefined];
      assertEquals([error.status, error.code, error.message, error.retryAfterSeconds], expected);
      const cause = `database call failed: ${code || "no answer"}, HTTP ${httpStatus}`;
      assertEquals((error.cause as Error).message, cause);
    });
  }
});

Deno.test("a statement timeout is the request's fault if it could be smaller, else the database's", async () => {
  const timeout = { data: null, error: { code: "57014", message: "secret" }, status: 500 };
  const connectionLost = { ...timeout, error: { code: "08006", message: "secret" } };
  const conversation = (messages: number) => ({
    external_conversation_id: "a",
    participant_identifier: "a",
    changes: undefined,
    messages: Array.from({ length: messages }, (_, index) => ({
      id: String(index),
      direction: "inbound" as const,
      type: "text" as const,
      content: "Hi",
      media_url: null,
      sent_at: "2026-03-01T00:00:00.000Z",
    })),
  });
  const failure = async (answer: typeof timeout, batch: number[]) => {
    const store = createConversationStore(fakeClient(() => answer));
    const error = await assertRejects(() => store.ingest("c", batch.map(conversation)), AppError);
    assert(!error.message.includes("secret"));
    return [error.status, error.code, error.retryAfterSeconds];
  };
  const tooSlow = [422, "batch_too_slow", undefined];
  const unavailable = [503, "database_unavailable", 5];
  assertEquals(await failure(timeout, [5000]), tooSlow);
  assertEquals(await failure(timeout, Array(100).fill(1)), tooSlow);
  assertEquals(await failure(timeout, [50, 49]), unavailable);
  assertEquals(await failure(connectionLost, [5000]), unavailable);
});

Deno.test("createConversationStore() calls ingest_conversations and shows no text of the database", async () => {
  const calls: unknown[] = [];
  const store = createConversationStore(fakeClient((name, args) => {
    calls.push([name, args]);
    return {
      status: 200,
      error: null,
      data: [
        { id: "a", outcome: "created", messages_added: 2, error: null },
        { id: null, outcome: "error", messages_added: 0, error: '22P05 near "secret"' },
      ],
    };
  }));
  assertEquals(await store.ingest("c", []), [
    { id: "a", outcome: "created", messagesAdded: 2 },
    {
      id: null,
      outcome: "error",
      messagesAdded: 0,
      error: { code: "not_stored", message: "could not be stored (22P05)" },
    },
  ]);
  assertEquals(calls, [["ingest_conversations", { connection_id: "c", conversations: [] }]]);
});

Deno.test("a failed call of the database becomes an AppError", async () => {
  const client = fakeClient(() => ({
    data: null,
    error: { code: "57P01", message: "shutting down" },
    status: 500,
  }));
  for (
    const call of [
      () => createConversationStore(client).ingest("c", []),
      () => createPeopleStore(client).list("w", { limit: 1, offset: 0 }),
    ]
  ) {
    assertEquals((await assertRejects(call, AppError)).code, "database_unavailable");
  }
});
