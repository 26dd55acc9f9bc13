/**
 * messaging-ingest: the order of the checks, every error, limits, and what happens to the rest of a
 * request when a part of it is wrong.
 *
 * @module
 */

import { assert, assertEquals } from "@std/assert";

import { AppError } from "../../../supabase/functions/_shared/http/errors.ts";
import {
  answerOf,
  batch,
  CONNECTION,
  conversation,
  ingestHarness,
  ingestRequest,
  message,
  PRIVATE,
} from "../../support/handlers.ts";

Deno.test("messaging-ingest checks requests in the order of the contract", async () => {
  // A request with every fault there is. Each answer is about one of them; then that one is mended.
  const headers = new Headers({
    "x-api-key": "",
    "content-type": "text/plain",
    "content-encoding": "gzip",
  });
  const request = { method: "PUT", body: "x".repeat(5 * 1024 * 1024 + 1), isActive: false };
  const { conversations } = batch();
  const envelope: Record<string, unknown> = { platform: "signal", connection_id: "" };
  const useEnvelope = () => request.body = JSON.stringify(envelope);
  const checks: [status: number, code: string, error: string, mend: () => unknown][] = [
    [405, "method_not_allowed", "Method not allowed: use POST, OPTIONS", () => {
      request.method = "POST";
    }],
    [401, "missing_api_key", "Missing x-api-key header", () => {
      headers.set("x-api-key", "wrong");
    }],
    [415, "unsupported_media_type", "Content-Type must be application/json", () => {
      headers.set("content-type", "application/json");
    }],
    [
      415,
      "unsupported_content_encoding",
      "Content-Encoding is not supported: send the body uncompressed",
      () => headers.delete("content-encoding"),
    ],
    // Of a stranger no more than a small body is read.
    [401, "invalid_api_key", "Invalid API key", () => headers.set("x-api-key", PRIVATE.key)],
    [
      413,
      "body_too_large",
      "Request body too large: at most 5 MB, split it into several requests",
      () => {
        headers.set("x-api-key", "wrong");
        request.body = '{"platform": ';
      },
    ],
    [400, "invalid_json", "Request body is not valid JSON", useEnvelope],
    [
      400,
      "missing_fields",
      "Missing required fields: platform, connection_id, conversations",
      () => {
        envelope.connection_id = "wa_other";
        useEnvelope();
      },
    ],
    [401, "invalid_connection", "Invalid connection_id or platform", () => {
      envelope.connection_id = CONNECTION.connectionId;
      useEnvelope();
    }],
    [401, "invalid_connection", "Invalid connection_id or platform", () => {
      envelope.platform = CONNECTION.platform;
      useEnvelope();
    }],
    [401, "invalid_api_key", "Invalid API key", () => headers.set("x-api-key", PRIVATE.key)],
    [403, "connection_inactive", "Connection is inactive", () => request.isActive = true],
    [
      400,
      "missing_fields",
      "Missing required fields: platform, connection_id, conversations",
      () => {
        envelope.conversations = {};
        useEnvelope();
      },
    ],
    [400, "invalid_envelope", "conversations must be an array", () => {
      envelope.conversations = conversations;
      useEnvelope();
    }],
  ];
  const send = async () => {
    const { isActive, body, method } = request;
    const { send, stored } = ingestHarness({ isActive });
    const response = await send(ingestRequest(body, { method, headers }));
    assertEquals(response.headers.get("access-control-allow-origin"), "*");
    return { answer: await answerOf(response), stored };
  };
  for (const [status, code, error, mend] of checks) {
    assertEquals(await send(), { answer: { status, error, code }, stored: [] });
    mend();
  }
  const { answer, stored } = await send();
  assertEquals([answer.status, stored.length], [200, 1]);
});

