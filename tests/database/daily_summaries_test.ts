/**
 * Daily summaries in the database: which messages belong to a local day, what is due when, and that
 * slices never meet.
 *
 * @module
 */

import { assert, assertEquals, assertMatch, assertNotEquals } from "@std/assert";
import { type Sql, sqlStateOf, untilBlocked, useDatabase } from "../support/database.ts";
import {
  conversation,
  ingestOne,
  message,
  type TestConversation,
  type TestMessage,
} from "../support/messages.ts";
import {
  addPerson,
  type Connection,
  createConnection,
  createWorkspace,
  uniqueNumber,
  type Workspace,
} from "../support/people.ts";

const database = useDatabase({ own: true });

/** A business in a time zone, with a connection. */
async function createBusiness(timeZone: string) {
  const { sql } = database;
  const workspace = await createWorkspace(sql);
  await sql`update public.workspaces set time_zone = ${timeZone} where id = ${workspace.id}`;
  return { workspace, connection: await createConnection(sql, workspace) };
}

/** A person and what was written with them. */
async function write(
  { workspace, connection }: { workspace: Workspace; connection: Connection },
  messages: TestMessage[],
  overrides: Partial<TestConversation> = {},
): Promise<string> {
  const phone = uniqueNumber();
  const personId = await addPerson(database.sql, workspace, { phone });
  await ingestOne(
    database.service,
    connection,
    conversation({ participant_identifier: phone, messages, ...overrides }),
  );
  return personId;
}

const inbound = (sent_at: string, content = "hello") => message({ sent_at, content });
const outbound = (sent_at: string, content = "hi", extra: Record<string, unknown> = {}) =>
  message({ sent_at, content, direction: "outbound", ...extra });

interface Day {
  message_count: number;
  inbound_count: number;
  outbound_count: number;
  first_inbound_at: string | null;
  first_answer_seconds: number | null;
  unanswered_count: number;
  has_open_question: boolean;
  digest: string;
  messages: { from: string; at: string; type: string; text: string }[];
}

/** What a person's day has, or null. */
async function dayOf(
  workspace: Workspace,
  personId: string,
  date: string,
  timeZone: string,
  coveredUntil = "9999-01-01T00:00:00Z",
): Promise<Day | null> {
  const [row] = await database.service<{ day: Day | null }[]>`
    select private.person_day(
      ${workspace.id}, ${personId}, ${date}, ${timeZone}, ${coveredUntil}, 60
    ) as day`;
  return row!.day;
}

interface Slice {
  workspace_id: string;
  local_date: string;
  lease_token: string;
  person_ids: string[];
  kept_ids: string[];
  days: (Day & { person_id: string })[];
}

async function claim(sql: Sql, workspace: Workspace, options: {
  date?: string;
  people?: number;
} = {}): Promise<Slice | undefined> {
  const [slice] = await sql<Slice[]>`
    select workspace_id, local_date::text, lease_token, person_ids, kept_ids, days
    from public.claim_summary_slice(
      ${options.people ?? 10}, 180, ${workspace.id}, ${options.date ?? null}
    )`;
  return slice;
}

async function writeNotes(sql: Sql, slice: Slice, text = "note"): Promise<boolean> {
  const notes = slice.days.map(({ person_id, message_count, digest }) => ({
    person_id,
    content: text,
    metadata: { message_count, digest },
  }));
  const [row] = await sql<{ written: boolean }[]>`
    select public.write_daily_summaries(
      ${slice.workspace_id}, ${slice.local_date}, ${slice.lease_token}, ${slice.person_ids}, ${slice.kept_ids},
      ${sql.json(notes as never)}, 0, 7, 3
    ) as written`;
  return row!.written;
}

/** Slices until there are none, and how many there were. */
async function runAll(sql: Sql, workspace: Workspace, options: {
  date?: string;
  people?: number;
  text?: string;
} = {}): Promise<number> {
  for (let slices = 0;; slices++) {
    const slice = await claim(sql, workspace, options);
    if (!slice) return slices;
    assert(await writeNotes(sql, slice, options.text));
  }
}

/** Notes of a workspace: day, person and text. */
async function notesOf(workspace: Workspace): Promise<[string, string, string][]> {
  const rows = await database.sql<{ day: string; person_id: string; content: string }[]>`
    select local_date::text as day, person_id, content from public.person_notes
    where workspace_id = ${workspace.id} and kind = 'daily_summary'
    order by local_date, person_id`;
  return rows.map(({ day, person_id, content }) => [day, person_id, content]);
}

/** Begins a day by hand, as the owner. */
async function start(workspace: Workspace, date: string) {
  return await database.as(
    { userId: workspace.owner },
    async (sql) => await sql`select * from public.start_summary_run(${workspace.id}, ${date})`,
  );
}

// Which day ---------------------------------------------------------------------------------------

