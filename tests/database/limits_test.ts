/**
 * Limits of tenants: what counts, who has which value, and that a refusal leaves nothing behind.
 *
 * @module
 */

import { assert, assertEquals, assertRejects } from "@std/assert";
import { createHash } from "node:crypto";
import postgres from "postgres";
import { type Sql, sqlStateOf, useDatabase } from "../support/database.ts";
import { conversation, ingestOne, message } from "../support/messages.ts";
import { createConnection, createWorkspace, unique, type Workspace } from "../support/people.ts";

const database = useDatabase({ own: true });

/** Gives one subject a limit of its own. */
async function limit(name: string, subject: string, value: number | null): Promise<void> {
  await database.sql`
    insert into private.limits (name, subject_id, value) values (${name}, ${subject}, ${value})
    on conflict (name, subject_id) do update set value = excluded.value`;
}

/** What a refused statement says. */
async function refusalOf(work: Promise<unknown>) {
  const error = await assertRejects(() => work, postgres.PostgresError);
  return { state: error.code, code: error.message, detail: error.detail };
}

const use = (sql: Sql, subject: string, amount = 1) =>
  sql`
    select private.use_limit('webhook_bytes_per_day', ${subject}, interval '1 day', 'refused', ${amount})`;

Deno.test("an operator changes a limit for all or for one, and only limits that exist", async () => {
  const rollback = new Error("rolled back on purpose");
  const subject = crypto.randomUUID();
  const valuesOf = async (sql: Sql) => {
    const [row] = await sql<{ one: string | null; others: string | null }[]>`
      select private.limit_of('workspaces_per_user', ${subject}) as one,
        private.limit_of('workspaces_per_user', gen_random_uuid()) as others`;
    return [row!.one, row!.others];
  };
  await assertRejects(() =>
    database.sql.begin(async (sql) => {
      assertEquals(await valuesOf(sql), ["20", "20"]);
      await sql`insert into private.limits (name, value) values ('workspaces_per_user', 3)`;
      assertEquals(await valuesOf(sql), ["3", "3"]);
      await sql`
        insert into private.limits (name, subject_id, value)
        values ('workspaces_per_user', ${subject}, null)`;
      assertEquals(await valuesOf(sql), [null, "3"]);
      const listed = await sql`
        select subject_id, value, default_value from private.current_limits()
        where name = 'workspaces_per_user'`;
      assertEquals([...listed], [
        { subject_id: null, value: "3", default_value: "20" },
        { subject_id: subject, value: null, default_value: "20" },
      ]);
      throw rollback;
    })
  );
  const unknown = database.sql`insert into private.limits (name, value) values ('workspaces', 3)`;
  assertEquals(await sqlStateOf(unknown), "23514");
});

Deno.test("a limit for a span of time refuses what exceeds it, and forgets what was refused", async (t) => {
  const subject = crypto.randomUUID();
  await limit("webhook_bytes_per_day", subject, 100);
  const count = async () => {
    const [row] = await database.sql<{ used: number | null }[]>`
      select sum(used)::integer as used from private.limit_uses where subject_id = ${subject}`;
    return row!.used;
  };
  await t.step("up to the limit", async () => {
    await use(database.sql, subject, 60);
    await use(database.sql, subject, 40);
    assertEquals(await count(), 100);
  });
  await t.step("not more, and it says when", async () => {
    const { state, code, detail } = await refusalOf(use(database.sql, subject));
    assertEquals([state, code], ["PT429", "refused"]);
    const { limit, window_seconds, retry_after_seconds } = JSON.parse(detail!);
    assertEquals([limit, window_seconds], [100, 86400]);
    assert(retry_after_seconds >= 1 && retry_after_seconds <= 86400);
    assertEquals(await count(), 100);
  });
  await t.step("other subjects have their own", async () => {
    await use(database.sql, crypto.randomUUID(), 100);
  });
  await t.step("the next day begins at nothing", async () => {
    await database.sql`
      update private.limit_uses set begins_at = begins_at - interval '1 day'
      where subject_id = ${subject}`;
    await use(database.sql, subject, 100);
  });
  await t.step("a transaction counts once, and not if it fails", async () => {
    const other = crypto.randomUUID();
    await limit("webhook_bytes_per_day", other, 1);
    await database.sql.begin(async (sql) => {
      await use(sql, other);
      await use(sql, other);
    });
    const third = crypto.randomUUID();
    await limit("webhook_bytes_per_day", third, 1);
    await assertRejects(() =>
      database.sql.begin(async (sql) => {
        await use(sql, third);
        throw new Error("fails");
      })
    );
    await use(database.sql, third);
  });
});