Deno.test("messaging-ingest says what is wrong with the envelope", async (t) => {
  const conversations = [conversation()];
  const envelope = { ...batch(), conversations };
  const missing = "Missing required fields: platform, connection_id, conversations";
  const faults: [unknown, string, string][] = [
    [null, "missing_fields", missing],
    [[], "missing_fields", missing],
    ["text", "missing_fields", missing],
    [7, "missing_fields", missing],
    [{}, "missing_fields", missing],
    [{ ...envelope, platform: undefined }, "missing_fields", missing],
    [{ ...envelope, connection_id: null }, "missing_fields", missing],
    [{ ...envelope, connection_id: "" }, "missing_fields", missing],
    [{ ...envelope, conversations: null }, "missing_fields", missing],
    [
      { ...envelope, platform: "fax" },
      "invalid_envelope",
      "platform must be one of whatsapp, signal, telegram, wechat",
    ],
    [
      { ...envelope, platform: "WhatsApp" },
      "invalid_envelope",
      "platform must be one of whatsapp, signal, telegram, wechat",
    ],
    [{ ...envelope, connection_id: 7 }, "invalid_envelope", "connection_id must be a string"],
    [
      { ...envelope, connection_id: "a\0" },
      "invalid_envelope",
      "connection_id must not contain a NUL character",
    ],
    [
      { ...envelope, connection_id: "a".repeat(129) },
      "invalid_envelope",
      "connection_id must be at most 128 characters",
    ],
    [{ ...envelope, conversations: {} }, "invalid_envelope", "conversations must be an array"],
    [{ ...envelope, conversations: "[]" }, "invalid_envelope", "conversations must be an array"],
    [
      { ...envelope, conversations: Array(501).fill(conversations[0]) },
      "too_many_conversations",
      "Too many conversations: at most 500 in a request, this one has 501",
    ],
    [
      {
        ...envelope,
        conversations: [conversation({ messages: Array(5000).fill(1), changes: [1] })],
      },
      "too_many_messages",
      "Too many messages: at most 5000 in a request, this one has 5001",
    ],
  ];
  for (const [body, code, error] of faults) {
    await t.step(`${error}: ${JSON.stringify(body).slice(0, 60)}`, async () => {
      const { send } = ingestHarness();
      const response = await send(ingestRequest(JSON.stringify(body)));
      assertEquals(await answerOf(response), { status: 400, error, code });
    });
  }
});

Deno.test("messaging-ingest accepts requests at its limits", async (t) => {
  const requests: Record<string, Record<string, unknown>> = {
    "no conversation": { ...batch(), conversations: [] },
    "500 conversations": batch(
      ...Array.from({ length: 500 }, () => conversation({ messages: [] })),
    ),
    "5,000 messages": batch(
      ...Array.from(
        { length: 2 },
        () => conversation({ messages: Array.from({ length: 2500 }, () => message()) }),
      ),
    ),
    "5 MB": { ...batch(), padding: "" },
  };
  const fiveMb = requests["5 MB"]!;
  fiveMb.padding = "x".repeat(5 * 1024 * 1024 - JSON.stringify(fiveMb).length);
  for (const [name, body] of Object.entries(requests)) {
    await t.step(name, async () => {
      const { send } = ingestHarness();
      const answer = await answerOf(await send(ingestRequest(body)));
      const count = (body.conversations as unknown[]).length;
      assertEquals([answer.status, answer.success, answer.processed], [200, true, count]);
    });
  }
});

Deno.test("messaging-ingest counts a body without a declared length", async () => {
  const text = JSON.stringify({ ...batch(), padding: "x".repeat(5 * 1024 * 1024) });
  const { send } = ingestHarness();
  assertEquals((await answerOf(await send(ingestRequest(inChunks(text))))).status, 413);
  assertEquals(
    (await answerOf(await send(ingestRequest(inChunks(JSON.stringify(batch())))))).status,
    200,
  );
});

