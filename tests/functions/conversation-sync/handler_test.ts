/**
 * conversation-sync without a database: what it refuses by itself, what it asks the database, and what is
 * not in the log.
 *
 * @module
 */

import { assert, assertEquals } from "@std/assert";
import type { AgentSessionRow } from "../../../supabase/functions/_shared/database/agent_rows.ts";
import { createHandler } from "../../../supabase/functions/conversation-sync/handler.ts";
import { createSessionStore } from "../../../supabase/functions/conversation-sync/store.ts";
import { answerOf, fakeClient, PRIVATE, type RpcAnswer } from "../../support/handlers.ts";

const KEY = "agt_0123456789abcdef0123456789abcdef";
const ROW: AgentSessionRow = {
  session_id: "bot_6281298765432_1_x",
  user_id: PRIVATE.phone.slice(1),
  bot_id: null,
  sub_domain: "demo",
  local_id: null,
  current_intent: "idle",
  current_step: "initial",
  previous_intent: null,
  previous_step: null,
  context: { customerName: PRIVATE.name },
  metadata: {},
  is_active: true,
  last_activity: "2026-02-01T10:30:00.123987+00:00",
  created_at: "2026-02-01T10:30:00+00:00",
  updated_at: "2026-02-01T10:30:00+00:00",
  expires_at: "2026-02-02T10:30:00.5+00:00",
  current_order_id: null,
  order_history: [],
  version: 3,
};

interface Sent {
  method?: string;
  body?: unknown;
  headers?: Record<string, string>;
  /** What the database answers. */
  rpc?: (name: string, args: Record<string, unknown>) => RpcAnswer;
}

async function send(path: string, { method = "GET", body, headers = {}, rpc }: Sent = {}) {
  const calls: [string, Record<string, unknown>][] = [];
  const logged: string[] = [];
  const handle = createHandler({
    store: createSessionStore(
      fakeClient((name, args) => {
        // read_counter_test.ts is about this one.
        if (name === "count_agent_request") return { data: false, error: null, status: 200 };
        calls.push([name, args]);
        return rpc?.(name, args) ??
          {
            data: name.startsWith("find_") ? ROW : [{ outcome: "ok", data: ROW }],
            error: null,
            status: 200,
          };
      }),
      () => 0,
    ),
    log: (level, event, fields) => logged.push(JSON.stringify({ level, event, ...fields })),
    monotonic: () => 0,
  });
  const response = await handle(
    new Request(`http://localhost/conversation-sync${path}`, {
      method,
      headers: {
        authorization: `Bearer ${KEY}`,
        ...(body === undefined ? {} : { "content-type": "application/json" }),
        ...headers,
      },
      ...(body === undefined ? {} : { body: JSON.stringify(body) }),
    }),
  );
  for (const line of logged) {
    for (const secret of [KEY, ...Object.values(PRIVATE), PRIVATE.phone.slice(1)]) {
      assert(!line.includes(secret), `the log shows ${secret}: ${line}`);
    }
  }
  return { response, calls, logged };
}

/** What the database answers when it refuses. */
function refused(code: string, message: string): RpcAnswer {
  return { data: null, error: { code, message }, status: Number(code.slice(2)) };
}

const SHA256_OF_KEY = new Uint8Array(
  await crypto.subtle.digest("SHA-256", new TextEncoder().encode(KEY)),
).toHex();

Deno.test("conversation-sync passes the hash of the key, and only given arguments", async () => {
  const path = `/api/v1/whatsapp/lookup/conversation/${encodeURIComponent(PRIVATE.phone)}`;
  const { calls, response } = await send(path);
  assertEquals(calls, [["find_agent_session", {
    key_sha256: SHA256_OF_KEY,
    participant_key: PRIVATE.phone.slice(1),
  }]]);
  const { data } = await response.json();
  assertEquals(data.lastActivity, "2026-02-01T10:30:00.123Z");
  assertEquals(data.expiresAt, "2026-02-02T10:30:00.500Z");
  assertEquals((await send(`${path}?botId=b`)).calls[0]![1].bot_id, "b");
  assertEquals(
    (await send("/api/v1/conversations/s/extend", { method: "POST", body: { subDomain: "DEMO" } }))
      .calls,
    [["extend_agent_session", {
      key_sha256: SHA256_OF_KEY,
      session_id: "s",
      sub_domain: "demo",
    }]],
  );
});

