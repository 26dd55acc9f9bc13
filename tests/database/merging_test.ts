/**
 * Making one person of two, and two of one again: exactly, also when something came in between.
 *
 * @module
 */

import { assertEquals } from "@std/assert";
import { sqlStateOf, useDatabase } from "../support/database.ts";
import { conversation, ingestOne, message } from "../support/messages.ts";
import {
  addIdentity,
  addPerson,
  type Connection,
  createConnection,
  createWorkspace,
  unique,
  uniqueNumber,
  type Workspace,
} from "../support/people.ts";

const database = useDatabase({ own: true });

/** Two people with everything a person can have. */
interface Pair {
  workspace: Workspace;
  connection: Connection;
  kept: { id: string; phone: string };
  merged: { id: string; phone: string };
}

async function createPair(): Promise<Pair> {
  const { sql, service } = database;
  const workspace = await createWorkspace(sql, { defaultCountry: "ID" });
  const connection = await createConnection(sql, workspace);
  const fill = async (name: string) => {
    const phone = uniqueNumber();
    const id = await addPerson(sql, workspace, { phone, name });
    await addIdentity(sql, workspace, id, "telegram", unique("u"));
    await ingestOne(
      service,
      connection,
      conversation({ participant_identifier: phone, messages: [message()] }),
    );
    await sql`
      insert into public.person_notes (workspace_id, person_id, content, created_by)
      values (${workspace.id}, ${id}, ${`About ${name}`}, ${workspace.agent})`;
    await sql`
      insert into public.person_notes (workspace_id, person_id, kind, local_date, content)
      values (${workspace.id}, ${id}, 'daily_summary', '2026-01-01', ${`The day of ${name}`})`;
    await sql`
      insert into public.agent_sessions (session_id, workspace_id, participant_key, person_id)
      values (${unique("bot_1_1_")}, ${workspace.id}, ${phone.slice(1)}, ${id})`;
    return { id, phone };
  };
  return { workspace, connection, kept: await fill("Kept"), merged: await fill("Merged") };
}

function merge({ workspace, kept, merged }: Pair): Promise<string> {
  return database.as({ userId: workspace.agent }, async (sql) => {
    const [made] = await sql<{ id: string }[]>`
      select id from public.merge_people(${kept.id}, ${merged.id})`;
    return made!.id;
  });
}

function undo({ workspace }: Pair, id: string): Promise<unknown> {
  return database.as({ userId: workspace.agent }, (sql) =>
    sql`
      select from public.undo_merge(${id})`.then(() => undefined));
}

/** Everything that belongs to the people of a workspace. */
async function everything({ workspace }: Pair) {
  const [row] = await database.sql`
    select
      (
        select jsonb_agg(to_jsonb(person) - 'updated_at' order by person.id)
        from public.people as person where person.workspace_id = ${workspace.id}
      ) as people,
      (
        select jsonb_agg(jsonb_build_array(identity.id, identity.person_id, identity.identifier) order by identity.id)
        from public.person_identities as identity where identity.workspace_id = ${workspace.id}
      ) as identities,
      (
        select jsonb_agg(jsonb_build_array(conversation.id, conversation.person_id) order by conversation.id)
        from public.conversations as conversation where conversation.workspace_id = ${workspace.id}
      ) as conversations,
      (
        select jsonb_agg(jsonb_build_array(session.id, session.person_id) order by session.id)
        from public.agent_sessions as session where session.workspace_id = ${workspace.id}
      ) as sessions,
      (
        select jsonb_agg(to_jsonb(note) - 'updated_at' order by note.id)
        from public.person_notes as note where note.workspace_id = ${workspace.id}
      ) as notes`;
  return row!;
}

Deno.test("everything of the one goes to the other, and back exactly", async () => {
  const { sql } = database;
  const pair = await createPair();
  const before = await everything(pair);
  const id = await merge(pair);
  const people = await sql`select id from public.people where workspace_id = ${pair.workspace.id}`;
  assertEquals([...people], [{ id: pair.kept.id }]);
  const [counts] = await sql`
    select
      (select count(*)::integer from public.conversations where person_id = ${pair.kept.id}) as conversations,
      (
        select count(*)::integer from public.person_notes
        where person_id = ${pair.kept.id} and kind = 'note'
      ) as notes,
      (
        select count(*)::integer from public.person_identities
        where person_id = ${pair.kept.id} and platform = 'telegram'
      ) as identities,
      (
        select count(*)::integer from public.agent_sessions where person_id = ${pair.kept.id}
      ) as sessions`;
  assertEquals({ ...counts }, { conversations: 2, notes: 2, identities: 2, sessions: 2 });
  await undo(pair, id);
  assertEquals(await everything(pair), before);
});

