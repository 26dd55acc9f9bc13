/**
 * Several conversations read at the same time: the result is that of one after the other, a failure of one leaves the
 * others as they are, and nothing is lost or stored twice wherever a slice ends. The slices run in this process, against
 * the fake and a real database, so that single requests can fail and be counted.
 *
 * @module
 */

import { assert, assertEquals, assertRejects, assertStringIncludes } from "@std/assert";
import type { SyncEvent } from "../../../supabase/functions/_shared/contracts/kapso_sync.ts";
import { createServiceClient } from "../../../supabase/functions/_shared/database/clients.ts";
import { createKapsoClient } from "../../../supabase/functions/_shared/kapso/api/client.ts";
import { LeaseLost, type RunStore } from "../../../supabase/functions/kapso-sync/run.ts";
import { runSlice } from "../../../supabase/functions/kapso-sync/slice.ts";
import { createRunStore } from "../../../supabase/functions/kapso-sync/store.ts";
import { eventually } from "../../support/eventually.ts";
import {
  type Business,
  ending,
  expireWaits,
  kapsoIds,
  newBusiness,
  storedIds,
  useWorld,
} from "../../support/kapso_sync.ts";

const DAY_MS = 24 * 60 * 60 * 1000;
// What Kapso stored before a run is read once, by its conversation.
const world = useWorld({ startAt: Date.now() - 3 * DAY_MS });

/** Messages of each conversation, the one that Kapso lists last first: of one page, of two and of three. */
const SIZES = [30, 250, 1, 101, 100, 200, 12, 205];

/** Creates conversations with the same messages for every business; the last two are sessions of one customer. */
function write({ fakePhoneNumber }: Business, sizes: number[] = SIZES): void {
  const { fake } = world.current;
  const start = Date.now() - 30 * DAY_MS;
  const contacts = sizes.slice(0, -1).map((_, place) =>
    fake.addContact({ phoneNumber: fakePhoneNumber, name: `Customer ${place}` })
  );
  sizes.forEach((size, place) => {
    const contact = contacts[place] ?? contacts.at(-1)!;
    const earlier = fake.sessionOf(contact);
    if (earlier) fake.endSession(earlier);
    fake.clock.advance(1);
    for (let number = 0; number < size; number++) {
      const sentAt = start + place * DAY_MS + number * 60_000;
      const text = `message ${number} of ${place}`;
      if (number % 3 === 2) fake.sendMessage(contact, text, { sentAt });
      else fake.receiveMessage(contact, text, { sentAt });
    }
  });
}

/** A request for messages of a conversation. */
interface Asked {
  /** The id of the conversation. */
  session: string;
  /** Whether it asks for its first page. */
  isFirst: boolean;
  /** Of all such requests, from 1. */
  place: number;
  signal: AbortSignal;
  /** How many are answered. */
  answered: () => number;
}

/** How a slice of {@linkcode work} is worked on. */
interface Work {
  /** Pages. */
  pages?: number;
  delayMs?: number;
  isDryRun?: boolean;
  signal?: AbortSignal;
  /** Answers in the place of the fake. */
  answer?: (asked: Asked) => Response | undefined | Promise<Response | undefined>;
  /** Headers of the fake's answers. */
  headers?: Record<string, string>;
  runs?: (runs: RunStore) => Partial<RunStore>;
}