Deno.test("conversation-sync takes the key from either header", async () => {
  const path = "/api/v1/conversations/s?subDomain=demo";
  for (
    const headers of [
      { authorization: `bearer  ${KEY}` },
      { authorization: "", "x-api-key": KEY },
      { authorization: "Bearer eyJ.of.another", "x-api-key": ` ${KEY} ` },
    ]
  ) {
    assertEquals((await send(path, { headers })).calls[0]![1].key_sha256, SHA256_OF_KEY);
  }
  for (const authorization of ["", KEY, `Basic ${KEY}`, "Bearer ", "Bearer"]) {
    const { response, calls } = await send(path, { headers: { authorization } });
    assertEquals([response.status, calls], [401, []]);
    assertEquals((await answerOf(response)).code, "missing_agent_key");
  }
});

Deno.test("conversation-sync checks requests in a fixed order", async () => {
  const path = "/api/v1/whatsapp/agent/conversations/s/messages";
  const request = {
    method: "POST",
    headers: { authorization: "", "content-type": "text/plain" } as Record<string, string>,
    body: { role: "unknown", content: "x".repeat(65 * 1024) } as Record<string, unknown>,
  };
  const answer = async (isKnown: boolean) => {
    const { response, calls } = await send(path, {
      ...request,
      rpc: (name) =>
        name === "check_agent_key"
          ? { data: isKnown, error: null, status: 200 }
          : isKnown
          ? refused("PT404", "session_not_found")
          : refused("PT401", "invalid_agent_key"),
    });
    const { message, ...answer } = await answerOf(response);
    assertEquals(typeof message, "string");
    return { answer, calls: calls.map(([name, { key_sha256 }]) => [name, key_sha256]) };
  };
  const missing = { answer: { status: 401, type: "3", code: "missing_agent_key" }, calls: [] };
  assertEquals([await answer(false), await answer(true)], [missing, missing]);
  request.headers.authorization = `Bearer ${KEY}`;
  const checks: [status: number, code: string, mend: () => unknown][] = [
    [415, "unsupported_media_type", () => request.headers["content-type"] = "application/json"],
    [400, "invalid_request", () => request.body.role = "user"],
    [413, "message_too_large", () => request.body.content = PRIVATE.text],
    [404, "session_not_found", () => {}],
  ];
  for (const [status, code, mend] of checks) {
    // One call for every fault, and a caller without a key learns nothing else.
    const name = status === 404 ? "add_agent_message" : "check_agent_key";
    const calls = [[name, SHA256_OF_KEY]];
    assertEquals(await answer(true), { answer: { status, type: "3", code }, calls });
    assertEquals(await answer(false), {
      answer: { status: 401, type: "3", code: "invalid_agent_key" },
      calls,
    });
    mend();
  }
});

Deno.test("conversation-sync hides the causes of failures, and says whether a retry helps", async () => {
  const failures: [RpcAnswer, number, string | null][] = [
    [{ data: null, error: { code: "", message: PRIVATE.phone }, status: 0 }, 503, "5"],
    [{ data: null, error: { code: "57P01", message: PRIVATE.name }, status: 503 }, 503, "5"],
    [{ data: null, error: { code: "40P01", message: PRIVATE.text }, status: 500 }, 503, "5"],
    [{ data: null, error: { code: "22P02", message: PRIVATE.text }, status: 400 }, 500, null],
    [refused("PT404", "unheard_of"), 500, null],
  ];
  for (const [answer, status, retryAfter] of failures) {
    const { response, logged } = await send("/api/v1/conversations/s?subDomain=demo", {
      rpc: () => answer,
    });
    assertEquals([response.status, response.headers.get("retry-after")], [status, retryAfter]);
    assertEquals((await answerOf(response)).type, "3");
    assert(logged.some((line) => line.includes('"failure"')));
  }
  const { response } = await send("/health", { rpc: () => failures[0]![0] });
  assertEquals([response.status, (await answerOf(response)).code], [503, "database_unavailable"]);
});

Deno.test("conversation-sync lets browsers send both headers", async () => {
  const { response } = await send("/api/v1/conversations", { method: "OPTIONS" });
  const allowed = response.headers.get("access-control-allow-headers")!.split(",");
  assertEquals(allowed, ["content-type", "authorization", "x-api-key"]);
});