Deno.test("messaging-ingest reads 64 KB of a stranger's body, and of a declared larger one nothing", async (t) => {
  const chunk = new TextEncoder().encode(" ".repeat(16 * 1024));
  const read = async (apiKey: string, declared?: number) => {
    let bytes = 0;
    const body = new ReadableStream<Uint8Array>({
      pull(controller) {
        if (bytes >= 6 * 1024 * 1024) return controller.close();
        bytes += chunk.length;
        controller.enqueue(chunk);
      },
    }, { highWaterMark: 0 });
    const { send } = ingestHarness();
    const { status, code } = await answerOf(
      await send(ingestRequest(body, {
        headers: {
          "x-api-key": apiKey,
          ...(declared === undefined ? {} : { "content-length": String(declared) }),
        },
      })),
    );
    return { bytes, answer: [status, code] };
  };
  await t.step("undeclared", async () => {
    const { bytes, answer } = await read("wrong");
    assertEquals(answer, [401, "invalid_api_key"]);
    // A few pieces more are on their way.
    assert(bytes <= 64 * 1024 + 4 * chunk.length, `${bytes} bytes were read`);
  });
  await t.step("declared", async () => {
    assertEquals(await read("wrong", 10_000_000), { bytes: 0, answer: [401, "invalid_api_key"] });
    assertEquals(await read(PRIVATE.key, 10_000_000), {
      bytes: 0,
      answer: [413, "body_too_large"],
    });
  });
  await t.step("of a known key more is read", async () => {
    const { bytes, answer } = await read(PRIVATE.key);
    assertEquals(answer, [413, "body_too_large"]);
    assert(bytes > 5 * 1024 * 1024);
  });
});

Deno.test("messaging-ingest says when a key has used up its rate", async () => {
  const { send, stored } = ingestHarness({
    keyFailure: {
      status: 429,
      error: {
        code: "PT429",
        message: "rate_limited",
        details: '{"limit": 60, "window_seconds": 60, "retry_after_seconds": 17}',
      },
    },
  });
  const response = await send(ingestRequest(batch()));
  const { headers } = response;
  assertEquals(
    [headers.get("retry-after"), headers.get("ratelimit-policy"), headers.get("ratelimit")],
    ["17", '"rate_limited";q=60;w=60', '"rate_limited";r=0;t=17'],
  );
  assertEquals(await answerOf(response), {
    status: 429,
    code: "rate_limited",
    error: "Too many requests with this key. Slow down",
  });
  assertEquals(stored, []);
});

Deno.test("messaging-ingest accepts these headers and paths", async (t) => {
  const requests: [string, Parameters<typeof ingestRequest>[1], number][] = [
    ["a charset", { headers: { "content-type": "application/json; charset=utf-8" } }, 200],
    ["capitals", { headers: { "content-type": "Application/JSON" } }, 200],
    ["identity", { headers: { "content-encoding": "identity" } }, 200],
    ["no media type", { headers: { "content-type": "" } }, 415],
    ["JSON of another kind", { headers: { "content-type": "application/json-seq" } }, 415],
    ["brotli", { headers: { "content-encoding": "br" } }, 415],
    ["a slash at the end", { path: "/messaging-ingest/" }, 200],
    ["a query", { path: "/messaging-ingest?a=b" }, 200],
    ["another path", { path: "/messaging-ingest/batch" }, 404],
  ];
  for (const [name, init, status] of requests) {
    await t.step(name, async () => {
      const response = await ingestHarness().send(ingestRequest(batch(), init));
      const answer = await answerOf(response);
      assertEquals(answer.status, status);
      if (status === 404) {
        assertEquals([answer.error, answer.code], ["Path not found", "not_found"]);
      }
    });
  }
});

Deno.test("messaging-ingest allows POST and OPTIONS", async (t) => {
  for (const method of ["GET", "HEAD", "PUT", "PATCH", "DELETE"]) {
    await t.step(method, async () => {
      const response = await ingestHarness().send(
        ingestRequest(method === "GET" || method === "HEAD" ? null : "{}", { method }),
      );
      assertEquals([response.status, response.headers.get("allow")], [405, "POST, OPTIONS"]);
    });
  }
});