/** Moments around a change of clocks, each with the local day it belongs to. */
const CALENDAR: [zone: string, moments: [utc: string, day: string][]][] = [
  // No change of clocks, far from UTC on both sides.
  ["Asia/Jakarta", [["2026-03-01T16:59:59Z", "2026-03-01"], [
    "2026-03-01T17:00:00Z",
    "2026-03-02",
  ]]],
  ["Pacific/Kiritimati", [
    ["2026-03-01T09:59:59Z", "2026-03-01"],
    ["2026-03-01T10:00:00Z", "2026-03-02"],
  ]],
  ["Asia/Kathmandu", [["2026-03-01T18:14:59Z", "2026-03-01"], [
    "2026-03-01T18:15:00Z",
    "2026-03-02",
  ]]],
  // Spring and autumn in the small hours: days of 23 and of 25 hours.
  ["Europe/Berlin", [
    ["2026-03-28T22:59:59Z", "2026-03-28"],
    ["2026-03-28T23:00:00Z", "2026-03-29"],
    ["2026-03-29T21:59:59Z", "2026-03-29"],
    ["2026-03-29T22:00:00Z", "2026-03-30"],
    ["2026-10-24T21:59:59Z", "2026-10-24"],
    ["2026-10-24T22:00:00Z", "2026-10-25"],
    ["2026-10-25T22:59:59Z", "2026-10-25"],
    ["2026-10-25T23:00:00Z", "2026-10-26"],
  ]],
  ["America/New_York", [
    ["2026-11-01T03:59:59Z", "2026-10-31"],
    ["2026-11-01T04:00:00Z", "2026-11-01"],
    ["2026-11-02T04:59:59Z", "2026-11-01"],
    ["2026-11-02T05:00:00Z", "2026-11-02"],
  ]],
  // Midnight does not exist: the day begins at one.
  ["Africa/Cairo", [["2026-04-23T21:59:59Z", "2026-04-23"], [
    "2026-04-23T22:00:00Z",
    "2026-04-24",
  ]]],
  // The last hour comes twice, before midnight.
  ["Africa/Cairo", [
    ["2026-10-29T20:30:00Z", "2026-10-29"],
    ["2026-10-29T21:30:00Z", "2026-10-29"],
    ["2026-10-29T21:59:59Z", "2026-10-29"],
    ["2026-10-29T22:00:00Z", "2026-10-30"],
  ]],
  // The first hour comes twice, after midnight.
  ["America/Havana", [
    ["2026-11-01T03:59:59Z", "2026-10-31"],
    ["2026-11-01T04:00:00Z", "2026-11-01"],
    ["2026-11-01T04:30:00Z", "2026-11-01"],
    ["2026-11-01T05:30:00Z", "2026-11-01"],
    ["2026-11-02T04:59:59Z", "2026-11-01"],
    ["2026-11-02T05:00:00Z", "2026-11-02"],
  ]],
  // One minute of the new day, then an hour of the old one again.
  ["America/St_Johns", [
    ["2010-11-07T02:29:30Z", "2010-11-06"],
    ["2010-11-07T02:30:30Z", "2010-11-07"],
    ["2010-11-07T02:45:00Z", "2010-11-06"],
    ["2010-11-07T03:29:59Z", "2010-11-06"],
    ["2010-11-07T03:30:00Z", "2010-11-07"],
  ]],
  // A day that never was.
  ["Pacific/Apia", [["2011-12-30T09:59:59Z", "2011-12-29"], [
    "2011-12-30T10:00:00Z",
    "2011-12-31",
  ]]],
];

Deno.test("a message belongs to the day of its own local time, across clock changes", async (t) => {
  for (const [zone, moments] of CALENDAR) {
    await t.step(`${zone} ${moments[0]![0].slice(0, 7)}`, async () => {
      const business = await createBusiness(zone);
      const person = await write(business, moments.map(([utc]) => inbound(utc)));
      for (const day of new Set(moments.map(([, each]) => each))) {
        const expected = moments.filter(([, each]) => each === day).length;
        const found = await dayOf(business.workspace, person, day, zone);
        assertEquals(found?.message_count, expected, day);
      }
      // No message is in two days, and none is in none.
      const days = [...new Set(moments.map(([, each]) => each))];
      const around = [-1, 1].map((step) => {
        const edge = new Date(`${step < 0 ? days[0] : days.at(-1)}T00:00:00Z`);
        edge.setUTCDate(edge.getUTCDate() + step);
        return edge.toISOString().slice(0, 10);
      });
      for (const day of around) {
        assertEquals(await dayOf(business.workspace, person, day, zone), null, day);
      }
    });
  }
});

Deno.test("the end of a day is never before its last message", async () => {
  for (const [zone, moments] of CALENDAR) {
    for (const [utc, day] of moments) {
      const [row] = await database.sql`
        select ${utc}::timestamptz < private.local_day_end(${day}, ${zone}) as is_before`;
      assertEquals(row!.is_before, true, `${zone} ${utc}`);
    }
  }
});

// What is counted ---------------------------------------------------------------------------------

