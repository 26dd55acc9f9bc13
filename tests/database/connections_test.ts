/**
 * Connections and their secrets: created, rotated, checked.
 *
 * @module
 */

import { assert, assertEquals, assertMatch, assertNotEquals } from "@std/assert";
import { createHash } from "node:crypto";
import { type Sql, sqlStateOf, useDatabase } from "../support/database.ts";
import { createWorkspace, unique, type Workspace } from "../support/people.ts";

const database = useDatabase();

interface Made {
  id: string;
  api_secret: string;
}

interface Verdict {
  id: string;
  workspace_id: string;
  is_valid: boolean;
  is_active: boolean;
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

Deno.test("names and numbers of connections are unique over all workspaces", async () => {
  const [workspace, other] = [
    await createWorkspace(database.sql),
    await createWorkspace(database.sql),
  ];
  const made = await create(workspace);
  assertEquals(await sqlStateOf(create(other, { name: made.connection_id })), "PT409");

  const phoneNumberId = String(crypto.getRandomValues(new BigUint64Array(1))[0]);
  const createNumber = async (place: Workspace) =>
    (await database.as({ userId: place.owner }, (sql) =>
      sql`
        select id from public.create_connection(
          workspace_id => ${place.id}, platform => 'whatsapp', connection_id => ${unique("c_")},
          phone_number_id => ${phoneNumberId}
        )`)).count;
  assertEquals(await createNumber(workspace), 1);
  assertEquals(await sqlStateOf(createNumber(other)), "PT409");
});

Deno.test("names, platforms and numbers that cannot be are refused", async () => {
  const workspace = await createWorkspace(database.sql);
  for (const name of ["", " ", "with space", "ümlaut", "-first", "x".repeat(129), "new\nline"]) {
    assertEquals(await sqlStateOf(create(workspace, { name })), "23514", JSON.stringify(name));
  }
  assertEquals(await sqlStateOf(create(workspace, { platform: "email" })), "23514");
  assertEquals((await create(workspace, { name: `${unique("w")}_1.x-y` })).api_secret.length, 36);
});