Deno.test("messaging-ingest answers a browser that asks first", async () => {
  const response = await ingestHarness().send(
    new Request("http://localhost/messaging-ingest", {
      method: "OPTIONS",
      headers: {
        origin: "https://crm.example.com",
        "access-control-request-method": "POST",
        "access-control-request-headers": "content-type,x-api-key",
      },
    }),
  );
  assertEquals([response.status, await response.text()], [204, ""]);
  assertEquals(response.headers.get("access-control-allow-origin"), "*");
  assert(response.headers.get("access-control-allow-methods")!.split(",").includes("POST"));
  const allowed = response.headers.get("access-control-allow-headers")!.toLowerCase().split(",");
  assertEquals(allowed, ["content-type", "x-api-key", "x-ingest-mode"]);
});

Deno.test("messaging-ingest returns a result for each conversation, in the order of the request", async () => {
  const { send, stored } = ingestHarness({
    ingest: () =>
      Promise.resolve([
        { id: "a", outcome: "updated", messagesAdded: 2 },
        { id: "b", outcome: "no_new_messages", messagesAdded: 0 },
        {
          id: null,
          outcome: "error",
          messagesAdded: 0,
          error: { code: "not_stored", message: "could not be stored (22P05)" },
        },
      ]),
  });
  const response = await send(ingestRequest(batch(
    conversation({ external_conversation_id: "first" }),
    conversation({
      external_conversation_id: "second",
      messages: [message({ id: "m1", type: "fax" })],
    }),
    conversation({ external_conversation_id: "third" }),
    "no object",
    conversation({ external_conversation_id: "fifth" }),
    conversation({ external_conversation_id: "x".repeat(600) }),
  )));
  const bad = { messages_added: 0, code: "invalid_conversation" };
  assertEquals(await answerOf(response), {
    status: 200,
    success: true,
    processed: 6,
    results: [
      { conversation_id: "first", messages_added: 2, status: "updated", id: "a" },
      {
        ...bad,
        conversation_id: "second",
        status: "error: messages[0].type must be one of text, image, audio, video, file, location",
        rejected: [{
          index: 0,
          id: "m1",
          code: "invalid_message",
          message: "type must be one of text, image, audio, video, file, location",
        }],
      },
      { conversation_id: "third", messages_added: 0, status: "no_new_messages", id: "b" },
      { ...bad, conversation_id: "", status: "error: conversation must be an object" },
      {
        conversation_id: "fifth",
        messages_added: 0,
        status: "error: could not be stored (22P05)",
        code: "not_stored",
      },
      {
        ...bad,
        conversation_id: "x".repeat(512),
        status: "error: external_conversation_id must be at most 512 characters",
      },
    ],
  });
  assertEquals(stored.length, 1);
  assertEquals(stored[0]!.connectionId, CONNECTION.id);
  assertEquals(stored[0]!.conversations.map((each) => each.external_conversation_id), [
    "first",
    "third",
    "fifth",
  ]);
});

Deno.test("messaging-ingest does not call the database when nothing can be stored", async () => {
  for (const conversations of [[], [null]]) {
    const { send, stored } = ingestHarness();
    assertEquals((await send(ingestRequest({ ...batch(), conversations }))).status, 200);
    assertEquals(stored, []);
  }
});

