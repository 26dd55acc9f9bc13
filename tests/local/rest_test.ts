/**
 * The REST API of the stack answers as PostgREST on hosted Supabase does. `local/gateway/rest_connection.ts` lists
 * what had to be changed for that.
 *
 * @module
 */

import { assert, assertEquals, assertMatch } from "@std/assert";
import { createClient } from "@supabase/supabase-js";
import { SignJWT } from "jose";
import postgres from "postgres";
import { asRole } from "../../local/postgres/roles.ts";
import { eventually } from "../support/eventually.ts";
import { rest, ScratchProject, text } from "../support/scratch_project.ts";

const FUNCTIONS = `
create table public.entries (
  id integer primary key,
  kind text not null constraint entries_kind check (kind in ('a', 'b')),
  twin integer unique references public.entries,
  secret text
);
alter table public.entries enable row level security;
create policy "All can read" on public.entries for select to anon, authenticated using (true);
create policy "Users can write" on public.entries for insert to authenticated with check (true);

create function public.whoami() returns jsonb language sql stable as $$
  select jsonb_build_object(
    'session_user', session_user, 'current_user', current_user, 'user_id', auth.uid(),
    'superuser', (select rolsuper from pg_roles where rolname = session_user),
    'statement_timeout', current_setting('statement_timeout'), 'lock_timeout', current_setting('lock_timeout'),
    'search_path', current_setting('search_path'), 'read_only', current_setting('transaction_read_only')
  )
$$;
create function public.whoami_volatile() returns jsonb language sql volatile as 'select public.whoami()';
create function public.numbers(up_to integer) returns setof integer language sql stable as
  'select generate_series(1, up_to)';
create function public.number_rows(up_to integer) returns table (number integer) language sql volatile as
  'select generate_series(1, up_to)';
create function public.write_entry(id integer, kind text) returns void language sql volatile
  security definer as 'insert into public.entries (id, kind) values (id, kind)';
create function public.write_entry(id integer) returns void language plpgsql stable as $$
begin
  perform public.write_entry(id, 'a');
end
$$;
create function public.fail(state text, message text default 'failed') returns void language plpgsql as $$
begin
  raise exception using errcode = state, message = message, detail = 'some detail', hint = 'some hint';
end
$$;
create function public.wait(seconds numeric) returns void language sql volatile as 'select pg_sleep(seconds)';
create function public.arguments(
  id uuid, number integer, flag boolean, at timestamptz, word text, rest text default 'default'
)
returns table (id uuid, number integer, flag boolean, at timestamptz, word text, rest text)
language sql stable as 'select $1, $2, $3, $4, $5, $6';
create function public.echo(given jsonb, at timestamptz) returns table (given jsonb, at timestamptz)
  language sql stable as 'select echo.given, echo.at';
`;

/** What PostgREST answers, of its table in Error.hs. */
const STATUSES: Record<string, number> = {
  "08006": 503,
  "0P000": 403,
  "21000": 500,
  "22P02": 400,
  "22023": 400,
  "23502": 400,
  "23503": 409,
  "23505": 409,
  "23514": 400,
  "23P01": 400,
  "25006": 405,
  "28000": 403,
  "2D000": 500,
  "38000": 500,
  "40001": 500,
  "40P01": 500,
  "42883": 404,
  "42P01": 404,
  "42P17": 500,
  "53300": 503,
  "53400": 500,
  "54001": 500,
  "55P03": 500,
  "57014": 500,
  "57P01": 503,
  "58000": 500,
  "P0001": 400,
  "P0002": 500,
  "PT418": 418,
  "XX000": 500,
  "ZZ001": 400,
};