Deno.test("who writes from the number that was merged is the kept person; after the undoing no more", async () => {
  const { sql, service } = database;
  const pair = await createPair();
  const id = await merge(pair);
  // A thread that begins in between, on another platform of the same number.
  const signal = await createConnection(sql, pair.workspace, { platform: "signal" });
  const between = await ingestOne(
    service,
    signal,
    conversation({ participant_identifier: pair.merged.phone, messages: [message()] }),
  );
  const personOf = async (conversationId: string) =>
    (await sql`select person_id from public.conversations where id = ${conversationId}`)[0]!
      .person_id;
  assertEquals(await personOf(between), pair.kept.id);
  // What was changed by hand in between stays.
  await sql`update public.people set name = 'Renamed' where id = ${pair.kept.id}`;
  await sql`
    insert into public.person_notes (workspace_id, person_id, content)
    values (${pair.workspace.id}, ${pair.kept.id}, 'Written in between')`;
  await undo(pair, id);
  assertEquals(await personOf(between), pair.merged.id);
  const people = await sql`
    select name, phone from public.people where workspace_id = ${pair.workspace.id} order by name`;
  assertEquals([...people], [
    { name: "Merged", phone: pair.merged.phone },
    { name: "Renamed", phone: pair.kept.phone },
  ]);
  const notes = await sql`
    select content from public.person_notes
    where person_id = ${pair.kept.id} and kind = 'note' order by content`;
  assertEquals(notes.map(({ content }) => content), ["About Kept", "Written in between"]);
});

Deno.test("the kept person gets what they lack, and loses it again", async () => {
  const { sql } = database;
  const pair = await createPair();
  await sql`update public.people set phone = null, name = null where id = ${pair.kept.id}`;
  await sql`update public.people set email = 'm@example.com' where id = ${pair.merged.id}`;
  const before = await everything(pair);
  const id = await merge(pair);
  const [kept] = await sql`select name, phone, email from public.people where id = ${pair.kept.id}`;
  assertEquals({ ...kept }, { name: "Merged", phone: pair.merged.phone, email: "m@example.com" });
  await undo(pair, id);
  assertEquals(await everything(pair), before);
});

Deno.test("merges of merges are undone from the last", async () => {
  const { sql } = database;
  const pair = await createPair();
  const before = await everything(pair);
  const first = await merge(pair);
  const third = await addPerson(sql, pair.workspace, { name: "Third" });
  const second = await merge({ ...pair, kept: { id: third, phone: "" }, merged: pair.kept });
  assertEquals(await sqlStateOf(undo(pair, first)), "PT409");
  await undo(pair, second);
  await undo(pair, first);
  await sql`delete from public.people where id = ${third}`;
  assertEquals(await everything(pair), before);
  assertEquals(await sqlStateOf(undo(pair, first)), "PT409");
});

Deno.test("merges and undoings at the same time: each is done once, and none waits for ever", async () => {
  const { sql } = database;
  const pair = await createPair();
  const back = { ...pair, kept: pair.merged, merged: pair.kept };
  const outcomes = await Promise.all(
    [pair, back, pair, back, pair].map((each) => sqlStateOf(merge(each))),
  );
  assertEquals(outcomes.filter((state) => state === null).length, 1);
  assertEquals(new Set(outcomes), new Set([null, "PT404"]));
  const [made] = await sql<{ id: string }[]>`
    select id from public.person_merges where workspace_id = ${pair.workspace.id}`;
  const undone = await Promise.all([1, 2, 3].map(() => sqlStateOf(undo(pair, made!.id))));
  assertEquals(undone.toSorted(), ["PT409", "PT409", null].toSorted());
  const people = await sql`select from public.people where workspace_id = ${pair.workspace.id}`;
  assertEquals(people.length, 2);
});

Deno.test("merging while messages come in loses none and links all", async () => {
  const { sql, service } = database;
  const pair = await createPair();
  const [thread] = await sql<{ external_conversation_id: string }[]>`
    select external_conversation_id from public.conversations where person_id = ${pair.merged.id}`;
  const send = (index: number) =>
    ingestOne(
      service,
      pair.connection,
      conversation({
        ...thread,
        participant_identifier: pair.merged.phone,
        messages: [message({ id: `${pair.merged.id} ${index}` })],
      }),
    );
  const sending = Promise.all(Array.from({ length: 40 }, (_, index) => send(index)));
  for (let round = 0; round < 3; round++) await undo(pair, await merge(pair));
  const id = await merge(pair);
  await sending;
  const rows = await sql`
    select person_id, message_count from public.conversations
    where workspace_id = ${pair.workspace.id} order by message_count`;
  assertEquals(rows.map((row) => [row.person_id, row.message_count]), [
    [pair.kept.id, 1],
    [pair.kept.id, 41],
  ]);
  await undo(pair, id);
});

Deno.test("a number that another person has by now is reported as taken", async () => {
  const { sql } = database;
  const pair = await createPair();
  const id = await merge(pair);
  await addPerson(sql, pair.workspace, { phone: pair.merged.phone, name: "Someone else" });
  const { code } = await database.attempt(
    { userId: pair.workspace.agent },
    async (member) => await member`select from public.undo_merge(${id})`,
  );
  assertEquals(code, "PT409");
});