Deno.test("counts, the first answer, what is unanswered, and questions", async () => {
  const business = await createBusiness("UTC");
  const { workspace } = business;
  const day = "2026-02-03";
  const person = await write(business, [
    inbound(`2026-02-02T23:59:00Z`, "yesterday?"),
    outbound(`${day}T08:00:00Z`, "we open at nine"),
    inbound(`${day}T09:00:00Z`, "good morning"),
    outbound(`${day}T09:02:00Z`, "never arrived", { status: "failed" }),
    outbound(`${day}T09:04:30Z`, "good morning!"),
    inbound(`${day}T10:00:00Z`, "do you have bread？"),
    inbound(`${day}T10:01:00Z`, "thanks"),
  ]);
  const { digest, ...found } = (await dayOf(workspace, person, day, "UTC"))!;
  assertMatch(digest, /^[0-9a-f]{32}$/);
  assertEquals(found, {
    person_id: person,
    message_count: 5,
    inbound_count: 3,
    outbound_count: 2,
    first_inbound_at: "2026-02-03T09:00:00+00:00",
    first_answer_seconds: 270,
    unanswered_count: 2,
    has_open_question: true,
    messages: [
      { from: "business", at: "08:00", type: "text", text: "we open at nine" },
      { from: "customer", at: "09:00", type: "text", text: "good morning" },
      { from: "business", at: "09:04", type: "text", text: "good morning!" },
      { from: "customer", at: "10:00", type: "text", text: "do you have bread？" },
      { from: "customer", at: "10:01", type: "text", text: "thanks" },
    ],
  } as never);
  // Up to a moment: the rest is for the next run.
  const until = await dayOf(workspace, person, day, "UTC", `${day}T09:04:30Z`);
  assertEquals(
    [until!.message_count, until!.unanswered_count, until!.has_open_question],
    [3, 0, false],
  );
});

Deno.test("imported history is not summarised", async () => {
  const business = await createBusiness("UTC");
  const day = "2026-02-03";
  const person = await write(business, [inbound(`${day}T09:00:00Z`)], { is_history: true });
  assertEquals(await dayOf(business.workspace, person, day, "UTC"), null);
  await start(business.workspace, day);
  await runAll(database.service, business.workspace, { date: day });
  assertEquals(await notesOf(business.workspace), []);
});

Deno.test("of a long thread, the day's pages are read, wherever they are", async () => {
  const business = await createBusiness("UTC");
  // 40 messages an hour over four days: 3,840, in 77 pages.
  const begin = Date.UTC(2026, 1, 1);
  const messages = Array.from(
    { length: 3840 },
    (_, index) => inbound(new Date(begin + index * 90_000).toISOString(), `text ${index}`),
  );
  const person = await write(business, messages);
  for (const [day, first] of [["2026-02-01", 0], ["2026-02-03", 1920], ["2026-02-04", 2880]]) {
    const found = await dayOf(business.workspace, person, String(day), "UTC");
    assertEquals(found!.message_count, 960, String(day));
    assertEquals(found!.messages.length, 60);
    assertEquals(found!.messages.at(-1)!.text, `text ${Number(first) + 959}`);
  }
});

// When --------------------------------------------------------------------------------------------

/** Opens what is due at a moment, and returns the runs. */
async function openAt(workspace: Workspace, moment: string) {
  await database.service`select private.open_due_summaries(${workspace.id}, ${moment})`;
  return (await database.sql<{ day: string; state: string; until: Date }[]>`
    select local_date::text as day, state, covered_until as until from public.summary_runs
    where workspace_id = ${workspace.id} order by local_date`)
    .map(({ day, state, until }) => [day, state, until.toISOString()]);
}

async function finishAll(workspace: Workspace): Promise<void> {
  await database.sql`
    update public.summary_runs set state = 'finished', finished_at = now()
    where workspace_id = ${workspace.id}`;
}

Deno.test("a day is due at its hour, and once more when it is over", async () => {
  const business = await createBusiness("America/Sao_Paulo");
  const { workspace } = business;
  await write(business, [inbound("2026-05-05T12:00:00Z")]);
  // 19:59 and 20:00 in São Paulo. Yesterday is over, and was never summarised.
  const yesterday = ["2026-05-04", "running", "2026-05-05T03:00:00.000Z"];
  assertEquals(await openAt(workspace, "2026-05-05T22:59:00Z"), [yesterday]);
  await finishAll(workspace);
  assertEquals(await openAt(workspace, "2026-05-05T23:00:00Z"), [
    ["2026-05-04", "finished", "2026-05-05T03:00:00.000Z"],
    ["2026-05-05", "running", "2026-05-05T23:00:00.000Z"],
  ]);
  await finishAll(workspace);
  // Nothing new until a quarter of an hour after midnight.
  assertEquals((await openAt(workspace, "2026-05-06T03:14:00Z"))[1]![1], "finished");
  assertEquals((await openAt(workspace, "2026-05-06T03:15:00Z"))[1], [
    "2026-05-05",
    "running",
    "2026-05-06T03:00:00.000Z",
  ]);
  await finishAll(workspace);
  assertEquals((await openAt(workspace, "2026-05-06T10:00:00Z"))[1]![1], "finished");
});

