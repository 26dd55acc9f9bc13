/**
 * Connections and their secrets: created, rotated, checked.
 *
 * @module
 */

import { assert, assertEquals, assertMatch, assertNotEquals } from "@std/assert";
import { createHash } from "node:crypto";
import { type Sql, sqlStateOf, useDatabase } from "../support/database.ts";
import { createWorkspace, unique, uniqueNumber, type Workspace } from "../support/people.ts";

const database = useDatabase({ own: true });

interface Made {
  id: string;
  api_secret: string;
}

interface Verdict {
  id: string;
  workspace_id: string;
  is_valid: boolean;
  is_active: boolean;
  is_limited: boolean;
}

function sha256(text: string): string {
  return createHash("sha256").update(text).digest("hex");
}

/** Creates a connection as a member would. */
async function create(
  workspace: Workspace,
  { name = unique("c_"), platform = "whatsapp", userId = workspace.owner } = {},
): Promise<Made & { connection_id: string }> {
  return await database.as({ userId }, async (sql) => {
    const [made] = await sql<Made[]>`
      select id, api_secret
      from public.create_connection(${workspace.id}, ${platform}, ${name})`;
    return { ...made!, connection_id: name };
  });
}

async function rotate(workspace: Workspace, id: string, graceHours?: number) {
  return await database.as({ userId: workspace.owner }, async (sql) => {
    const [row] = graceHours === undefined
      ? await sql<{ api_secret: string; previous_expires_at: Date }[]>`
        select * from public.rotate_connection_secret(${id})`
      : await sql<{ api_secret: string; previous_expires_at: Date }[]>`
        select * from public.rotate_connection_secret(${id}, ${graceHours})`;
    return row!;
  });
}

async function verify(
  connectionId: string,
  secret: string,
  platform: string | null = null,
): Promise<Verdict | undefined> {
  const [row] = await database.service<Verdict[]>`
    select * from public.verify_connection_secret(${connectionId}, ${sha256(secret)}, ${platform})`;
  return row;
}

Deno.test("create_connection returns a secret once, and stores its hash alone", async () => {
  const { sql } = database;
  const workspace = await createWorkspace(sql);
  const made = await create(workspace);
  assertMatch(made.api_secret, /^msg_[0-9a-f]{32}$/);

  const [stored] = await sql`
    select encode(secret_sha256, 'hex') as hash, previous_secret_sha256 as previous
    from private.connection_secrets where connection_id = ${made.id}`;
  assertEquals(stored, { hash: sha256(made.api_secret), previous: null });
  const rows = await sql<{ row: string }[]>`
    select connection::text || secret::text as row
    from public.connections as connection
    join private.connection_secrets as secret on secret.connection_id = connection.id
    where connection.id = ${made.id}`;
  assert(!rows[0]!.row.includes(made.api_secret.slice(4)));

  const [connection] = await sql`
    select user_id, platform, name, is_active from public.connections where id = ${made.id}`;
  assertEquals(connection, {
    user_id: workspace.owner,
    platform: "whatsapp",
    name: made.connection_id,
    is_active: true,
  });
  assertNotEquals((await create(workspace)).api_secret, made.api_secret);
});

