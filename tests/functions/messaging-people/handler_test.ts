/**
 * messaging-people: the order of the checks, every parameter, and what goes to the database.
 *
 * @module
 */

import { assert, assertEquals } from "@std/assert";

import { AppError } from "../../../supabase/functions/_shared/http/errors.ts";
import { createPeopleStore } from "../../../supabase/functions/messaging-people/store.ts";
import type { PeopleQuery } from "../../../supabase/functions/_shared/contracts/messaging_people.ts";
import {
  answerOf,
  CONNECTION,
  fakeClient,
  peopleHarness,
  peopleRequest,
  PRIVATE,
} from "../../support/handlers.ts";

Deno.test("messaging-people checks requests in a fixed order", async () => {
  // As for messaging-ingest: a request with every fault, mended one by one.
  const headers = new Headers({ "x-api-key": "", "x-connection-id": "" });
  const request = { method: "POST", query: "?limit=many", isActive: false };
  const checks: [status: number, code: string, error: string, mend: () => unknown][] = [
    [405, "method_not_allowed", "Method not allowed: use GET, OPTIONS", () => {
      request.method = "GET";
    }],
    [401, "missing_api_key", "Missing x-api-key header", () => headers.set("x-api-key", "wrong")],
    [400, "missing_connection_id", "Missing x-connection-id header", () => {
      headers.set("x-connection-id", "wa_other");
    }],
    [401, "invalid_connection", "Invalid connection_id or platform", () => {
      headers.set("x-connection-id", CONNECTION.connectionId);
    }],
    [401, "invalid_api_key", "Invalid API key", () => headers.set("x-api-key", PRIVATE.key)],
    [403, "connection_inactive", "Connection is inactive", () => request.isActive = true],
    [400, "invalid_query", "limit must be a whole number from 1 to 500", () => {
      request.query = "?limit=1";
    }],
  ];
  const send = async () => {
    const { isActive, query, method } = request;
    const response = await peopleHarness({ isActive }).send(
      peopleRequest(query, { method, headers }),
    );
    assertEquals(response.headers.get("access-control-allow-origin"), "*");
    return await answerOf(response);
  };
  for (const [status, code, error, mend] of checks) {
    assertEquals(await send(), { status, error, code });
    mend();
  }
  assertEquals(await send(), {
    status: 200,
    success: true,
    total: 0,
    limit: 1,
    offset: 0,
    people: [],
  });
});

Deno.test("messaging-people allows GET and OPTIONS", async () => {
  for (const method of ["POST", "PUT", "PATCH", "DELETE"]) {
    const response = await peopleHarness().send(peopleRequest("", { method }));
    assertEquals([response.status, response.headers.get("allow")], [405, "GET, OPTIONS"]);
  }
  const preflight = await peopleHarness().send(
    new Request("http://localhost/messaging-people", {
      method: "OPTIONS",
      headers: { origin: "https://crm.example.com", "access-control-request-method": "GET" },
    }),
  );
  assertEquals(preflight.status, 204);
  const allowed = preflight.headers.get("access-control-allow-headers")!.split(",");
  assertEquals(allowed, ["content-type", "x-api-key", "x-connection-id"]);
  assertEquals((await peopleHarness().send(peopleRequest("", { method: "HEAD" }))).status, 200);
  assertEquals((await peopleHarness().send(peopleRequest("/7"))).status, 404);
});

Deno.test("messaging-people reads the query", async (t) => {
  const defaults = { limit: 100, offset: 0 };
  const queries: [query: string, read: Partial<PeopleQuery>][] = [
    ["", defaults],
    ["?search=&phone=&updated_since=&limit=&offset=", defaults],
    ["?unknown=1", defaults],
    ["?limit=1&offset=0", { limit: 1, offset: 0 }],
    ["?limit=500&offset=999999999", { limit: 500, offset: 999999999 }],
    ["?limit=007", { ...defaults, limit: 7 }],
    ["?search=Sari%20W", { ...defaults, search: "Sari W" }],
    [`?search=${"x".repeat(200)}`, { ...defaults, search: "x".repeat(200) }],
    ["?phone=%2B62812", { ...defaults, phone: "+62812" }],
    ["?phone=+62812", { ...defaults, phone: " 62812" }],
    ["?updated_since=2026-02-01", { ...defaults, updated_since: "2026-02-01T00:00:00.000Z" }],
    [
      "?updated_since=2026-02-01T10:30:00%2B07:00",
      { ...defaults, updated_since: "2026-02-01T03:30:00.000Z" },
    ],
  ];
  for (const [query, read] of queries) {
    await t.step(query.slice(0, 60) || "empty", async () => {
      const asked: unknown[] = [];
      const { send } = peopleHarness({
        listPeople: (...args) => {
          asked.push(args);
          return Promise.resolve({ total: 0, people: [] });
        },
      });
      assertEquals((await send(peopleRequest(query))).status, 200);
      assertEquals(asked, [[CONNECTION.workspaceId, read]]);
    });
  }
});

