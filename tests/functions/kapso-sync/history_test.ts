/**
 * History: after a run everything that a phone number has at Kapso is stored exactly once, despite failures and
 * changes during the run.
 *
 * @module
 */

import { assert, assertEquals } from "@std/assert";
import { size } from "../../support/database.ts";
import { eventually } from "../../support/eventually.ts";
import type { FakeKapso } from "../../../fakes/kapso/fake_kapso.ts";
import { seedHistory } from "../../../fakes/kapso/history.ts";
import { createRandom } from "../../../fakes/kapso/random.ts";
import { threadFaults } from "../../support/messages.ts";
import {
  connectWebhook,
  ending,
  expireWaits,
  kapsoIds,
  killFunction,
  post,
  startWorld,
  storedIds,
  syncAll,
  type World,
} from "../../support/kapso_sync.ts";

const DAY_SECONDS = 24 * 60 * 60;
const CONVERSATIONS = size(60, 500);
const MESSAGES = size(1_500, 20_000);
const KILLS = size(3, 20);

Deno.test("conversations, people, files, replies, reactions and statuses arrive unchanged", async () => {
  await using world = await startWorld({ startAt: Date.now() - 3 * DAY_SECONDS * 1000 });
  const { fake, info, sql } = world;
  const rita = fake.addContact({ phone: "5511988887777", name: "Rita" });
  const hidden = fake.addContact({ phone: null, bsuid: "BR.1234567890", username: "joao" });
  const question = fake.receiveMessage(rita, "bom dia");
  const answer = fake.sendMessage(rita, "oi Rita", { replyTo: question });
  fake.setStatus(answer, "sent");
  fake.setStatus(answer, "read");
  fake.react(answer, "👍");
  fake.receiveMessage(rita, { type: "image", caption: "the receipt" });
  fake.endSession(fake.sessionOf(rita)!);
  fake.clock.advance(DAY_SECONDS);
  fake.receiveMessage(rita, "one more thing");
  fake.receiveMessage(hidden, "who am I");
  fake.importMessage(rita, "inbound", "from last year", Date.now() - 300 * DAY_SECONDS * 1000);
  fake.clock.advance(DAY_SECONDS);

  const end = ending(await syncAll(info, { connection_id: world.phoneNumber.phoneNumberId }));
  assertEquals(end.type, "done");
  assertEquals(end.messages_added, kapsoIds(fake).length);
  assertEquals(end.people_created, 2);
  assertEquals(end.conversations_created, 2);
  assertEquals(await storedIds(world), kapsoIds(fake));

  const threads = await sql`
    select thread.participant_identifier, thread.participant_name, thread.unread_count, export.messages,
      person.name, person.kapso_name, person.phone,
      (
        select count(*)::integer from public.conversation_sessions as session
        where session.conversation_id = thread.id
      ) as sessions
    from public.conversations as thread
    join public.conversation_export as export on export.id = thread.id
    join public.people as person on person.id = thread.person_id
    where thread.workspace_id = ${world.user.workspaceId}
    order by person.phone nulls last`;
  assertEquals(threads.length, 2, "sessions of one contact are one thread");
  const [ofRita, ofHidden] = threads;
  assertEquals(ofRita!.participant_name, "Rita");
  assertEquals([ofRita!.name, ofRita!.kapso_name, ofRita!.phone], [
    "Rita",
    "Rita",
    "+5511988887777",
  ]);
  assertEquals(ofRita!.sessions, 2);
  assertEquals(ofRita!.unread_count, 0, "imported history is quiet");
  assertEquals(ofHidden!.participant_identifier, "BR.1234567890");

  const messages: Record<string, unknown>[] = ofRita!.messages;
  assertEquals(messages.map(({ content, type }) => content || type), [
    "from last year",
    "bom dia",
    "oi Rita",
    "the receipt",
    "one more thing",
  ]);
  const [, , reply, image] = messages;
  assertEquals(reply!.direction, "outbound");
  assertEquals(reply!.status, "read");
  assertEquals(reply!.reply_to, question.id);
  assert(JSON.stringify(reply!.reactions).includes("👍"));
  assert(String(image!.media_url).startsWith("http"));
  // This project has no Storage, and the message says so: only the link is stored.
  const media = () =>
    sql`
      select from public.conversations as thread
      cross join lateral jsonb_array_elements(thread.messages) as message (value)
      where thread.workspace_id = ${world.user.workspaceId}
        and message.value #>> '{metadata,media,state}' = 'linked'`;
  while ((await media()).count === 0);

  const again = ending(await syncAll(info, { connection_id: world.phoneNumber.phoneNumberId }));
  assertEquals(again.type, "done");
  assertEquals(again.messages_added, 0, "a second run adds nothing");
  assertEquals([again.people_created, again.conversations_created], [0, 0]);
  assertEquals(await storedIds(world), kapsoIds(fake));
});