Deno.test("verify_connection_secret accepts the secret of the named connection alone", async (t) => {
  const workspace = await createWorkspace(database.sql);
  const [one, two] = [await create(workspace), await create(workspace, { platform: "signal" })];
  await t.step("its own", async () => {
    assertEquals(await verify(one.connection_id, one.api_secret), {
      id: one.id,
      workspace_id: workspace.id,
      is_valid: true,
      is_active: true,
      is_limited: false,
    });
  });
  await t.step("another's, and none", async () => {
    for (const secret of [two.api_secret, "", one.api_secret.toUpperCase(), `${one.api_secret} `]) {
      assertEquals((await verify(one.connection_id, secret))?.is_valid, false, secret);
    }
  });
  await t.step("on its platform", async () => {
    assertEquals((await verify(one.connection_id, one.api_secret, "whatsapp"))?.is_valid, true);
    assertEquals(await verify(one.connection_id, one.api_secret, "signal"), undefined);
  });
  await t.step("an unknown connection, and one in other letters", async () => {
    assertEquals(await verify(unique("c_"), one.api_secret), undefined);
    assertEquals(await verify(one.connection_id.toUpperCase(), one.api_secret), undefined);
  });
  await t.step("a connection without secret", async () => {
    await database.sql`
      delete from private.connection_secrets where connection_id = ${two.id}`;
    assertEquals((await verify(two.connection_id, two.api_secret))?.is_valid, false);
  });
  await t.step("an inactive one is valid, and says so", async () => {
    await database.as({ userId: workspace.owner }, async (sql) => {
      await sql`update public.connections set is_active = false where id = ${one.id}`;
    });
    const verdict = await verify(one.connection_id, one.api_secret);
    assertEquals([verdict?.is_valid, verdict?.is_active], [true, false]);
  });
});

Deno.test("after a rotation both secrets work until the grace period is over", async (t) => {
  const { sql } = database;
  const workspace = await createWorkspace(sql);
  const made = await create(workspace);
  const isValid = async (secret: string) => (await verify(made.connection_id, secret))?.is_valid;

  const second = await rotate(workspace, made.id);
  await t.step("by default for a day", async () => {
    const hours = (second.previous_expires_at.getTime() - Date.now()) / 3_600_000;
    assert(hours > 23.9 && hours < 24.1, `${hours} hours`);
    assertEquals([await isValid(made.api_secret), await isValid(second.api_secret)], [true, true]);
  });
  await t.step("the old one ends when it is over", async () => {
    await database.service`
      update private.connection_secrets set previous_expires_at = now()
      where connection_id = ${made.id}`;
    assertEquals([await isValid(made.api_secret), await isValid(second.api_secret)], [false, true]);
  });
  const third = await rotate(workspace, made.id, 1.5);
  await t.step("a second rotation keeps one old secret, not two", async () => {
    assertEquals([
      await isValid(made.api_secret),
      await isValid(second.api_secret),
      await isValid(third.api_secret),
    ], [false, true, true]);
  });
  const fourth = await rotate(workspace, made.id, 0);
  await t.step("no grace: the old one ends at once", async () => {
    assertEquals([await isValid(third.api_secret), await isValid(fourth.api_secret)], [
      false,
      true,
    ]);
  });
  await t.step("a grace that is out of range is refused", async () => {
    for (const hours of [-1, 721, null]) {
      assertEquals(await sqlStateOf(rotate(workspace, made.id, hours as number)), "22023");
    }
  });
});

Deno.test("a connection without secret gets its first by rotation", async () => {
  const workspace = await createWorkspace(database.sql);
  const made = await create(workspace);
  await database.sql`delete from private.connection_secrets where connection_id = ${made.id}`;
  const { api_secret: secret } = await rotate(workspace, made.id);
  assertEquals((await verify(made.connection_id, secret))?.is_valid, true);
});

Deno.test("owners and admins create and rotate, others may not", async () => {
  const workspace = await createWorkspace(database.sql);
  const other = await createWorkspace(database.sql);
  const made = await create(workspace);
  const outcomes: Record<string, (string | null)[]> = {};
  for (
    const [name, userId] of [
      ["owner", workspace.owner],
      ["admin", workspace.admin],
      ["agent", workspace.agent],
      ["viewer", workspace.viewer],
      ["stranger", other.owner],
    ] as const
  ) {
    const attempt = async (work: (sql: Sql) => Promise<unknown>) =>
      (await database.attempt({ userId }, work)).code ?? null;
    outcomes[name] = [
      await attempt((sql) =>
        sql`select public.create_connection(${workspace.id}, 'whatsapp', ${unique("c_")})`
      ),
      await attempt((sql) => sql`select public.rotate_connection_secret(${made.id})`),
      await attempt((sql) =>
        sql`select private.create_connection(${workspace.id}, 'signal', ${unique("c_")}, '', null)`
      ),
      await attempt((sql) => sql`select private.rotate_connection_secret(${made.id}, 1)`),
    ];
  }
  const all = (outcome: string | null) => Array(4).fill(outcome);
  assertEquals(outcomes, {
    owner: all(null),
    admin: all(null),
    agent: all("PT403"),
    viewer: all("PT403"),
    stranger: all("PT404"),
  });
  const nowhere = await database.attempt(
    { userId: workspace.owner },
    (sql) => sql`select public.create_connection(null, 'whatsapp', ${unique("c_")})`,
  );
  assertEquals(nowhere.code, "PT404");
  const unknown = await database.attempt(
    { userId: workspace.owner },
    (sql) => sql`select public.rotate_connection_secret(${crypto.randomUUID()})`,
  );
  assertEquals(unknown.code, "PT404");
});