Deno.test("the REST API answers as PostgREST does", async (t) => {
  await using project = await ScratchProject.create();
  await project.write("supabase/migrations/20250102000000_create_entries.sql", FUNCTIONS);
  await using stack = await project.start();
  const asUser = { authorization: `Bearer ${await userToken(project)}` };
  const asService = { apikey: stack.info.secret_key };
  const rpc = (name: string, args: unknown, headers: Record<string, string> = {}) =>
    rest(stack, `rpc/${name}`, { method: "POST", body: JSON.stringify(args), headers });
  const whoami = async (name: string, headers: Record<string, string>) =>
    JSON.parse(await text(await rpc(name, {}, headers)));

  await t.step("it logs in as authenticator, and has the limits of the caller's role", async () => {
    const limits = [
      ["anon", {}, "3s"],
      ["authenticated", asUser, "8s"],
      ["service_role", asService, "8s"],
    ] as const;
    for (const [role, headers, timeout] of limits) {
      const seen = await whoami("whoami", headers);
      assertEquals([seen.session_user, seen.current_user, seen.superuser], [
        "authenticator",
        role,
        false,
      ]);
      assertEquals([seen.statement_timeout, seen.lock_timeout], [timeout, "8s"], role);
      assertEquals(seen.search_path, `"public", "public", "extensions"`);
    }
  });

  await t.step("a statement that takes too long is cancelled: 500 with 57014", async () => {
    const begin = Date.now();
    const response = await rpc("wait", { seconds: 20 });
    assertEquals([response.status, (await response.json()).code], [500, "57014"]);
    assert(Date.now() - begin < 8_000);
  });

  await t.step("functions that are stable run read only, others do not", async () => {
    assertEquals((await whoami("whoami", asService)).read_only, "on");
    assertEquals((await whoami("whoami_volatile", asService)).read_only, "off");
    const refused = await rpc("write_entry", { id: 1 }, asService);
    assertEquals([refused.status, (await refused.json()).code], [405, "25006"]);
    await text(await rpc("write_entry", { id: 1, kind: "a" }, asService), 204);
  });

  await t.step("GET runs a function read only, and refuses one that writes", async () => {
    for (const name of ["whoami", "whoami_volatile"]) {
      const seen = JSON.parse(await text(await rest(stack, `rpc/${name}`, { headers: asService })));
      assertEquals([seen.read_only, seen.current_user], ["on", "service_role"], name);
    }
    for (const query of ["id=9100", "id=9100&kind=a"]) {
      const refused = await rest(stack, `rpc/write_entry?${query}`, { headers: asService });
      assertEquals([refused.status, (await refused.json()).code], [405, "25006"], query);
    }
    const written = await rest(stack, "entries?id=eq.9100", { headers: asService });
    assertEquals(await written.json(), []);
  });

  await t.step("GET takes arguments from the address, and defaults for the others", async () => {
    const given = {
      id: "11111111-1111-4111-8111-111111111111",
      number: 7,
      flag: true,
      at: "2026-02-01T12:30:00.123456+02:00",
      word: "open",
    };
    const client = createClient(stack.info.api_url, stack.info.secret_key);
    const { data } = await client.rpc("arguments", given, { get: true });
    assertEquals(data, [{ ...given, at: "2026-02-01T10:30:00.123456+00:00", rest: "default" }]);
    const { data: posted } = await client.rpc("arguments", given);
    assertEquals(posted, data);
    const { error, status } = await client.rpc("arguments", { id: given.id }, { get: true });
    assertEquals([status, error!.code], [404, "PGRST202"]);
    // PostgREST takes "eq.open" for a filter of the result, so what people write goes by POST.
    const { data: text } = await client.rpc("arguments", { ...given, word: "eq.open" });
    assertEquals(text[0].word, "eq.open");
    const filter = await client.rpc("arguments", { ...given, word: "eq.open" }, { get: true });
    assertEquals([filter.status, filter.error!.code], [404, "PGRST202"]);
    // Not more than max_rows.
    const { data: numbers } = await client.rpc("numbers", { up_to: 1500 }, { get: true });
    assertEquals(numbers.length, 1000);
  });

  await t.step("reading a table is read only", async () => {
    const sql = postgres(stack.info.db_url, { max: 1 });
    await sql.unsafe(`
      create view public.modes as select current_setting('transaction_read_only') as read_only;
      grant select on public.modes to anon`);
    await sql.end();
    await eventually(
      "the view is known",
      async () => (await (await rest(stack, "modes")).text()) === `[{"read_only":"on"}]`,
    );
  });

  await t.step("at most max_rows rows come of tables and functions", async () => {
    const sql = postgres(stack.info.db_url, { max: 1 });
    await sql`insert into public.entries (id, kind) select id, 'a' from generate_series(2, 1500) as id`;
    await sql.end();
    const lengthOf = async (answer: Promise<Response>) =>
      JSON.parse(await text(await answer)).length;
    assertEquals(await lengthOf(rest(stack, "entries")), 1000);
    assertEquals(await lengthOf(rest(stack, "entries?limit=1400")), 1000);
    assertEquals(await lengthOf(rest(stack, "entries?limit=7")), 7);
    assertEquals(await lengthOf(rpc("numbers", { up_to: 1500 })), 1000);
    assertEquals(await lengthOf(rpc("number_rows", { up_to: 1500 }, asService)), 1000);
    assertEquals(await lengthOf(rpc("number_rows?limit=5", { up_to: 1500 })), 5);
  });

  await t.step("errors have the status, code, details and hint of PostgREST", async () => {
    const given: Record<string, unknown> = {};
    for (const state of Object.keys(STATUSES)) {
      const response = await rpc("fail", { state });
      const { code, message, details, hint } = await response.json();
      assertEquals([code, message, details, hint], [state, "failed", "some detail", "some hint"]);
      given[state] = response.status;
    }
    assertEquals(given, STATUSES);
    const noRole = await rpc("fail", { state: "22023", message: 'role "x" does not exist' });
    assertEquals(noRole.status, 401);
    await noRole.body?.cancel();
  });

  await t.step("broken constraints and missing rights have the answers of PostgREST", async () => {
    const insert = (row: unknown, headers: Record<string, string>) =>
      rest(stack, "entries", { method: "POST", body: JSON.stringify(row), headers });
    const cases = [
      [{ id: 9001, kind: "c" }, asUser, 400, "23514"],
      [{ id: 9001 }, asUser, 400, "23502"],
      [{ id: 1, kind: "a" }, asUser, 409, "23505"],
      [{ id: 9001, kind: "a", twin: 12345 }, asUser, 409, "23503"],
      [{ id: 9001, kind: "a" }, {}, 401, "42501"],
    ] as const;
    for (const [row, headers, status, code] of cases) {
      const response = await insert(row, headers);
      const answer = await response.json();
      assertEquals([response.status, answer.code], [status, code]);
    }
    const changed = await rest(stack, "entries?id=eq.1", {
      method: "PATCH",
      body: `{"kind":"c"}`,
      headers: asService,
    });
    assertEquals([changed.status, (await changed.json()).code], [400, "23514"]);
  });

  await t.step("deleting or changing all rows of a table needs a condition", async () => {
    for (const method of ["DELETE", "PATCH"]) {
      const init = {
        method,
        headers: asService,
        ...(method === "PATCH" && { body: `{"kind":"b"}` }),
      };
      const response = await rest(stack, "entries", init);
      assertEquals([response.status, (await response.json()).code], [400, "21000"]);
    }
  });

  await t.step("errors are logged without texts of customers", async () => {
    const row = { id: 9002, kind: "c", secret: "the customer's words" };
    await text(
      await rest(stack, "entries", { method: "POST", body: JSON.stringify(row), headers: asUser }),
      400,
    );
    await eventually(
      "the error is logged",
      () => stack.log().includes("the REST API answers SQLSTATE 23514"),
    );
    assert(!stack.log().includes("customer"));
    await text(await rest(stack, "nothing"), 404);
    await eventually("it is logged", () => stack.log().includes("table 'public.nothing'"));
    assert(!stack.log().includes("    at "), "a stack trace");
  });

  await t.step("a token counts until it expires, and names the user", async () => {
    const { user_id } = await whoami("whoami", asUser);
    assertMatch(user_id, /^[0-9a-f-]{36}$/);
    assertEquals((await whoami("whoami", {})).user_id, null);
    assertEquals((await whoami("whoami", asService)).user_id, null);
    const expired = { authorization: `Bearer ${await userToken(project, "-1h")}` };
    await text(await rpc("whoami", {}, expired), 401);
    const forged = { authorization: asUser.authorization.slice(0, -6) + "AAAAAA" };
    await text(await rpc("whoami", {}, forged), 401);
  });

  await t.step("a token cannot name a role of the database's owner", async () => {
    for (const role of ["postgres", "supabase_admin", "supabase_auth_admin"]) {
      const token = await userToken(project, "1h", role);
      const response = await rpc("whoami", {}, { authorization: `Bearer ${token}` });
      assert([401, 403].includes(response.status), `${role}: ${response.status}`);
      await response.body?.cancel();
    }
  });

  await t.step("JSONB is encoded once, and times are written as PostgREST does", async () => {
    const answer = await rpc("echo", { given: { a: [1] }, at: "2026-02-01T12:30:00+02:00" });
    assertEquals(JSON.parse(await text(answer)), [
      { given: { a: [1] }, at: "2026-02-01T10:30:00+00:00" },
    ]);
  });

  await t.step("a catalogue that could not be read is read again", async () => {
    // The connection limit makes the read fail.
    const admin = postgres(asRole(stack.info.db_url, "supabase_admin"), { max: 1 });
    await admin`alter role postgres connection limit 0`;
    await admin`select pg_terminate_backend(pid) from pg_stat_activity where usename = 'postgres'`;
    await admin`alter role postgres connection limit -1`;
    await admin.end();
    await eventually("requests are answered", async () => {
      const response = await rest(stack, "entries?limit=1");
      await response.body?.cancel();
      return response.status === 200;
    });
  });
});

async function userToken(
  project: ScratchProject,
  until = "1h",
  role = "authenticated",
): Promise<string> {
  const { jwt_secret } = await project.secrets();
  return await new SignJWT({ role })
    .setProtectedHeader({ alg: "HS256", typ: "JWT" })
    .setSubject(crypto.randomUUID())
    .setIssuedAt(Math.floor(Date.now() / 1000) - 7200)
    .setExpirationTime(until)
    .sign(new TextEncoder().encode(jwt_secret));
}