Deno.test("an hour that the clocks leave out, or have twice, is due once", async () => {
  const business = await createBusiness("Europe/Berlin");
  const { workspace } = business;
  await database.sql`
    insert into public.workspace_summary_settings (workspace_id, hour) values (${workspace.id}, 2)`;
  await write(business, [inbound("2026-03-28T12:00:00Z"), inbound("2026-03-29T00:10:00Z")]);
  await openAt(workspace, "2026-03-28T12:00:00Z");
  await finishAll(workspace);
  // 01:59 +01:00, then 03:00 +02:00.
  assertEquals((await openAt(workspace, "2026-03-29T00:59:00Z")).at(-1)![0], "2026-03-28");
  assertEquals((await openAt(workspace, "2026-03-29T01:00:00Z")).at(-1)![0], "2026-03-29");

  const autumn = await createBusiness("Europe/Berlin");
  await database.sql`
    insert into public.workspace_summary_settings (workspace_id, hour) values (${autumn.workspace.id}, 2)`;
  await write(autumn, [inbound("2026-10-25T00:30:00Z")]);
  for (const minute of ["00:10", "00:40", "01:10", "01:40", "02:10"]) {
    await openAt(autumn.workspace, `2026-10-25T${minute}:00Z`);
    await finishAll(autumn.workspace);
  }
  const runs = await openAt(autumn.workspace, "2026-10-25T12:00:00Z");
  assertEquals(runs.map(([day, state]) => [day, state]), [
    ["2026-10-24", "finished"],
    ["2026-10-25", "finished"],
  ]);
});

Deno.test("after an outage the days since are made up for, at most a week", async () => {
  const business = await createBusiness("UTC");
  const { workspace } = business;
  await write(business, [inbound("2026-05-20T12:00:00Z")]);
  await openAt(workspace, "2026-05-02T21:00:00Z");
  await finishAll(workspace);
  const days = (runs: unknown[][]) =>
    runs.filter(([, state]) => state === "running").map(([day]) => day);
  assertEquals(days(await openAt(workspace, "2026-05-05T21:00:00Z")), [
    "2026-05-02",
    "2026-05-03",
    "2026-05-04",
    "2026-05-05",
  ]);
  await finishAll(workspace);
  assertEquals(days(await openAt(workspace, "2026-05-19T21:00:00Z")).length, 8);
});

Deno.test("a workspace that moves in the middle of a day loses no message from its notes", async () => {
  const business = await createBusiness("Asia/Jakarta");
  const { workspace } = business;
  await write(business, [
    // 09:00 on the 5th in Jakarta, 22:00 on the 4th in New York.
    inbound("2026-05-05T02:00:00Z"),
    // The 5th here and there.
    inbound("2026-05-05T14:00:00Z"),
    // 01:00 on the 6th, 14:00 on the 5th.
    inbound("2026-05-05T18:00:00Z"),
  ]);
  const counts = async () =>
    (await database.sql<{ day: string; count: number }[]>`
      select local_date::text as day, (metadata ->> 'message_count')::integer as count
      from public.person_notes
      where workspace_id = ${workspace.id} and kind = 'daily_summary' order by local_date`)
      .map(({ day, count }) => [day, count]);
  const workAt = async (moment: string) => {
    const runs = await openAt(workspace, moment);
    for (const [date] of runs) {
      await runAll(database.service, workspace, { date: String(date) });
    }
  };
  await workAt("2026-05-05T13:00:00Z");
  await workAt("2026-05-05T17:15:00Z");
  assertEquals(await counts(), [["2026-05-05", 2]]);
  await database.sql`
    update public.workspaces set time_zone = 'America/New_York' where id = ${workspace.id}`;
  await workAt("2026-05-06T00:00:00Z");
  assertEquals(await counts(), [["2026-05-04", 1], ["2026-05-05", 2]]);
  // And back, where the 6th has begun long ago.
  await database.sql`
    update public.workspaces set time_zone = 'Asia/Jakarta' where id = ${workspace.id}`;
  await workAt("2026-05-06T13:00:00Z");
  const after = Object.fromEntries(await counts());
  assertEquals([after["2026-05-05"], after["2026-05-06"]], [2, 1]);
});

Deno.test("nothing is due without messages, or where summaries are switched off", async () => {
  const business = await createBusiness("UTC");
  await write(business, [inbound("2026-05-05T12:00:00Z")]);
  assertEquals(await openAt(business.workspace, "2026-05-09T21:00:00Z"), []);
  await database.sql`
    insert into public.workspace_summary_settings (workspace_id, is_enabled)
    values (${business.workspace.id}, false)`;
  assertEquals(await openAt(business.workspace, "2026-05-05T21:00:00Z"), []);
});

// Slices ------------------------------------------------------------------------------------------