/** Works on one slice, and notes the requests for messages. */
async function work({ phoneNumber }: Business, options: Work = {}) {
  const { fake, info } = world.current;
  const asked: Asked[] = [];
  let answered = 0;
  let peak = 0;
  const kapso = createKapsoClient({
    baseUrl: fake.url,
    apiKey: fake.apiKey,
    maxWaitMs: 15_000,
    // Waits are a few milliseconds long.
    delay: (ms) => new Promise((resolve) => setTimeout(resolve, ms / 100)),
    fetch: async (input, init) => {
      const url = new URL(String(input));
      if (!url.searchParams.has("conversation_id")) return await fetch(input, init);
      const request = {
        session: url.searchParams.get("conversation_id")!,
        isFirst: !url.searchParams.has("after"),
        place: asked.length + 1,
        signal: init!.signal!,
        answered: () => answered,
      };
      asked.push(request);
      peak = Math.max(peak, asked.length - answered);
      try {
        const { body, status, headers } = await options.answer?.(request) ??
          await fetch(input, init);
        const all = new Headers({ ...Object.fromEntries(headers), ...options.headers });
        return new Response(body && await new Response(body).arrayBuffer(), {
          status,
          headers: all,
        });
      } finally {
        answered++;
      }
    },
  });
  const store = createRunStore(
    createServiceClient({ supabaseUrl: info.api_url, secretKey: info.secret_key }),
  );
  const begun = await store.begin({
    connectionId: phoneNumber.id,
    mode: "history",
    messagesPerConversation: null,
    since: null,
    isDryRun: options.isDryRun ?? false,
    requestedBy: null,
    runId: undefined,
  });
  assert(begun.isMine);
  const budget = { duration: 60_000, pages: options.pages ?? 1000 };
  const events: SyncEvent[] = [];
  const slice = runSlice(
    {
      kapso,
      runs: { ...store, ...options.runs?.(store) },
      onStored: () => {},
      log: () => {},
      monotonic: () => performance.now(),
      delay: () => Promise.resolve(),
    },
    begun.run,
    {
      phoneNumberId: phoneNumber.phoneNumberId,
      delayMs: options.delayMs ?? 0,
      budget,
      signal: options.signal ?? new AbortController().signal,
    },
  );
  let error: unknown;
  try {
    for await (const event of slice) events.push(event);
  } catch (thrown) {
    error = thrown;
  }
  return { events, asked, error, budget, runId: begun.run.id, peak };
}

/** Works until the run is done, with a wait that is over at once. */
async function finish(business: Business, runId: string): Promise<SyncEvent[]> {
  const { info } = world.current;
  await expireWaits(info, runId);
  const { events } = await work(business);
  return events;
}

const stored = (business: Business) => storedIds({ ...world.current, ...business });
const all = (business: Business) => kapsoIds(world.current.fake, business.fakePhoneNumber);

/** Asserts that a run finished with everything stored once, and that its counts are those of one undisturbed slice. */
async function assertExact(business: Business, events: SyncEvent[], sizes = SIZES): Promise<void> {
  const end = ending(events);
  const messages = sizes.reduce((sum, size) => sum + size, 0);
  assertEquals(end.type, "done", end.error ?? "");
  assertEquals(await stored(business), all(business));
  assertEquals(
    [end.conversations_done, end.conversations_failed, end.messages_added, end.people_created],
    [sizes.length, 0, messages, sizes.length - 1],
  );
  assertEquals(end.conversations_created, sizes.length - 1);
}

/** What is stored of a business, without what differs between two. */
async function contentsOf({ phoneNumber, user }: Business) {
  const { sql } = world.current;
  const conversations = await sql`
    select thread.participant_name, thread.status, thread.unread_count, thread.message_count, thread.inbound_arrivals,
      thread.last_message_preview, person.name,
      (
        select jsonb_agg(message.value ->> 'content' order by message.ordinal)
        from jsonb_array_elements(export.messages) with ordinality as message (value, ordinal)
      ) as messages,
      (
        select count(*)::integer from public.conversation_sessions as session
        where session.conversation_id = thread.id
      ) as sessions
    from public.conversations as thread
    join public.conversation_export as export on export.id = thread.id
    join public.people as person on person.id = thread.person_id
    where thread.workspace_id = ${user.workspaceId}
    order by thread.participant_name`;
  const runs = await sql`
    select state, messages_read, messages_added, people_created, conversations_created, conversations_total,
      conversations_done, conversations_failed
    from public.sync_runs where connection_id = ${phoneNumber.id} order by started_at`;
  return { conversations: [...conversations], runs: [...runs] };
}

/** The types of the events of each conversation, in order. */
function typesOf(events: SyncEvent[]): Record<number, string[]> {
  const types: Record<number, string[]> = {};
  for (const event of events) {
    if ("index" in event) (types[event.index] ??= []).push(event.type);
  }
  return types;
}

Deno.test("conversations of several pages read at the same time are stored as one after the other", async () => {
  const one = await newBusiness(world.current);
  const many = await newBusiness(world.current);
  write(one);
  write(many);
  const sequential = await work(one, { delayMs: 1 });
  const parallel = await work(many);
  assertEquals([sequential.error, parallel.error], [undefined, undefined]);
  await assertExact(one, sequential.events);
  await assertExact(many, parallel.events);
  assertEquals(await contentsOf(many), await contentsOf(one));
  assertEquals(typesOf(parallel.events), typesOf(sequential.events));
  assertEquals([sequential.peak, parallel.peak], [1, 5]);
  assertEquals(parallel.asked.length, sequential.asked.length, "no page is read twice");
});