Deno.test("of many at the same time, no more pass than the limit and those that run", async () => {
  const subject = crypto.randomUUID();
  await limit("webhook_bytes_per_day", subject, 20);
  const pool = database.connect({ max: 8 });
  try {
    const outcomes = await Promise.allSettled(
      Array.from({ length: 100 }, () => use(pool, subject)),
    );
    const passed = outcomes.filter(({ status }) => status === "fulfilled").length;
    assert(passed >= 20 && passed <= 28, `${passed} passed`);
  } finally {
    await pool.end();
  }
});

Deno.test("a user creates as many workspaces as the limit says, and the operator more", async () => {
  const workspace = await createWorkspace(database.sql);
  const user = workspace.owner;
  await limit("workspaces_per_user", user, 3);
  const create = (sql: Sql) =>
    sql`insert into public.workspaces (slug, name, user_id) values (${
      unique("w")
    }, 'More', ${user})`;
  const asUser = () => database.as({ userId: user }, create);
  const owned = async () => {
    const [row] = await database.sql<{ count: number }[]>`
      select count(*)::integer from public.workspaces where user_id = ${user}`;
    return row!.count;
  };
  await limit("workspaces_per_user", user, await owned() + 2);
  // At the same time, so that each could take the last place.
  const outcomes = await Promise.allSettled(Array.from({ length: 6 }, asUser));
  assertEquals(outcomes.filter(({ status }) => status === "fulfilled").length, 2);
  const { state, code } = await refusalOf(asUser());
  assertEquals([state, code], ["PT422", "too_many_workspaces"]);
  await create(database.sql);
  await limit("workspaces_per_user", user, null);
  await asUser();
});

Deno.test("a workspace has as many connections as the limit says", async () => {
  const [workspace, other] = [
    await createWorkspace(database.sql),
    await createWorkspace(database.sql),
  ];
  const create = ({ id, owner }: Workspace) =>
    database.as(
      { userId: owner },
      (sql) => sql`select public.create_connection(${id}, 'signal', ${unique("c_")})`,
    );
  await limit("connections_per_workspace", workspace.id, 2);
  const outcomes = await Promise.allSettled(Array.from({ length: 6 }, () => create(workspace)));
  assertEquals(outcomes.filter(({ status }) => status === "fulfilled").length, 2);
  const { state, code } = await refusalOf(create(workspace));
  assertEquals([state, code], ["PT422", "too_many_connections"]);
  await create(other);
});