/** A business with people who all wrote on a day. */
async function createBusyDay(people: number, date = "2026-02-03") {
  const business = await createBusiness("UTC");
  const ids: string[] = [];
  for (let index = 0; index < people; index++) {
    ids.push(await write(business, [inbound(`${date}T09:00:00Z`), inbound(`${date}T09:05:00Z`)]));
  }
  await write(business, [inbound("2026-02-01T09:00:00Z"), inbound("2026-02-05T09:00:00Z")]);
  await start(business.workspace, date);
  return { ...business, date, ids: ids.sort() };
}

Deno.test("one note per person and day; running again replaces it", async () => {
  const { workspace, date, ids } = await createBusyDay(7);
  assertEquals(await runAll(database.service, workspace, { date, people: 3 }), 3);
  assertEquals(await notesOf(workspace), ids.map((id) => [date, id, "note"]));
  const [run] = await database.sql`
    select state, people_done, notes_written, tokens_used, messages_sent, cursor is not null as has_cursor
    from public.summary_runs where workspace_id = ${workspace.id}`;
  assertEquals(run, {
    state: "finished",
    // With the one who wrote before and after, and not on the day.
    people_done: 8,
    notes_written: 7,
    tokens_used: 21,
    messages_sent: 9,
    has_cursor: true,
  });
  await start(workspace, date);
  await runAll(database.service, workspace, { date, text: "better" });
  assertEquals(await notesOf(workspace), ids.map((id) => [date, id, "better"]));
});

Deno.test("many at the same time: everybody is looked at once", async () => {
  const { workspace, date, ids } = await createBusyDay(12);
  const pools = Array.from(
    { length: 4 },
    () => database.connect({ max: 1, connection: { role: "service_role" } }),
  );
  const seen: string[] = [];
  const work = async (sql: Sql) => {
    while (true) {
      const slice = await claim(sql, workspace, { date, people: 2 });
      if (!slice) {
        const [run] = await database.sql`
          select state from public.summary_runs where workspace_id = ${workspace.id}`;
        if (run!.state === "finished") return;
        continue;
      }
      seen.push(...slice.person_ids);
      assert(await writeNotes(sql, slice));
    }
  };
  try {
    await Promise.all(pools.map(work));
  } finally {
    await Promise.all(pools.map((pool) => pool.end()));
  }
  assertEquals(seen.length, 13);
  assertEquals(new Set(seen).size, 13);
  assertEquals((await notesOf(workspace)).map(([, id]) => id), ids);
});

Deno.test("a slice whose worker died is done by the next one; the dead one writes nothing more", async () => {
  const { workspace, date, ids } = await createBusyDay(5);
  const { sql, service } = database;
  assert(await writeNotes(service, (await claim(service, workspace, { date, people: 2 }))!));
  const dead = (await claim(service, workspace, { date, people: 2 }))!;
  assertEquals(await claim(service, workspace, { date }), undefined, "another claim is held");
  await sql`
    update public.summary_runs set leased_until = now() - interval '1 second'
    where workspace_id = ${workspace.id}`;
  const next = (await claim(service, workspace, { date, people: 2 }))!;
  assertEquals(next.person_ids, dead.person_ids);
  assertNotEquals(next.lease_token, dead.lease_token);
  assertEquals(await writeNotes(service, dead, "of the dead"), false);
  assert(await writeNotes(service, next));
  assertEquals(await writeNotes(service, next, "twice"), false);
  await runAll(service, workspace, { date });
  assertEquals(await notesOf(workspace), ids.map((id) => [date, id, "note"]));
});

Deno.test("a manual run does not start a day again that is being summarised", async () => {
  const { workspace, date } = await createBusyDay(3);
  const slice = (await claim(database.service, workspace, { date, people: 2 }))!;
  const [run] = await start(workspace, date);
  assertEquals(run!.lease_token, slice.lease_token);
  assert(await writeNotes(database.service, slice));
});

Deno.test("a person deleted during the run gets no note, and holds up no other person", async () => {
  const { workspace, date, ids } = await createBusyDay(3);
  const slice = (await claim(database.service, workspace, { date }))!;
  await database.sql`delete from public.people where id = ${ids[1]!}`;
  assert(await writeNotes(database.service, slice));
  assertEquals((await notesOf(workspace)).map(([, id]) => id), [ids[0]!, ids[2]!]);
});

Deno.test("the run waits for a person who is being deleted", async () => {
  const { workspace, date, ids } = await createBusyDay(2);
  const slice = (await claim(database.service, workspace, { date }))!;
  const deleting = database.connect({ max: 1 });
  try {
    let writing: Promise<boolean> | undefined;
    await deleting.begin(async (sql) => {
      await sql`delete from public.people where id = ${ids[0]!}`;
      writing = writeNotes(database.service, slice);
      await untilBlocked(database.sql);
    });
    assertEquals(await writing, true);
  } finally {
    await deleting.end();
  }
  assertEquals((await notesOf(workspace)).map(([, id]) => id), [ids[1]!]);
});