Deno.test("names of connections are unique over all workspaces", async () => {
  const [workspace, other] = [
    await createWorkspace(database.sql),
    await createWorkspace(database.sql),
  ];
  const made = await create(workspace);
  assertEquals(await sqlStateOf(create(other, { name: made.connection_id })), "PT409");
});

/** Creates a connection that requests a number, as a member would. */
async function request(workspace: Workspace, phoneNumberId: string): Promise<string> {
  return await database.as({ userId: workspace.owner }, async (sql) => {
    const [made] = await sql<{ id: string }[]>`
      select id from public.create_connection(
        workspace_id => ${workspace.id}, platform => 'whatsapp', connection_id => ${unique("c_")},
        phone_number_id => ${phoneNumberId}
      )`;
    return made!.id;
  });
}

const change = (workspace: Workspace, id: string, phoneNumberId: string | null) =>
  database.as({ userId: workspace.owner }, (sql) =>
    sql`
      select from public.update_connection(${id}, ${
      sql.json({ phone_number_id: phoneNumberId })
    })`);

async function claim(id: string, phoneNumberId: string, lapsed: string | null = null) {
  const [row] = await database.service`
    select outcome, holder_id from public.claim_phone_number(${id}, ${phoneNumberId}, ${lapsed})`;
  return [row!.outcome, row!.holder_id];
}

async function numbersOf(...ids: string[]) {
  const rows = await database.sql`
    select id, phone_number_id, requested_phone_number_id, number_claimed_at is not null as is_claimed
    from public.connections where id = any (${ids})`;
  return ids.map((id) => {
    const row = rows.find((each) => each.id === id)!;
    assertEquals(row.is_claimed, row.phone_number_id !== null);
    return [row.phone_number_id, row.requested_phone_number_id];
  });
}

Deno.test("a number that members name counts for nothing until it is claimed, once", async (t) => {
  const [mine, theirs] = [
    await createWorkspace(database.sql),
    await createWorkspace(database.sql),
  ];
  const [number, another] = [uniqueNumber().slice(1), uniqueNumber().slice(1)];
  const [one, other] = [await request(mine, number), await request(theirs, number)];
  await t.step("both may name it, and neither has it", async () => {
    assertEquals(await numbersOf(one, other), [[null, number], [null, number]]);
    const found = await database.service`select from public.webhook_secrets(${number})`;
    assertEquals(found.length, 0);
  });
  await t.step("members cannot claim it", async () => {
    const attempts = [
      (sql: Sql) => sql`select public.claim_phone_number(${one}, ${number})`,
      (sql: Sql) =>
        sql`update public.connections set phone_number_id = ${number} where id = ${one}`,
      (sql: Sql) => sql`update public.connections set number_claimed_at = now() where id = ${one}`,
    ];
    for (const attempt of attempts) {
      assertEquals((await database.attempt({ userId: mine.owner }, attempt)).code, "42501");
    }
  });
  await t.step("the first proof gets it, the second learns who has it", async () => {
    assertEquals(await claim(other, number), ["claimed", null]);
    assertEquals(await claim(one, number), ["taken", other]);
    assertEquals(await claim(other, number), ["claimed", null]);
    assertEquals(await numbersOf(one, other), [[null, number], [number, null]]);
  });
  await t.step("a proof of a number that is no longer requested changes nothing", async () => {
    assertEquals(await claim(one, another), ["changed", null]);
    assertEquals(await numbersOf(one), [[null, number]]);
  });
  await t.step("a holder that cannot prove it loses it to who can", async () => {
    assertEquals(await claim(one, number, other), ["claimed", null]);
    assertEquals(await numbersOf(one, other), [[number, null], [null, number]]);
  });
  await t.step("another number replaces it once that is proven", async () => {
    await change(mine, one, another);
    assertEquals(await numbersOf(one), [[number, another]]);
    await change(mine, one, number);
    assertEquals(await numbersOf(one), [[number, null]]);
    await change(mine, one, another);
    assertEquals(await claim(one, another), ["claimed", null]);
    assertEquals(await numbersOf(one), [[another, null]]);
    assertEquals(await claim(other, number), ["claimed", null]);
  });
  await t.step("null releases it, and so does deleting the connection", async () => {
    await change(theirs, other, null);
    assertEquals(await numbersOf(other), [[null, null]]);
    await change(mine, one, number);
    assertEquals(await claim(one, number), ["claimed", null]);
    await database.as(
      { userId: mine.owner },
      (sql) => sql`delete from public.connections where id = ${one}`,
    );
    await change(theirs, other, number);
    assertEquals(await claim(other, number), ["claimed", null]);
  });
});

