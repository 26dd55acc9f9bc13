/**
 * messaging-people over HTTP: the people of the connection's own workspace, every parameter, and
 * pages that leave no one out.
 *
 * @module
 */

import { assert, assertEquals } from "@std/assert";

import { useDatabase } from "../../support/database.ts";
import { unique } from "../../support/people.ts";
import {
  call,
  createBridge,
  getPeople,
  type OwnBridge,
  rows,
  signUp,
  type User,
} from "../../support/users.ts";

const PEOPLE = [
  { name: "Sari Wijaya", email: "sari@example.com", phone: "+62 812-3456-7890" },
  { name: "José Álvarez", email: "jose@example.com", phone: "+54 9 11 2345 6789" },
  { name: "Emma Clark", email: null, phone: "07700 900123" },
  { name: "Percent 100%", email: "100_percent@example.com", phone: null },
  { name: null, email: "noname@example.com", phone: "+1 (202) 555-0123" },
];

const database = useDatabase();
let owner: User;
let bridge: OwnBridge;
Deno.test.beforeAll(async () => {
  owner = await signUp(database.info);
  bridge = await createBridge(owner, "telegram");
  await database.sql`
    update public.workspaces set default_country = 'GB' where id = ${owner.workspaceId}`;
  await addPeople(owner, PEOPLE);
});

function addPeople(
  user: User,
  people: readonly { name?: string | null; email?: string | null; phone?: string | null }[],
) {
  const given = people.map((person) => ({ ...person, workspace_id: user.workspaceId }));
  return rows(user.client.from("people").insert(given).select("id, updated_at"));
}

const names = async (query: string, from = bridge): Promise<(string | null)[]> => {
  const { status, body } = await getPeople(database.info, from, query);
  assertEquals(status, 200, JSON.stringify(body));
  return body.people.map((person: { name: string }) => person.name).sort();
};

Deno.test("messaging-people returns the people of the workspace and no others", async () => {
  const { status, body } = await getPeople(database.info, bridge);
  assertEquals(status, 200);
  const { people, ...page } = body;
  assertEquals(page, { success: true, total: 5, limit: 100, offset: 0 });
  for (const person of people) {
    assertEquals(Object.keys(person), ["id", "name", "email", "phone", "avatar_url", "updated_at"]);
    assertEquals(new Date(person.updated_at).toISOString(), person.updated_at);
  }
  const sari = people.find((person: { name: string }) => person.name === "Sari Wijaya");
  assertEquals([sari.email, sari.phone, sari.avatar_url], [
    PEOPLE[0]!.email,
    PEOPLE[0]!.phone,
    null,
  ]);

  const stranger = await signUp(database.info);
  const empty = await getPeople(database.info, await createBridge(stranger));
  assertEquals(empty.body, { success: true, total: 0, limit: 100, offset: 0, people: [] });
});

Deno.test("messaging-people finds by name, e-mail and number", async (t) => {
  const queries: [query: string, found: (string | null)[]][] = [
    ["search=sari", ["Sari Wijaya"]],
    ["search=SARI%20w", ["Sari Wijaya"]],
    ["search=jose", ["José Álvarez"]],
    ["search=%C3%A1lv", ["José Álvarez"]],
    ["search=3456-78", ["Sari Wijaya"]],
    ["search=1234567", ["José Álvarez", "Sari Wijaya"]],
    ["search=62812345", ["Sari Wijaya"]],
    ["search=%25", ["Percent 100%"]],
    ["search=_", ["Percent 100%"]],
    ["search=unknown", []],
    ["phone=%2B6281234567890", ["Sari Wijaya"]],
    ["phone=6281234567890", ["Sari Wijaya"]],
    ["phone=2025550123", [null]],
    ["phone=%2B447700900123", ["Emma Clark"]],
    ["phone=541123456789", ["José Álvarez"]],
    ["phone=9999999999", []],
    ["search=sari&phone=%2B447700900123", []],
    ["search=clark&phone=%2B447700900123", ["Emma Clark"]],
  ];
  for (const [query, found] of queries) {
    await t.step(`${query}: ${found.join(", ") || "no one"}`, async () => {
      assertEquals(await names(`?${query}`), found);
    });
  }
});