Deno.test("a note whose messages went elsewhere goes", async () => {
  const { workspace, date, ids } = await createBusyDay(2);
  await runAll(database.service, workspace, { date });
  // The thread of the first is the second's after all. The first wrote on another day, too.
  await database.sql`
    update public.conversations set person_id = ${ids[1]!}
    where workspace_id = ${workspace.id} and person_id = ${ids[0]!}`;
  await ingestOne(
    database.service,
    await createConnection(database.sql, workspace),
    conversation({ messages: [inbound("2026-02-06T09:00:00Z")] }),
  ).then((id) =>
    database.sql`update public.conversations set person_id = ${ids[0]!} where id = ${id}`
  );
  await start(workspace, date);
  await runAll(database.service, workspace, { date });
  assertEquals((await notesOf(workspace)).map(([, id]) => id), [ids[1]!]);
});

Deno.test("when the day is over, those are done again who have written since, also messages that came late", async () => {
  const business = await createBusiness("UTC");
  const { workspace, connection } = business;
  const at = "2026-05-05T20:00:00Z";
  const quiet = await write(business, [inbound("2026-05-05T09:00:00Z")]);
  const threads = ["evening_thread", "late_thread"].map((name) => `${name}_${workspace.id}`);
  const later = (index: number, messages: TestMessage[]) =>
    ingestOne(
      database.service,
      connection,
      conversation({
        external_conversation_id: threads[index]!,
        participant_identifier: `${threads[index]}`,
        messages,
      }),
    );
  const people: string[] = [];
  for (const index of [0, 1]) {
    const person = await addPerson(database.sql, workspace, {});
    people.push(person);
    const id = await later(index, [inbound("2026-05-05T10:00:00Z")]);
    await database.sql`update public.conversations set person_id = ${person} where id = ${id}`;
  }
  await openAt(workspace, at);
  await runAll(database.service, workspace, { date: "2026-05-05", text: "at eight" });
  // One writes in the evening, the bridge of the other was out of order.
  await later(0, [inbound("2026-05-05T22:00:00Z")]);
  await later(1, [inbound("2026-05-05T11:00:00Z")]);
  await openAt(workspace, "2026-05-06T00:15:00Z");
  const slice = (await claim(database.service, workspace, { date: "2026-05-05" }))!;
  assertEquals(slice.days.map(({ person_id }) => person_id).sort(), people.toSorted());
  assertEquals(slice.days.map(({ message_count }) => message_count), [2, 2], "the whole day again");
  assertEquals(slice.kept_ids, [quiet]);
  assert(await writeNotes(database.service, slice, "at midnight"));
  await runAll(database.service, workspace, { date: "2026-05-05" });
  assertEquals(
    Object.fromEntries((await notesOf(workspace)).map(([, id, text]) => [id, text])),
    { [quiet]: "at eight", [people[0]!]: "at midnight", [people[1]!]: "at midnight" },
  );
});

// Days that change after they were summarised -------------------------------------------------------

/** The day before yesterday, in UTC: over at any time of day. */
function dayBeforeYesterday(): string {
  return new Date(Date.now() - 2 * 86_400_000).toISOString().slice(0, 10);
}

/** A business whose summaries of the day before yesterday were made some hours ago; nothing has changed since. */
async function createSummarisedDay(people: number) {
  const business = await createBusiness("UTC");
  const { workspace } = business;
  // Its hour of today is not near, so that it is not the reason of anything.
  const hour = (new Date().getUTCHours() + 2) % 24;
  await database.sql`
    insert into public.workspace_summary_settings (workspace_id, hour) values (${workspace.id}, ${hour})`;
  const date = dayBeforeYesterday();
  const ids: string[] = [];
  for (let index = 0; index < people; index++) {
    ids.push(await write(business, [inbound(`${date}T09:00:00Z`)]));
  }
  await start(workspace, date);
  await runAll(database.service, workspace, { date, text: "first" });
  await letTimePass(workspace);
  return { ...business, date, ids };
}

/** As if everything so far had happened hours ago. */
async function letTimePass(workspace: Workspace, hours = 3): Promise<void> {
  const { sql } = database;
  await sql`
    update public.summary_runs set opened_at = opened_at - make_interval(hours => ${hours})
    where workspace_id = ${workspace.id}`;
  await sql`
    update public.conversations set updated_at = updated_at - make_interval(hours => ${hours + 3})
    where workspace_id = ${workspace.id}`;
}

/** Another message of a person's conversation. */
async function writeMore(
  { workspace, connection }: { workspace: Workspace; connection: Connection },
  personId: string,
  messages: TestMessage[],
  overrides: Partial<TestConversation> = {},
): Promise<void> {
  const [thread] = await database.sql`
    select external_conversation_id, participant_identifier from public.conversations
    where workspace_id = ${workspace.id} and person_id = ${personId}`;
  await ingestOne(
    database.service,
    connection,
    conversation({
      external_conversation_id: thread!.external_conversation_id,
      participant_identifier: thread!.participant_identifier,
      messages,
      ...overrides,
    }),
  );
}