Deno.test("agents: a limit of sessions for a workspace, and of requests for a key", async (t) => {
  const workspace = await createWorkspace(database.sql);
  const key = await database.as({ userId: workspace.owner }, async (sql) => {
    const [made] = await sql<{ id: string; secret: string }[]>`
      select id, secret from public.create_agent_key(${[workspace.id]})`;
    return made!;
  });
  const [{ slug }] = await database.sql<[{ slug: string }]>`
    select slug from public.workspaces where id = ${workspace.id}`;
  const hash = createHash("sha256").update(key.secret).digest("hex");
  const create = (participant: string) =>
    database.service<{ outcome: string; data: { session_id: string } }[]>`
      select * from public.create_agent_session(${hash}, ${participant}, ${slug})`;
  await t.step("new sessions", async () => {
    await limit("agent_sessions_per_day", workspace.id, 2);
    const [first] = await create("1");
    await create("2");
    const { state, code } = await refusalOf(create("3"));
    assertEquals([state, code], ["PT429", "too_many_agent_sessions"]);
    // The ones there are go their way.
    const [again] = await create("1");
    assertEquals([again!.outcome, again!.data.session_id], ["ok", first!.data.session_id]);
    await limit("agent_sessions_per_day", workspace.id, null);
    await create("3");
  });
  await t.step("requests, each counted once although it checks the key twice", async () => {
    const [session] = await create("1");
    await limit("agent_key_requests_per_minute", key.id, 1000);
    const used = async () => {
      const [row] = await database.sql<{ used: number }[]>`
        select coalesce(sum(used), 0)::integer as used from private.limit_uses
        where name = 'agent_key_requests_per_minute' and subject_id = ${key.id}`;
      return row!.used;
    };
    const add = (content: string) =>
      database.service`
        select outcome from public.add_agent_message(
          ${hash}, ${session!.data.session_id}, 'user', ${content}, message_id => ${unique("m_")}
        )`;
    await add("one");
    assertEquals(await used(), 1);
    await limit("agent_key_requests_per_minute", key.id, 0);
    const { state, code } = await refusalOf(add("two"));
    assertEquals([state, code], ["PT429", "rate_limited"]);
    const [{ contents }] = await database.sql<[{ contents: string }]>`
      select messages::text as contents from public.agent_sessions
      where session_id = ${session!.data.session_id}`;
    assert(contents.includes('"one"') && !contents.includes('"two"'), contents);
    // A key that is unknown stays unknown.
    const unknown = "0".repeat(64);
    const stranger = database.service`
      select public.check_agent_key(${unknown}) as is_known, public.count_agent_request(${unknown}) as is_limited`;
    assertEquals([...await stranger], [{ is_known: false, is_limited: false }]);
  });
  await t.step("requests that only read are counted by a call of their own", async () => {
    const count = async () => {
      const [row] = await database.service<{ is_limited: boolean }[]>`
        select public.count_agent_request(${hash}) as is_limited`;
      return row!.is_limited;
    };
    const { state, code } = await refusalOf(count());
    assertEquals([state, code], ["PT429", "rate_limited"]);
    await limit("agent_key_requests_per_minute", key.id, 1_000);
    assertEquals(await count(), true);
    await limit("agent_key_requests_per_minute", key.id, null);
    assertEquals(await count(), false);
  });
});

Deno.test("a check of a connection's secret says whether the request must be counted", async () => {
  const workspace = await createWorkspace(database.sql);
  const name = unique("c_");
  const made = await database.as({ userId: workspace.owner }, async (sql) => {
    const [row] = await sql<{ id: string; api_secret: string }[]>`
      select id, api_secret from public.create_connection(${workspace.id}, 'signal', ${name})`;
    return row!;
  });
  const hash = (secret: string) => createHash("sha256").update(secret).digest("hex");
  await limit("connection_requests_per_minute", made.id, 1_000);
  const used = async () => {
    const [row] = await database.sql<{ used: number }[]>`
      select coalesce(sum(used), 0)::integer as used from private.limit_uses
      where subject_id = ${made.id}`;
    return row!.used;
  };
  const verify = (secret: string) =>
    database.service`select * from public.verify_connection_secret(${name}, ${hash(secret)})`;
  const find = (secret: string) =>
    database.service`select * from public.find_connection_by_secret(${hash(secret)})`;
  const count = () => database.service`select public.count_connection_request(${made.id})`;
  assertEquals((await find("wrong")).length, 0);
  assertEquals((await find(made.api_secret)).length, 1);
  assertEquals((await verify(made.api_secret))[0]!.is_limited, true);
  assertEquals(await used(), 0, "a check counts nothing");
  await count();
  await count();
  assertEquals(await used(), 2);
  await limit("connection_requests_per_minute", made.id, 0);
  const { state, code } = await refusalOf(count());
  assertEquals([state, code], ["PT429", "rate_limited"]);
  await limit("connection_requests_per_minute", made.id, null);
  assertEquals((await verify(made.api_secret))[0]!.is_limited, false);
});

Deno.test("waiting_changes_left counts the changes of a workspace up to the limit", async () => {
  const workspace = await createWorkspace(database.sql);
  const connection = await createConnection(database.sql, workspace);
  const id = await ingestOne(
    database.service,
    connection,
    conversation({
      messages: [message()],
      changes: ["one", "two", "three"].map((message_id) => ({ message_id, status: "read" })),
    }),
  );
  assert(id);
  const left = async () => {
    const [row] = await database.service<{ left: string | null }[]>`
      select private.waiting_changes_left(${workspace.id}) as left`;
    return row!.left;
  };
  assertEquals(await left(), "9997");
  await limit("waiting_changes_per_workspace", workspace.id, 5);
  assertEquals(await left(), "2");
  await limit("waiting_changes_per_workspace", workspace.id, 1);
  assertEquals(await left(), "0");
  await limit("waiting_changes_per_workspace", workspace.id, null);
  assertEquals(await left(), null);
});