Deno.test("messaging-people says what is wrong with the query", async (t) => {
  const faults: [query: string, error: string][] = [
    ...["0", "501", "-1", "1.5", "ten", "1e2", "99999999999999999999"].map((limit) =>
      [`?limit=${limit}`, "limit must be a whole number from 1 to 500"] as [string, string]
    ),
    ...["-1", "x", "1000000000"].map((offset) =>
      [`?offset=${offset}`, "offset must be a whole number from 0 to 999999999"] as [string, string]
    ),
    ["?phone=12", "phone must have at least 3 digits"],
    ["?phone=call-me", "phone must have at least 3 digits"],
    [`?phone=${"1".repeat(65)}`, "phone must be at most 64 characters"],
    [`?search=${"x".repeat(201)}`, "search must be at most 200 characters"],
    ["?search=a%00b", "search must not contain a NUL character"],
    ["?updated_since=soon", "updated_since must be an ISO 8601 time such as 2026-02-01T10:30:00Z"],
    ["?updated_since=2026", "updated_since must be an ISO 8601 time such as 2026-02-01T10:30:00Z"],
  ];
  for (const [query, error] of faults) {
    await t.step(query.slice(0, 60), async () => {
      const response = await peopleHarness().send(peopleRequest(query));
      assertEquals(await answerOf(response), { status: 400, error, code: "invalid_query" });
    });
  }
});

Deno.test("messaging-people hides the causes of failures, and says whether a retry helps", async () => {
  const failures: [Error, number, string | null][] = [
    [new Error(`${PRIVATE.phone} ${PRIVATE.name}`), 500, null],
    [
      new AppError(503, "database_unavailable", "Service unavailable, please try again", {
        retryAfterSeconds: 5,
      }),
      503,
      "5",
    ],
  ];
  for (const [failure, status, retryAfter] of failures) {
    const { send, logged } = peopleHarness({ listPeople: () => Promise.reject(failure) });
    const response = await send(peopleRequest(`?phone=${encodeURIComponent(PRIVATE.phone)}`));
    assertEquals([response.status, response.headers.get("retry-after")], [status, retryAfter]);
    await response.body?.cancel();
    assert(logged.length > 0);
  }
});

Deno.test("createPeopleStore() asks for one workspace and returns what bridges see", async () => {
  const calls: unknown[] = [];
  const row = {
    total: 3,
    id: "a",
    name: "Sari",
    email: null,
    phone_number: "+62 812",
    avatar_url: null,
    updated_at: "2026-02-01T10:30:00.123987+00:00",
  };
  const { list } = createPeopleStore(fakeClient((name, args) => {
    calls.push([name, args]);
    return { data: [row], error: null, status: 200 };
  }));
  assertEquals(await list("w", { limit: 1, offset: 2 }), {
    total: 3,
    people: [{
      id: "a",
      name: "Sari",
      email: null,
      phone: "+62 812",
      avatar_url: null,
      updated_at: "2026-02-01T10:30:00.123Z",
    }],
  });
  const filters = { search: "s", phone: "812", updated_since: "2026-02-01T00:00:00.000Z" };
  await list("w", { limit: 1, offset: 2, ...filters });
  const page = { workspace_id: "w", max_people: 1, skip: 2 };
  assertEquals(calls, [["list_people", page], ["list_people", { ...page, ...filters }]]);

  const past = createPeopleStore(
    fakeClient(() => ({ data: [{ ...row, id: null }], error: null, status: 200 })),
  );
  assertEquals(await past.list("w", { limit: 1, offset: 9 }), { total: 3, people: [] });
});