Deno.test("of 8 that claim a number at once, one gets it", async () => {
  const number = uniqueNumber().slice(1);
  const ids = await Promise.all(
    Array.from({ length: 8 }, async () => request(await createWorkspace(database.sql), number)),
  );
  const outcomes = await Promise.all(ids.map((id) => claim(id, number)));
  assertEquals(outcomes.filter(([outcome]) => outcome === "claimed").length, 1);
  const holder = ids[outcomes.findIndex(([outcome]) => outcome === "claimed")];
  const losers = outcomes.filter(([outcome]) => outcome === "taken");
  assertEquals(losers.map(([, holderId]) => holderId), Array(7).fill(holder));
});

Deno.test("find_connection_by_secret finds by the secret alone", async () => {
  const workspace = await createWorkspace(database.sql);
  const made = await create(workspace, { platform: "signal" });
  const find = async (secret: string) => {
    const rows = await database.service`
      select * from public.find_connection_by_secret(${sha256(secret)})`;
    return [...rows];
  };
  const found = {
    id: made.id,
    workspace_id: workspace.id,
    connection_id: made.connection_id,
    platform: "signal",
    is_active: true,
  };
  assertEquals(await find(made.api_secret), [found]);
  assertEquals(await find("wrong"), []);
  const second = await rotate(workspace, made.id);
  assertEquals(await find(made.api_secret), [found]);
  assertEquals(await find(second.api_secret), [found]);
  await database.service`
    update private.connection_secrets set previous_expires_at = now() where connection_id = ${made.id}`;
  assertEquals(await find(made.api_secret), []);
  // By an index, however many secrets there are.
  const plan = await database.sql.begin(async (sql) => {
    await sql`set local enable_seqscan = off`;
    const rows = await sql`
      explain select from private.connection_secrets
      where previous_secret_sha256 = '\\x00' and previous_expires_at > now()`;
    return rows.map((row) => row["QUERY PLAN"]).join("\n");
  });
  assertMatch(plan, /connection_secrets_previous_secret_sha256_idx/);
});

Deno.test("names, platforms and numbers that cannot be are refused", async () => {
  const workspace = await createWorkspace(database.sql);
  for (const name of ["", " ", "with space", "ümlaut", "-first", "x".repeat(129), "new\nline"]) {
    assertEquals(await sqlStateOf(create(workspace, { name })), "23514", JSON.stringify(name));
  }
  assertEquals(await sqlStateOf(create(workspace, { platform: "email" })), "23514");
  assertEquals((await create(workspace, { name: `${unique("w")}_1.x-y` })).api_secret.length, 36);
});