/** Whether the day was opened again by the schedule. */
async function isOpenedAgain(workspace: Workspace, date: string): Promise<boolean> {
  const runs = await openAt(workspace, new Date().toISOString());
  return runs.find(([day]) => day === date)?.[1] === "running";
}

const notesByPerson = async (workspace: Workspace, date: string) =>
  Object.fromEntries(
    (await notesOf(workspace)).filter(([day]) => day === date).map(([, id, text]) => [id, text]),
  );

Deno.test("messages that come days late are in their day's note by themselves, and only that is made again", async () => {
  const business = await createSummarisedDay(3);
  const { workspace, date, ids: [late, read, quiet] } = business;
  assertEquals(await isOpenedAgain(workspace, date), false, "nothing has changed");
  await writeMore(business, late!, [
    inbound(`${date}T10:00:00Z`, "sent while the bridge was away"),
  ]);
  await database.sql`
    update public.conversations set updated_at = now()
    where workspace_id = ${workspace.id} and person_id = ${read!}`;
  assertEquals(await isOpenedAgain(workspace, date), true);
  const slice = (await claim(database.service, workspace, { date }))!;
  assertEquals(
    slice.person_ids.toSorted(),
    [late!, read!].toSorted(),
    "no other person is looked at",
  );
  assertEquals(slice.days.map(({ person_id, message_count }) => [person_id, message_count]), [
    [late, 2],
  ]);
  assert(await writeNotes(database.service, slice, "again"));
  await runAll(database.service, workspace, { date });
  assertEquals(await notesByPerson(workspace, date), {
    [late!]: "again",
    [read!]: "first",
    [quiet!]: "first",
  });
  await letTimePass(workspace);
  assertEquals(await isOpenedAgain(workspace, date), false, "once is enough");
});

Deno.test("a message that comes late, and one that failed, do not look like nothing", async () => {
  const business = await createSummarisedDay(1);
  const { workspace, date, ids: [person] } = business;
  const answer = outbound(`${date}T09:30:00Z`);
  await writeMore(business, person!, [answer]);
  assert(await isOpenedAgain(workspace, date));
  await runAll(database.service, workspace, { date, text: "answered" });
  await letTimePass(workspace);
  await writeMore(business, person!, [inbound(`${date}T09:40:00Z`)], {
    changes: [{ message_id: answer.id, status: "failed", status_at: `${date}T09:31:00Z` }],
  } as Partial<TestConversation>);
  assert(await isOpenedAgain(workspace, date));
  await runAll(database.service, workspace, { date, text: "not answered" });
  assertEquals(await notesByPerson(workspace, date), { [person!]: "not answered" });
});

Deno.test("what does not change the number of messages is found at the next hour", async () => {
  const business = await createSummarisedDay(1);
  const { workspace, date, ids: [person] } = business;
  const answer = outbound(`${date}T09:30:00Z`);
  await writeMore(business, person!, [answer]);
  await isOpenedAgain(workspace, date);
  await runAll(database.service, workspace, { date, text: "answered" });
  await letTimePass(workspace);
  await writeMore(business, person!, [], {
    changes: [{ message_id: answer.id, status: "failed", status_at: `${date}T09:31:00Z` }],
  } as Partial<TestConversation>);
  assertEquals(await isOpenedAgain(workspace, date), false);
  await letTimePass(workspace, 24);
  await database.sql`
    update public.conversations set updated_at = now() where workspace_id = ${workspace.id}`;
  assertEquals(await isOpenedAgain(workspace, date), true);
  await runAll(database.service, workspace, { date, text: "it failed" });
  assertEquals(await notesByPerson(workspace, date), { [person!]: "it failed" });
});

Deno.test("days further back, and days never summarised, stay as they are", async () => {
  const business = await createSummarisedDay(1);
  const { workspace, date } = business;
  await letTimePass(workspace, 24);
  const old = new Date(Date.parse(date) - 2 * 86_400_000).toISOString().slice(0, 10);
  await start(workspace, old);
  await runAll(database.service, workspace, { date: old });
  await letTimePass(workspace, 24);
  await write(business, [inbound(`${old}T09:00:00Z`)]);
  const runs = await openAt(workspace, new Date().toISOString());
  assertEquals(runs.find(([day]) => day === old)?.[1], "finished");
  const between = new Date(Date.parse(date) - 86_400_000).toISOString().slice(0, 10);
  assertEquals(runs.find(([day]) => day === between), undefined);
});