Deno.test(`${MESSAGES} messages of ${CONVERSATIONS} conversations arrive although Kapso fails again and again`, async () => {
  await using world = await startWorld();
  fill(world.fake);
  world.fake.failureRate = size(0.04, 0.1);
  const end = ending(await syncAll(world.info, everything(world)));
  assertEquals(end.type, "done", end.error ?? "");
  assertEquals(end.messages_added, kapsoIds(world.fake).length);
  await assertExact(world);

  const requests = world.fake.requests.length;
  const again = ending(await syncAll(world.info, everything(world)));
  assertEquals([again.type, again.messages_added], ["done", 0]);
  assert(world.fake.requests.length > requests, "it read everything again");
  await assertExact(world);
});

Deno.test(`a run that is killed ${KILLS} times resumes and is exact in the end`, async () => {
  await using world = await startWorld();
  fill(world.fake);
  const random = createRandom(11);
  for (let kill = 0; kill < KILLS; kill++) {
    const response = await post(world.info, everything(world));
    const lines = readLines(response);
    let isKilled = false;
    for (let left = 3 + random.below(size(40, 120)); left > 0; left--) {
      const { done } = await lines.next();
      if (done) break;
      if (left === 1) isKilled = await killFunction(world);
    }
    assert(isKilled, "the run had ended before it could be killed");
    // Requests that were under way when the process died.
    try {
      while (!(await lines.next()).done);
    } catch { /* The connection broke. */ }
    const [run] = await world.sql<{ id: string }[]>`
      select id from public.sync_runs where connection_id = ${world.phoneNumber.id} and finished_at is null`;
    await expireWaits(world.info, run!.id);
  }
  const end = ending(await syncAll(world.info, everything(world)));
  assertEquals(end.type, "done", end.error ?? "");
  await assertExact(world);
  const [runs] = await world.sql`
    select count(*)::integer as count from public.sync_runs where connection_id = ${world.phoneNumber.id}`;
  assertEquals(runs!.count, 1, "it was one run all the time");
});

Deno.test("webhooks during the walk and a list that moves: no message is lost or stored twice, no status goes back", async () => {
  await using world = await startWorld();
  const { fake, info } = world;
  fill(fake);
  connectWebhook(world);
  const random = createRandom(5);
  let isOver = false;
  const chatter = (async () => {
    while (!isOver) {
      // A new message moves its conversation to the front of the list.
      const contact = random.pick(fake.state.contacts);
      fake.receiveMessage(contact, `live ${random.hex(8)}`);
      const sent = fake.sendMessage(contact, "an answer");
      for (const status of ["sent", "delivered", "read"] as const) fake.setStatus(sent, status);
      // As fast as this machine takes it, and not faster: events that pile up drown the run.
      await fake.settled();
      const asked = fake.requests.length;
      await eventually(
        "the walk goes a step further",
        () => isOver || fake.requests.length > asked,
      );
    }
  })();
  const end = ending(await syncAll(info, everything(world)));
  isOver = true;
  await chatter;
  await fake.settled();
  assertEquals(end.type, "done", end.error ?? "");
  // The last messages arrived by webhook.
  await assertExact(world);
  const lowered = await world.sql`
    select count(*)::integer as count
    from public.conversation_export as thread
    cross join lateral jsonb_array_elements(thread.messages) as message (value)
    where thread.workspace_id = ${world.user.workspaceId}
      and message.value ->> 'content' = 'an answer' and message.value ->> 'status' <> 'read'`;
  assertEquals(lowered[0]!.count, 0);
  const [live] = await world.sql`
    select sum(inbound_arrivals)::integer as arrived,
      (
        select count(*)::integer
        from public.conversation_export as thread
        cross join lateral jsonb_array_elements(thread.messages) as message (value)
        where thread.workspace_id = ${world.user.workspaceId} and message.value ->> 'content' like 'live %'
      ) as written
    from public.conversations where workspace_id = ${world.user.workspaceId}`;
  assertEquals(
    live!.arrived,
    live!.written,
    "live messages arrive, whichever way they came first",
  );
});

/** Creates a year of conversations; some customers have several. */
function fill(fake: FakeKapso): void {
  seedHistory(fake, {
    conversations: CONVERSATIONS,
    contacts: Math.ceil(CONVERSATIONS * 0.8),
    messages: MESSAGES,
    days: 365,
  });
}

function everything({ phoneNumber }: World): Record<string, unknown> {
  return { connection_id: phoneNumber.phoneNumberId, messages_per_conversation: "all" };
}

/** Checks that everything is stored once, in order, with correct counts. */
async function assertExact(world: World): Promise<void> {
  const stored = await storedIds(world);
  const expected = kapsoIds(world.fake);
  assertEquals(stored.length, expected.length);
  assertEquals(stored, expected);
  const threads = await world.sql<{ id: string }[]>`
    select id from public.conversations where workspace_id = ${world.user.workspaceId}`;
  for (const { id } of threads) assertEquals(await threadFaults(world.sql, id), []);
}

async function* readLines(response: Response): AsyncGenerator<string> {
  let text = "";
  for await (const chunk of response.body!.pipeThrough(new TextDecoderStream())) {
    text += chunk;
    for (let end = text.indexOf("\n"); end >= 0; end = text.indexOf("\n")) {
      yield text.slice(0, end);
      text = text.slice(end + 1);
    }
  }
}