Deno.test("the events of a round are those of one conversation after the other", async () => {
  const business = await newBusiness(world.current);
  write(business);
  const { events } = await work(business);
  const places = events.flatMap((event) => "index" in event ? [event.index] : []);
  const visits = places.filter((index, place) => index !== places[place - 1]);
  const pages = events.filter(({ type }) => type === "conversation_read").length;
  assert(visits.length <= pages, "its events come together");
  const done = events.flatMap((event) => event.type === "conversation_done" ? [event] : []);
  assertEquals(
    done.map(({ index, messages, messages_added: added }) => [index, messages, added])
      .sort(([one], [other]) => one! - other!),
    SIZES.toReversed().map((size, place) => [place + 1, size, size]),
  );
});

Deno.test("a dry run counts conversations that are read at the same time, and stores nothing", async () => {
  const business = await newBusiness(world.current);
  write(business);
  const { events } = await work(business, { isDryRun: true });
  const end = ending(events);
  const messages = SIZES.reduce((sum, size) => sum + size, 0);
  assertEquals([end.type, end.messages_read, end.messages_added], ["done", messages, messages]);
  assertEquals([end.conversations_done, end.people_created], [SIZES.length, 0]);
  assertEquals(await stored(business), []);
});

const FAULTS: [string, () => Response, string, string][] = [
  [
    "a 429",
    () => new Response("{}", { status: 429, headers: { "Retry-After": "60" } }),
    "paused",
    "kapso_rate_limited",
  ],
  ["a 500", () => new Response("", { status: 500 }), "paused", "kapso_unavailable"],
  ["HTML", () => new Response("<html></html>"), "paused", "kapso_unavailable"],
  ["a cut-off", () => cutOff(), "paused", "kapso_unavailable"],
  ["a refused key", () => new Response("{}", { status: 401 }), "failed", "kapso_refused"],
];

function cutOff(): Response {
  return new Response(
    new ReadableStream({
      start: (controller) => controller.error(new TypeError("error reading a body")),
    }),
  );
}

for (const [name, answer, type, code] of FAULTS) {
  for (const isFirst of [true, false]) {
    const page = isFirst ? "first" : "second";
    Deno.test(`${name} on the ${page} page of one conversation: the others of its round are stored`, async () => {
      const business = await newBusiness(world.current);
      // All of two pages, so that all of them are in each round.
      const sizes = [101, 102, 103, 104, 105];
      write(business, sizes);
      let failing = "";
      const { events, asked, runId } = await work(business, {
        answer: (asked) => {
          if (asked.place === 2) failing = asked.session;
          return asked.session === failing && asked.isFirst === isFirst ? answer() : undefined;
        },
      });
      const end = ending(events);
      assertEquals([end.type, end.code], [type, code]);
      if (code === "kapso_rate_limited") assertEquals(end.retry_after_seconds, 60);
      const others = asked.filter(({ session }) => session !== failing);
      assertEquals(others.length, isFirst ? 4 : 8, "no further round begins");
      const { messages } = world.current.fake.state.conversationsById.get(failing)!;
      const missing = isFirst ? 515 - 400 : messages.length - 100;
      assertEquals((await stored(business)).length, 515 - missing);
      await assertExact(business, await finish(business, runId), sizes);
    });
  }
}

Deno.test("after a 429 that asks for a long wait no further request is sent, not even a repeated one", async () => {
  const business = await newBusiness(world.current);
  write(business);
  let limitedAt = 0;
  const { events, asked, runId } = await work(business, {
    answer: async ({ place }) => {
      if (place === 1) return new Response("", { status: 500 });
      if (place !== 3) return;
      await new Promise((resolve) => setTimeout(resolve, 1));
      limitedAt = place;
      return new Response("{}", { status: 429, headers: { "Retry-After": "60" } });
    },
  });
  const end = ending(events);
  assert(limitedAt > 0);
  assertEquals([end.type, end.code, end.retry_after_seconds], ["paused", "kapso_rate_limited", 60]);
  assertEquals(asked.length, 5, "the 500 is not asked again");
  await assertExact(business, await finish(business, runId));
});