Deno.test("a conversation that moves to another person takes its part of the notes along", async () => {
  const business = await createSummarisedDay(3);
  const { workspace, date, ids: [wrong, right, both] } = business;
  const second = uniqueNumber();
  const thread = await ingestOne(
    database.service,
    business.connection,
    conversation({ participant_identifier: second, messages: [inbound(`${date}T11:00:00Z`)] }),
  );
  await database.sql`
    update public.conversations set person_id = ${both!} where id = ${thread}`;
  await isOpenedAgain(workspace, date);
  await runAll(database.service, workspace, { date, text: "second" });
  await letTimePass(workspace, 24);
  assertEquals(await notesByPerson(workspace, date), {
    [wrong!]: "first",
    [right!]: "first",
    [both!]: "second",
  });
  // One loses the only conversation, one keeps another.
  await database.sql`
    update public.conversations set person_id = ${right!}
    where workspace_id = ${workspace.id} and (person_id = ${wrong!} or id = ${thread})`;
  assert(await isOpenedAgain(workspace, date));
  const slice = (await claim(database.service, workspace, { date }))!;
  assertEquals(
    Object.fromEntries(
      slice.days.map(({ person_id, message_count }) => [person_id, message_count]),
    ),
    { [right!]: 3, [both!]: 1 },
  );
  assert(await writeNotes(database.service, slice, "third"));
  assertEquals(await notesByPerson(workspace, date), { [right!]: "third", [both!]: "third" });
});

Deno.test("by hand, who has a note and no conversation any more loses the note", async () => {
  const { workspace, date, ids } = await createBusyDay(2);
  await runAll(database.service, workspace, { date });
  await database.sql`
    update public.conversations set person_id = ${ids[1]!}
    where workspace_id = ${workspace.id} and person_id = ${ids[0]!}`;
  await start(workspace, date);
  await runAll(database.service, workspace, { date });
  assertEquals((await notesOf(workspace)).map(([, id]) => id), [ids[1]!]);
});

Deno.test("who becomes known only after their day was summarised gets their note", async () => {
  const business = await createSummarisedDay(1);
  const { workspace, connection, date } = business;
  const phone = uniqueNumber();
  await ingestOne(
    database.service,
    connection,
    conversation({ participant_identifier: phone, messages: [inbound(`${date}T12:00:00Z`)] }),
  );
  await isOpenedAgain(workspace, date);
  await runAll(database.service, workspace, { date });
  await letTimePass(workspace, 24);
  const person = await addPerson(database.sql, workspace, { phone });
  assert(await isOpenedAgain(workspace, date));
  await runAll(database.service, workspace, { date, text: "known now" });
  assertEquals((await notesByPerson(workspace, date))[person], "known now");
});

Deno.test("after a merge the note of the day is about both, and after its undoing about each", async () => {
  const business = await createSummarisedDay(2);
  const { workspace, date, ids: [kept, merged] } = business;
  const [merge] = await database.as(
    { userId: workspace.owner },
    async (sql) => await sql`select * from public.merge_people(${kept!}, ${merged!})`,
  );
  await letTimePass(workspace, 24);
  await database.sql`
    update public.conversations set updated_at = now() where workspace_id = ${workspace.id}`;
  assert(await isOpenedAgain(workspace, date));
  const slice = (await claim(database.service, workspace, { date }))!;
  assertEquals(slice.days.map(({ person_id, message_count }) => [person_id, message_count]), [
    [kept, 2],
  ]);
  assert(await writeNotes(database.service, slice, "both"));
  await runAll(database.service, workspace, { date });
  await database.as(
    { userId: workspace.owner },
    async (sql) => await sql`select * from public.undo_merge(${merge!.id})`,
  );
  await letTimePass(workspace, 24);
  await database.sql`
    update public.conversations set updated_at = now() where workspace_id = ${workspace.id}`;
  assert(await isOpenedAgain(workspace, date));
  await runAll(database.service, workspace, { date, text: "each" });
  assertEquals((await notesByPerson(workspace, date))[kept!], "each");
  assert(merged! in await notesByPerson(workspace, date));
});

Deno.test("a slice that was lost costs the messages that it may have sent", async () => {
  const { workspace, date } = await createBusyDay(3);
  await database.sql`
    insert into public.workspace_summary_settings (workspace_id, allow_external_ai)
    values (${workspace.id}, true)`;
  const lose = async () => {
    assert(await claim(database.service, workspace, { date, people: 2 }));
    await database.sql`
      update public.summary_runs set leased_until = now() - interval '1 second'
      where workspace_id = ${workspace.id}`;
    const [run] = await database.sql`
      select messages_sent from public.summary_runs where workspace_id = ${workspace.id}`;
    return run!.messages_sent;
  };
  const [first, second, third] = [await lose(), await lose(), await lose()];
  assertEquals(first, 0);
  assert(second > 0);
  assertEquals(third, second * 2);
});

Deno.test("a date that is far away is refused", async () => {
  const { workspace } = await createBusiness("UTC");
  const tomorrow = new Date(Date.now() + 2 * 86_400_000).toISOString().slice(0, 10);
  for (const date of [tomorrow, "2020-01-01"]) {
    assertEquals(await sqlStateOf(start(workspace, date)), "PT400");
  }
  const { code } = await database.attempt(
    { userId: workspace.agent },
    async (sql) => await sql`select * from public.start_summary_run(${workspace.id})`,
  );
  assertEquals(code, "PT403");
});