Deno.test("messaging-people pages through all people once, also with equal times", async () => {
  const user = await signUp(database.info);
  const own = await createBridge(user);
  const added = await addPeople(user, Array.from({ length: 230 }, () => ({ name: unique() })));
  assertEquals(new Set(added.map((person) => person.updated_at)).size, 1);
  for (const limit of [500, 100, 50, 7]) {
    const ids: string[] = [];
    while (true) {
      const { body } = await getPeople(database.info, own, `?limit=${limit}&offset=${ids.length}`);
      assertEquals([body.total, body.limit, body.offset], [230, limit, ids.length]);
      if (body.people.length === 0) break;
      ids.push(...body.people.map((person: { id: string }) => person.id));
    }
    assertEquals(ids.sort(), added.map((person) => person.id).sort());
  }
});

Deno.test("updated_since gives those who were changed since, oldest change first", async () => {
  const user = await signUp(database.info);
  const own = await createBridge(user);
  const [first, second] = await addPeople(user, [{ name: "First" }, { name: "Second" }]);
  const newest = async () => (await getPeople(database.info, own)).body.people.at(-1).updated_at;
  const since = await newest();
  assertEquals(await names(`?updated_since=${since}`, own), ["First", "Second"]);
  const year = new Date().getFullYear() + 1;
  assertEquals(await names(`?updated_since=${year}-12-31`, own), []);

  await rows(user.client.from("people").update({ name: "Third" }).eq("id", first!.id).select("id"));
  const { body } = await getPeople(database.info, own);
  assertEquals(body.people.map((person: { id: string }) => person.id), [second!.id, first!.id]);
  assertEquals(await names(`?updated_since=${await newest()}`, own), ["Third"]);

  await database.sql`update public.people set last_activity_at = now() where id = ${second!.id}`;
  assertEquals(await names(`?updated_since=${await newest()}`, own), ["Third"]);
});

Deno.test("messaging-people refuses what messaging-ingest refuses", async (t) => {
  const { info } = database;
  const headers = { "x-api-key": bridge.api_key, "x-connection-id": bridge.connection_id };
  const { "x-api-key": _, ...keyless } = headers;
  const other = await createBridge(owner);
  const requests: [string, RequestInit, number, string | undefined][] = [
    ["", { headers }, 200, undefined],
    ["/", { headers }, 200, undefined],
    ["/7", { headers }, 404, "not_found"],
    ["", { headers, method: "POST" }, 405, "method_not_allowed"],
    ["", { headers: keyless }, 401, "missing_api_key"],
    ["", { headers: { "x-api-key": bridge.api_key } }, 400, "missing_connection_id"],
    ["?limit=501", { headers }, 400, "invalid_query"],
    ["?search=%00", { headers }, 400, "invalid_query"],
    ["?search=%E0%A4%A", { headers }, 200, undefined],
    ["", { headers: { ...headers, "x-connection-id": "unknown" } }, 401, "invalid_connection"],
    ["", { headers: { ...headers, "x-connection-id": "\u00ff" } }, 401, "invalid_connection"],
    [
      "",
      { headers: { ...headers, "x-connection-id": other.connection_id } },
      401,
      "invalid_api_key",
    ],
    ["", { headers: { ...headers, "x-api-key": info.secret_key } }, 401, "invalid_api_key"],
  ];
  for (const [path, init, status, code] of requests) {
    await t.step(`${init.method ?? "GET"} ${path || "/"}: ${status} ${code ?? ""}`, async () => {
      const answer = await call(info, `messaging-people${path}`, init);
      assertEquals([answer.status, answer.body.code], [status, code]);
      assert(answer.headers.get("x-request-id"));
    });
  }
  await t.step("an inactive connection", async () => {
    const turnOff = owner.client.from("connections").update({ is_active: false });
    await rows(turnOff.eq("id", other.id).select("id"));
    const answer = await getPeople(info, other);
    assertEquals([answer.status, answer.body.code], [403, "connection_inactive"]);
  });
});