Deno.test("near the end of Kapso's rate limit fewer conversations are read at the same time", async () => {
  const business = await newBusiness(world.current);
  write(business, [1, 1, 1, 1, 1, 1, 1, 1, 1]);
  // Ten of a hundred are left to people who send.
  for (const [remaining, expected] of [["100", 4], ["12", 2], ["10", 1]] as const) {
    let most = 0;
    const { events, asked } = await work(business, {
      isDryRun: true,
      headers: { "X-RateLimit-Limit": "100", "X-RateLimit-Remaining": remaining },
      answer: ({ place, answered }) => {
        // The first round begins before an answer says what is left.
        if (place > 5) most = Math.max(most, place - answered());
        return undefined;
      },
    });
    assertEquals([ending(events).type, asked.length, most], ["done", 9, expected]);
  }
});

Deno.test("a conversation that Kapso refuses is noted, and the others of its round are stored", async () => {
  const business = await newBusiness(world.current);
  write(business);
  let failing = "";
  const { events } = await work(business, {
    answer: ({ place, session }) => {
      if (place === 3) failing = session;
      return session === failing
        ? Response.json({ error: "Conversation not found" }, { status: 404 })
        : undefined;
    },
  });
  const end = ending(events);
  assertEquals(
    [end.type, end.conversations_done, end.conversations_failed],
    ["partial", SIZES.length - 1, 1],
  );
  const failed = events.flatMap((event) => event.type === "conversation_failed" ? [event] : []);
  assertEquals(failed.map(({ index, error }) => [index, error]), [[3, "Conversation not found"]]);
  assertEquals(typesOf(events)[3], ["conversation", "conversation_failed"]);
  const { messages } = world.current.fake.state.conversationsById.get(failing)!;
  const missing = new Set(messages.map(({ id }) => id));
  assertEquals(await stored(business), all(business).filter((id) => !missing.has(id)));
});

Deno.test("a round has no more pages than are left of the budget", async () => {
  const business = await newBusiness(world.current);
  write(business);
  // Two pages of the list, the second without anything new, and three of messages.
  const { events, asked, budget } = await work(business, { pages: 5 });
  assertEquals([asked.length, budget.pages], [3, 0]);
  assertEquals([ending(events).type, ending(events).error], ["paused", null]);
  let last = events;
  for (let slices = 1; ending(last).type === "paused"; slices++) {
    const next = await work(business, { pages: 4 });
    assert(next.asked.length <= 4 && next.budget.pages >= 0);
    last = next.events;
    assert(slices < 20);
  }
  await assertExact(business, last);
});

Deno.test("a run that is asked to stop stores the pages of its round, and asks for no further one", async () => {
  const business = await newBusiness(world.current);
  write(business);
  const { sql } = world.current;
  const { events, asked, runId } = await work(business, {
    answer: async ({ place }) => {
      if (place === 7) {
        await sql`
          update public.sync_runs set stop_requested_at = now()
          where connection_id = ${business.phoneNumber.id} and finished_at is null`;
      }
      return undefined;
    },
  });
  const end = ending(events);
  assertEquals([end.type, asked.length], ["stopped", 10]);
  assertEquals((await stored(business)).length, end.messages_added);
  assertEquals(end.messages_added, end.messages_read);
  await assertExact(business, await finish(business, runId));
});

Deno.test("a reader that leaves ends the requests of a round, and what had arrived is stored", async () => {
  const business = await newBusiness(world.current);
  write(business);
  const gone = new AbortController();
  const { events, asked, runId } = await work(business, {
    signal: gone.signal,
    answer: async ({ place, signal, answered }) => {
      if (place <= 2) return undefined;
      if (place === 3) {
        await eventually("the first two are answered", () => answered() === 2);
        gone.abort();
      }
      return await new Promise<Response>((_, reject) => {
        if (signal.aborted) reject(signal.reason);
        signal.addEventListener("abort", () => reject(signal.reason));
      });
    },
  });
  const end = ending(events);
  assertEquals([end.type, end.error, asked.length], ["paused", null, 5]);
  assertEquals([end.messages_added, (await stored(business)).length], [112, 112]);
  await assertExact(business, await finish(business, runId));

  const before = new AbortController();
  before.abort();
  const nothing = await work(business, { signal: before.signal });
  assertEquals(nothing.asked.length, 0);
});

Deno.test("a slice that is cut off before or after it stores a round loses nothing, and stores nothing twice", async () => {
  for (const isBefore of [true, false]) {
    for (const call of [1, 2, 3]) {
      const business = await newBusiness(world.current);
      const sizes = [130, 5, 250, 101, 3, 7, 12];
      write(business, sizes);
      let calls = 0;
      const { error, runId } = await work(business, {
        runs: ({ storePages }) => ({
          async storePages(run, pages) {
            const isEnd = ++calls === call;
            if (isEnd && isBefore) throw new Error("killed");
            const result = await storePages(run, pages);
            if (isEnd) throw new Error("killed");
            return result;
          },
        }),
      });
      assertStringIncludes(String(error), "killed");
      await assertExact(business, await finish(business, runId), sizes);
    }
  }
});