Deno.test("messaging-ingest hides the causes of failures, and says whether a retry helps", async (t) => {
  const quotes = new Error(`duplicate key: ${PRIVATE.phone} ${PRIVATE.text} ${PRIVATE.key}`);
  const unavailable = {
    error: "Service unavailable, please try again",
    code: "database_unavailable",
  };
  const failed = { error: "Internal server error", code: "internal_error" };
  const failures: [string, Parameters<typeof ingestHarness>[0], number, object, string | null][] = [
    [
      "the store is unavailable",
      {
        ingest: () =>
          Promise.reject(
            new AppError(503, unavailable.code, unavailable.error, {
              cause: quotes,
              retryAfterSeconds: 5,
            }),
          ),
      },
      503,
      unavailable,
      "5",
    ],
    ["the store fails", { ingest: () => Promise.reject(quotes) }, 500, failed, null],
    [
      "the store throws at once",
      {
        ingest: () => {
          throw quotes;
        },
      },
      500,
      failed,
      null,
    ],
    [
      "something throws that is no error",
      { ingest: () => Promise.reject(new AggregateError([quotes])) },
      500,
      failed,
      null,
    ],
    ["the store forgets a conversation", { ingest: () => Promise.resolve([]) }, 500, failed, null],
    [
      "the key cannot be looked up now",
      { keyFailure: { status: 503, error: { code: "PGRST001", message: PRIVATE.text } } },
      503,
      unavailable,
      "5",
    ],
    [
      "the key cannot be looked up at all",
      { keyFailure: { status: 404, error: { code: "PGRST202", message: PRIVATE.text } } },
      500,
      failed,
      null,
    ],
  ];
  for (const [name, options, status, body, retryAfter] of failures) {
    await t.step(name, async () => {
      const { send, logged } = ingestHarness(options);
      const response = await send(ingestRequest(batch()));
      assertEquals(response.headers.get("retry-after"), retryAfter);
      assertEquals(await answerOf(response), { status, ...body });
      assertEquals(
        logged.map((line) => JSON.parse(line)).map(({ level, event }) => [level, event]),
        [
          ["error", "failure"],
          ["error", "request"],
        ],
      );
    });
  }
});

Deno.test("messaging-ingest survives a wrong key with a conversation that cannot be checked", async () => {
  // 100,000 levels overflow the stack of a recursive check; the rejection of the key came after it,
  // unhandled, and that ends a process.
  const deep = JSON.stringify(
    batch(conversation({ messages: [message({ metadata: { a: "deep" } })] })),
  )
    .replace('"deep"', "[".repeat(100_000) + "]".repeat(100_000));
  const { send, stored } = ingestHarness();
  assertEquals(
    (await send(ingestRequest(deep, { headers: { "x-api-key": "wrong" } }))).status,
    401,
  );
  assertEquals((await send(ingestRequest(deep))).status, 200);
  assertEquals(stored[0]!.conversations[0]!.messages[0]!.metadata, undefined);
});

Deno.test("messaging-ingest gives every request an id, or keeps the one it came with", async (t) => {
  for (
    const [given, isKept] of [["abc-123_=", true], ["with space", false], [
      "a".repeat(256),
      false,
    ]] as const
  ) {
    await t.step(`${given.slice(0, 20)}: ${isKept ? "kept" : "replaced"}`, async () => {
      const { send, logged } = ingestHarness();
      const response = await send(ingestRequest(batch(), { headers: { "x-request-id": given } }));
      const id = response.headers.get("x-request-id")!;
      assertEquals(id === given, isKept);
      assert(logged.every((line) => JSON.parse(line).request_id === id));
    });
  }
});

Deno.test("messaging-ingest logs counts and nothing else", async () => {
  const { send, logged } = ingestHarness();
  await send(ingestRequest(batch(conversation(), null), { headers: { "x-request-id": "one" } }));
  assertEquals(logged.map((line) => JSON.parse(line)), [
    {
      level: "info",
      event: "ingested",
      request_id: "one",
      connection: CONNECTION.id,
      conversations: 2,
      messages_added: 1,
      errors: 1,
      rejected: 0,
    },
    {
      level: "info",
      event: "request",
      function: "messaging-ingest",
      request_id: "one",
      method: "POST",
      status: 200,
      duration_ms: 0,
    },
  ]);
});

function inChunks(text: string): ReadableStream<Uint8Array> {
  const bytes = new TextEncoder().encode(text);
  let sent = 0;
  return new ReadableStream({
    pull(controller) {
      if (sent >= bytes.length) return controller.close();
      controller.enqueue(bytes.subarray(sent, sent += 1_000_000));
    },
  });
}