Deno.test("a slice that lost its lease stores nothing of its round", async () => {
  const business = await newBusiness(world.current);
  write(business);
  const { sql } = world.current;
  const { error, asked, runId } = await work(business, {
    answer: async ({ place }) => {
      if (place === 4) {
        await sql`
          update public.sync_runs set lease = gen_random_uuid()
          where connection_id = ${business.phoneNumber.id} and finished_at is null`;
      }
      return undefined;
    },
  });
  assert(error instanceof LeaseLost);
  assertEquals([asked.length, await stored(business)], [5, []]);
  await assertExact(business, await finish(business, runId));
});

Deno.test("of several pages that are stored at once, one with a bad conversation fails alone", async () => {
  const { sql } = world.current;
  const { phoneNumber } = await newBusiness(world.current);
  const [begun] = await sql`
    select run from public.begin_sync_run(${phoneNumber.id}, 'history', null, null, false, null)`;
  const { id, lease } = begun!.run;
  const sessions = ["good", "bad", "open", "empty"];
  const listed = sessions.map((id) => ({ id }));
  await sql`select from public.add_sync_conversations(${id}, ${lease}, ${
    sql.json(listed)
  }, null, true)`;
  const element = (phone: string, times: string[]) => ({
    kind: "conversation",
    phoneNumberId: phoneNumber.phoneNumberId,
    conversation: {
      external_conversation_id: `${phoneNumber.phoneNumberId}:${phone}`,
      participant_identifier: `+${phone}`,
      person: { phone: `+${phone}`, name: "A customer", identifiers: [] },
      messages: times.map((sentAt, place) => ({
        id: `wamid.${phone}.${place}`,
        direction: "inbound",
        type: "text",
        content: "x",
        sent_at: sentAt,
      })),
      session: { id: phone, status: "active", at: "2026-03-02T09:00:00Z" },
      thread_aliases: [],
    },
  });
  const at = "2026-03-02T09:00:00Z";
  const page = (session: string, elements: unknown[], more: Record<string, unknown> = {}) => ({
    elements,
    messages_read: elements.length,
    session_id: session,
    cursor: null,
    is_last: true,
    ...more,
  });
  const pages = [
    page("good", [element("5511900000001", [at, at])]),
    page("bad", [element("5511900000002", ["no time"]), element("5511900000003", [at])]),
    // A customer whom the first page has too is one person.
    page("open", [element("5511900000001", [at, at, at])], { cursor: "next", is_last: false }),
    page("empty", []),
  ];
  const store = (given: unknown[]) =>
    sql`select * from public.store_sync_pages(${id}, ${lease}, ${sql.json(given as never)})`;
  const [stored] = await store(pages);
  const { run, results } = stored!;
  assertEquals(
    results.map((result: { messages_added: number; errors: string[] }) => [
      result.messages_added,
      result.errors.length,
    ]),
    [[2, 0], [1, 1], [1, 0], [0, 0]],
  );
  assertEquals(
    [run.messages_read, run.messages_added, run.people_created, run.conversations_created],
    [4, 4, 2, 2],
  );
  assertEquals([run.conversations_done, run.conversations_failed], [2, 1]);
  const states = await sql`
    select session_id, state, cursor, messages_read, messages_added, error is not null as has_error
    from private.sync_conversations where run_id = ${id} order by position`;
  assertEquals(states.map((row) => Object.values(row)), [
    ["good", "done", null, 1, 2, false],
    ["bad", "failed", null, 2, 1, true],
    ["open", "waiting", "next", 1, 1, false],
    ["empty", "done", null, 0, 0, false],
  ]);

  const [again] = await store([page("open", [element("5511900000001", [at, at, at])])]);
  assertEquals(again!.results, [{ messages_added: 0, errors: [] }]);
  assertEquals([again!.run.conversations_done, again!.run.people_created], [3, 2]);
  const [none] = await store([]);
  assertEquals([none!.results, none!.run.messages_added], [[], 4]);
  await assertRejects(() =>
    sql`select from public.store_sync_pages(${id}, gen_random_uuid(), ${sql.json(pages as never)})`
  );
});
