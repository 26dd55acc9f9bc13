/**
 * Sending: every message once, also when Kapso's answers are lost.
 *
 * @module
 */

import { assert, assertEquals, assertMatch } from "@std/assert";
import { size } from "../../support/database.ts";
import { killFunction } from "../../support/kapso_sync.ts";
import { rows } from "../../support/users.ts";
import { metaRefusal } from "../../../fakes/kapso/server.ts";
import {
  ask,
  expect,
  type Inbox,
  openThread,
  readOutbox,
  readThread,
  startInbox,
  textBody,
  type Thread,
  threadOf,
  untilOutbox,
} from "../../support/inbox.ts";

let inbox: Inbox;
Deno.test.beforeAll(async () => {
  inbox = await startInbox();
});
Deno.test.afterAll(async () => {
  await inbox[Symbol.asyncDispose]();
});

const SENDS = /\/messages$/;
const lose = () => inbox.fake.misbehaveOn("POST", SENDS, { kind: "cut", afterBytes: 0 });

/** What Kapso has of what was sent to a customer. */
function sentTo({ contact }: Thread) {
  return inbox.fake.state.messages.filter((message) =>
    message.direction === "outbound" && message.conversation.contact === contact
  );
}

/** Puts a text into the outbox of a conversation without a sender. */
function insertInto(thread: Thread, age: string, text: string) {
  const { sql, team } = inbox;
  return sql`
    insert into public.outbox_messages
      (workspace_id, conversation_id, connection_id, idempotency_key, type, content, payload, queued_at)
    values (${team.owner.workspaceId}, ${thread.id}, ${inbox.phoneNumber.id}, ${crypto.randomUUID()}, 'text',
      ${text}, ${sql.json({ type: "text", text })}, now() - ${age}::interval)
    returning id`;
}

/** Calls the function as the schedule does. */
async function tick(): Promise<unknown> {
  const response = await fetch(`${inbox.info.api_url}/functions/v1/inbox/tick`, {
    method: "POST",
    headers: { apikey: inbox.info.secret_key },
  });
  assertEquals(response.status, 202);
  return await response.json();
}

/** Lets what is held back pass: everything Kapso tells is held until `release`. */
function holdWebhooks(): { release(): void } {
  const webhook = [...inbox.fake.deliveries.webhooks.values()][0]!;
  const { events } = webhook;
  const since = inbox.fake.events.length;
  webhook.events = [];
  return {
    release() {
      webhook.events = events;
      for (const event of inbox.fake.events.slice(since)) inbox.fake.deliveries.emit(event);
    },
  };
}

Deno.test("a text is sent, delivered and read", async () => {
  const { fake, info, team } = inbox;
  const thread = await openThread(inbox);
  const { message, window } = await expect(
    201,
    info,
    team.agent,
    "POST",
    "messages",
    textBody(thread),
  );
  assertEquals([message.state, message.attempts, message.content], ["sent", 1, "Bom dia, Rita"]);
  assertEquals(window.is_open, true);
  await fake.settled();
  const [sent] = sentTo(thread);
  assertEquals(message.message_id, sent!.id);
  fake.setStatus(sent!, "delivered");
  fake.setStatus(sent!, "read");
  await fake.settled();
  const [row] = await readOutbox(team.viewer, thread.id);
  assertEquals(row!.state, "read");
  const stored = await readThread(team.viewer, thread.id);
  assertEquals(stored.map(({ content, status }) => [content, status]), [
    ["bom dia", null],
    ["Bom dia, Rita", "read"],
  ]);
});

Deno.test("the same keys in parallel: each message once", async () => {
  const { info, team } = inbox;
  const count = size(100, 100);
  const thread = await openThread(inbox);
  const bodies = Array.from({ length: count }, (_, index) => textBody(thread, `text ${index}`));
  const answers = await Promise.all(
    [...bodies, ...bodies].map((body) => ask(info, team.agent, "POST", "messages", body)),
  );
  assertEquals(
    answers.map(({ status }) => status).sort(),
    [...bodies.map(() => 200), ...bodies.map(() => 201)],
  );
  await untilOutbox(
    team.agent,
    thread.id,
    (outbox) => outbox.length === count && outbox.every(({ state }) => state === "sent"),
  );
  await inbox.fake.settled();
  const texts = bodies.map(({ text }) => text).sort();
  assertEquals(
    sentTo(thread).map(({ content }) => (content.text as { body: string }).body).sort(),
    texts,
  );
  const stored = await readThread(team.agent, thread.id);
  assertEquals(stored.slice(1).map(({ content }) => content).sort(), texts);
  assertEquals(new Set(stored.map(({ id }) => id)).size, count + 1);
});

Deno.test("a lost answer: unconfirmed, settled by the webhook, never sent again", async () => {
  const { fake, info, team } = inbox;
  for (const echoes of [true, false]) {
    fake.echoesCallbackData = echoes;
    const thread = await openThread(inbox);
    const held = holdWebhooks();
    lose();
    const body = textBody(thread, "Are you there?");
    const { message } = await expect(201, info, team.agent, "POST", "messages", body);
    assertEquals([message.state, message.message_id], ["unconfirmed", null]);
    assertMatch(message.error_message, /may have been sent/);
    // Repeating the request, or sending the next one, does not send it again.
    assertEquals(
      (await expect(200, info, team.agent, "POST", "messages", body)).message.state,
      "unconfirmed",
    );
    await expect(201, info, team.agent, "POST", "messages", textBody(thread, "And now?"));
    await expect(409, info, team.agent, "POST", `messages/${message.id}/retry`, {});
    assertEquals(sentTo(thread).length, 2);
    held.release();
    await fake.settled();
    const [settled] = await readOutbox(team.agent, thread.id);
    assertEquals([settled!.state, settled!.message_id], ["sent", sentTo(thread)[0]!.id]);
    assertEquals(
      (await readThread(team.agent, thread.id)).map(({ content }) => content),
      ["bom dia", "Are you there?", "And now?"],
    );
  }
  fake.echoesCallbackData = true;
});

Deno.test("webhooks that arrive before the answer", async () => {
  const { fake, info, team, sql } = inbox;
  const thread = await openThread(inbox);
  const body = textBody(thread, "quick");
  const { message } = await expect(201, info, team.agent, "POST", "messages", body);
  await fake.settled();
  // As if the answer were recorded only now, after everything the webhooks said.
  const [sent] = sentTo(thread);
  fake.setStatus(sent!, "delivered");
  await fake.settled();
  await sql`
    update public.outbox_messages
    set state = 'sending', message_id = null, lease_expires_at = now() + interval '1 minute'
    where id = ${message.id}`;
  const [row] = await sql`
    select outbox_message ->> 'state' as state, outbox_message ->> 'message_id' as message_id
    from public.record_outbox_outcome(
      ${message.id}, ${message.attempt_token}, 'sent',
      ${
    sql.json({
      id: sent!.id,
      direction: "outbound",
      type: "text",
      content: "quick",
      media_url: null,
      sent_at: new Date().toISOString(),
      status: "pending",
    })
  }
    )`;
  assertEquals([row!.state, row!.message_id], ["delivered", sent!.id]);
  assertEquals((await readThread(team.agent, thread.id)).length, 2);
});

Deno.test("a sender that died leaves an unconfirmed message, and the queue continues", async () => {
  const { info, team, sql } = inbox;
  const thread = await openThread(inbox);
  const body = textBody(thread, "first");
  const [queued] = await sql<{ id: string }[]>`
    insert into public.outbox_messages
      (workspace_id, conversation_id, connection_id, idempotency_key, type, content, payload, state,
        attempts, attempt_token, attempt_started_at, lease_expires_at, created_by)
    values (${team.owner.workspaceId}, ${thread.id}, ${inbox.phoneNumber.id}, ${body.idempotency_key}, 'text',
      'first', ${sql.json({ type: "text", text: "first" })}, 'sending', 1, gen_random_uuid(),
      now() - interval '2 minutes', now() + interval '1 minute', ${team.agent.id})
    returning id`;
  // While it may be alive, no other sender overtakes it.
  const waiting = await expect(
    201,
    info,
    team.agent,
    "POST",
    "messages",
    textBody(thread, "second"),
  );
  assertEquals(waiting.message.state, "queued");
  await sql`
    update public.outbox_messages set lease_expires_at = now() - interval '1 second'
    where id = ${queued!.id}`;
  const { message } = await expect(
    200,
    info,
    team.agent,
    "POST",
    `messages/${waiting.message.id}/retry`,
    {},
  );
  assertEquals(message.state, "sent");
  const [dead] = await readOutbox(team.agent, thread.id);
  assertEquals([dead!.state, dead!.error_code], ["unconfirmed", "no_answer"]);
  assertEquals(sentTo(thread).length, 1);
  // A person may decide to send it again.
  assertEquals(
    (await expect(409, info, team.agent, "POST", `messages/${queued!.id}/retry`, {})).code,
    "possible_double",
  );
  const again = await expect(200, info, team.agent, "POST", `messages/${queued!.id}/retry`, {
    confirm_possible_double: true,
  });
  assertEquals([again.message.state, again.message.attempts], ["sent", 2]);
  assertEquals(sentTo(thread).length, 2);
});

Deno.test("a function killed during a send: the message is looked up, not sent again", async () => {
  const { fake, info, team, sql } = inbox;
  const thread = await openThread(inbox);
  // Kapso takes the message and says nothing.
  fake.misbehaveOn("POST", SENDS, { kind: "silent" });
  const body = textBody(thread, "into the silence");
  const request = ask(info, team.agent, "POST", "messages", body).catch(() => undefined);
  while (sentTo(thread).length === 0) await readOutbox(team.agent, thread.id);
  assert(await killFunction(inbox, "functions/inbox/"));
  await request;
  await fake.settled();
  const [row] = await readOutbox(team.agent, thread.id);
  // Its webhook named the row, so the row does not wait for the lease.
  assertEquals([row!.state, row!.message_id], ["sent", sentTo(thread)[0]!.id]);
  // And where the webhook names nothing, the lease says when to look.
  fake.echoesCallbackData = false;
  fake.misbehaveOn("POST", SENDS, { kind: "silent" });
  const second = ask(info, team.agent, "POST", "messages", textBody(thread, "once more"))
    .catch(() => undefined);
  while (sentTo(thread).length === 1) await readOutbox(team.agent, thread.id);
  assert(await killFunction(inbox, "functions/inbox/"));
  await second;
  await fake.settled();
  await sql`
    update public.outbox_messages set lease_expires_at = now() - interval '1 second'
    where conversation_id = ${thread.id} and state = 'sending'`;
  const outbox = await rows(
    team.viewer.client.rpc("check_outbox", { conversation_id: thread.id }),
  );
  fake.echoesCallbackData = true;
  assertEquals(outbox.map(({ state }) => state), ["sent", "sent"]);
  assertEquals(sentTo(thread).length, 2);
  assertEquals((await readThread(team.agent, thread.id)).length, 3);
});

Deno.test("while every third request to Kapso fails: the outbox shows what Kapso has, and nothing twice", async () => {
  const { fake, info, team } = inbox;
  const count = size(30, 300);
  const thread = await openThread(inbox);
  const texts = Array.from({ length: count }, (_, index) => `chaos ${index}`);
  fake.failureRate = 0.33;
  await Promise.all(
    texts.map((text) => expect(201, info, team.agent, "POST", "messages", textBody(thread, text))),
  );
  const isOver = ({ state }: { state: string }) => !["queued", "sending"].includes(state);
  await untilOutbox(team.agent, thread.id, (outbox) => outbox.every(isOver));
  fake.failureRate = 0;
  await fake.settled();
  const outbox = await readOutbox(team.agent, thread.id);
  const atKapso = sentTo(thread).map(({ content }) => (content.text as { body: string }).body)
    .sort();
  assertEquals(atKapso, [...new Set(atKapso)]);
  assertEquals(
    outbox.filter(({ state }) => state === "sent").map(({ content }) => content).sort(),
    atKapso,
  );
  const stored = await readThread(team.agent, thread.id);
  assertEquals(stored.slice(1).map(({ content }) => content).sort(), atKapso);
  assertEquals(
    new Set(outbox.map(({ state }) => state)).difference(
      new Set(["sent", "unconfirmed", "failed"]),
    ),
    new Set(),
  );
});

Deno.test("outside the 24 hours: refused before sending; a template is sent", async () => {
  const { fake, info, team, sql } = inbox;
  const thread = await openThread(inbox);
  await sql`
    update public.conversations set last_inbound_at = now() - interval '25 hours'
    where id = ${thread.id}`;
  const refused = await expect(422, info, team.agent, "POST", "messages", textBody(thread));
  assertEquals(refused.code, "window_closed");
  assert(Date.parse(refused.details.last_inbound_at) < Date.now() - 24 * 3600 * 1000);
  assertEquals(await readOutbox(team.agent, thread.id), []);
  fake.addTemplate({
    name: "hello",
    components: [{ type: "BODY", text: "Hello {{1}}" }],
  });
  const { templates } = await expect(
    200,
    info,
    team.agent,
    "GET",
    `templates?conversation_id=${thread.id}`,
  );
  assertEquals(templates.map(({ name }: { name: string }) => name), ["hello"]);
  const template = (parameters: unknown[]) => ({
    conversation_id: thread.id,
    idempotency_key: crypto.randomUUID(),
    type: "template",
    content: "Hello Rita",
    template: { name: "hello", language: "en", components: [{ type: "body", parameters }] },
  });
  const { message } = await expect(
    201,
    info,
    team.agent,
    "POST",
    "messages",
    template([{ type: "text", text: "Rita" }]),
  );
  assertEquals([message.state, message.content], ["sent", "Hello Rita"]);
  const wrong = await expect(201, info, team.agent, "POST", "messages", template([]));
  assertEquals(
    [wrong.message.state, wrong.message.error_code, wrong.message.can_retry],
    ["failed", "132000", false],
  );
  await fake.settled();
  assertEquals(sentTo(thread).length, 1);
  fake.state.templates.length = 0;
});

Deno.test("a message that WhatsApp refuses fails with a plain reason, and can be retried in the same row", async () => {
  const { fake, info, team } = inbox;
  const thread = await openThread(inbox);
  fake.misbehaveOn("POST", SENDS, metaRefusal(131031, "Business Account locked"));
  const body = textBody(thread);
  const { message } = await expect(201, info, team.agent, "POST", "messages", body);
  assertEquals([message.state, message.error_code], ["failed", "131031"]);
  assertMatch(message.error_message, /locked this business account/);
  assertEquals(sentTo(thread), []);
  const again = await expect(200, info, team.agent, "POST", `messages/${message.id}/retry`, {});
  assertEquals(
    [again.message.id, again.message.state, again.message.attempts, again.message.error_message],
    [message.id, "sent", 2, null],
  );
  await fake.settled();
  // And one that fails minutes after it was accepted.
  fake.setStatus(sentTo(thread)[0]!, "failed", { error: { code: 131026, title: "Undeliverable" } });
  await fake.settled();
  const [failed] = await readOutbox(team.agent, thread.id);
  assertEquals([failed!.state, failed!.error_code, failed!.can_retry], ["failed", "131026", false]);
  assertMatch(failed!.error_message!, /cannot deliver to this number/);
  const third = await expect(200, info, team.agent, "POST", `messages/${message.id}/retry`, {});
  assertEquals([third.message.state, third.message.attempts], ["sent", 3]);
  assert(third.message.message_id !== failed!.message_id);
  await fake.settled();
  assertEquals((await readOutbox(team.agent, thread.id)).map(({ state }) => state), ["sent"]);
});

Deno.test("409 and 429 mean not sent: retried for a while, without doubling", async () => {
  const { fake, info, team } = inbox;
  const thread = await openThread(inbox);
  fake.misbehaveOn(
    "POST",
    SENDS,
    { kind: "status", status: 409 },
    { kind: "status", status: 429, headers: { "Retry-After": "0" } },
    metaRefusal(131056, "Pair rate limit hit"),
  );
  const { message } = await expect(201, info, team.agent, "POST", "messages", textBody(thread));
  assertEquals([message.state, message.attempts], ["sent", 1]);
  assertEquals(sentTo(thread).length, 1);
  fake.misbehaveOn("POST", SENDS, {
    kind: "status",
    status: 429,
    headers: { "Retry-After": "60" },
  });
  const late = await expect(201, info, team.agent, "POST", "messages", textBody(thread, "late"));
  assertEquals(
    [late.message.state, late.message.error_code, late.message.can_retry],
    ["failed", "rate_limited", true],
  );
  const { message: away } = await expect(
    200,
    info,
    team.agent,
    "DELETE",
    `messages/${late.message.id}`,
  );
  assertEquals(away.state, "discarded");
});

Deno.test("replies, reactions and files", async () => {
  const { fake, info, team } = inbox;
  const thread = await openThread(inbox);
  const inbound = fake.state.messages.findLast(({ conversation }) =>
    conversation.contact === thread.contact
  )!;
  const form = new FormData();
  form.set("conversation_id", thread.id);
  form.set(
    "file",
    new File([new Uint8Array([1, 2, 3])], "../in voice.pdf", { type: "application/pdf" }),
  );
  const upload = await expect(201, info, team.agent, "POST", "uploads", form);
  assertEquals([upload.type, upload.file_name, upload.size], ["document", "in voice.pdf", 3]);
  const { message } = await expect(201, info, team.agent, "POST", "messages", {
    conversation_id: thread.id,
    idempotency_key: crypto.randomUUID(),
    type: "document",
    media_id: upload.media_id,
    caption: "The invoice",
    reply_to: inbound.id,
  });
  assertEquals([message.state, message.file_name], ["sent", "in voice.pdf"]);
  for (const emoji of ["👍", ""]) {
    const { message: reaction } = await expect(201, info, team.agent, "POST", "messages", {
      conversation_id: thread.id,
      idempotency_key: crypto.randomUUID(),
      type: "reaction",
      reply_to: inbound.id,
      emoji,
    });
    assertEquals(reaction.state, "sent");
    await fake.settled();
    const [first, second, ...others] = await readThread(team.agent, thread.id);
    assertEquals(
      (first!.reactions as { emoji: string }[] | null)?.map((one) => one.emoji) ?? [],
      emoji === "" ? [] : [emoji],
    );
    assertEquals([second!.type, second!.content, second!.reply_to], [
      "file",
      "The invoice",
      inbound.id,
    ]);
    assertEquals(others, []);
  }
  // Another user's upload cannot be sent.
  const other = await openThread(inbox);
  const stolen = await expect(404, info, team.agent, "POST", "messages", {
    conversation_id: other.id,
    idempotency_key: crypto.randomUUID(),
    type: "document",
    media_id: upload.media_id,
  });
  assertEquals(stolen.code, "upload_not_found");
  const odd = new FormData();
  odd.set("conversation_id", thread.id);
  odd.set("file", new File([new Uint8Array(3)], "a.exe", { type: "application/x-msdownload" }));
  assertEquals(
    (await expect(415, info, team.agent, "POST", "uploads", odd)).code,
    "file_type_unsupported",
  );
});

Deno.test("a customer with a username alone gets replies too", async () => {
  const { fake, info, team } = inbox;
  const contact = fake.addContact({ phone: null, username: "rita" });
  fake.receiveMessage(contact, "oi");
  await fake.settled();
  const thread = { id: await threadOf(inbox, contact), contact };
  const { message } = await expect(201, info, team.agent, "POST", "messages", textBody(thread));
  assertEquals(message.state, "sent");
  await fake.settled();
  assertEquals(sentTo(thread).length, 1);
  assertEquals((await readThread(team.agent, thread.id)).length, 2);
});

Deno.test("unsendable messages are refused: another key's message, another platform, a deleted number", async () => {
  const { info, team, sql } = inbox;
  const thread = await openThread(inbox);
  const body = textBody(thread);
  await expect(201, info, team.agent, "POST", "messages", body);
  const reused = await expect(409, info, team.agent, "POST", "messages", { ...body, text: "else" });
  assertEquals(reused.code, "idempotency_key_reused");
  for (
    const wrong of [
      { ...body, type: "carrier pigeon" },
      { ...body, text: " " },
      { ...body, text: "x".repeat(4097) },
      { ...body, type: "reaction", emoji: "👍" },
      { ...body, conversation_id: "1" },
    ]
  ) {
    assertEquals(
      (await expect(400, info, team.agent, "POST", "messages", wrong)).code,
      "invalid_request",
    );
  }
  await sql`update public.connections set is_active = false where id = ${inbox.phoneNumber.id}`;
  const off = await expect(422, info, team.agent, "POST", "messages", textBody(thread));
  assertEquals(off.code, "connection_not_ready");
  await sql`update public.connections set is_active = true where id = ${inbox.phoneNumber.id}`;
  const [telegram] = await sql<{ id: string }[]>`
    insert into public.conversations (workspace_id, user_id, platform, external_conversation_id,
      participant_identifier, last_inbound_at)
    values (${team.owner.workspaceId}, ${team.owner.id}, 'telegram', ${crypto.randomUUID()}, 'x', now())
    returning id`;
  const silent = await expect(
    422,
    info,
    team.agent,
    "POST",
    "messages",
    textBody({ id: telegram!.id, contact: thread.contact }),
  );
  assertEquals(silent.code, "platform_without_sending");
});

Deno.test("the schedule sends waiting messages, and accepts the service key alone", async () => {
  const { info, team } = inbox;
  const thread = await openThread(inbox);
  await insertInto(thread, "1 minute", "waiting");
  await insertInto(thread, "1 hour", "forgotten");
  await expect(403, info, team.owner, "POST", "tick");
  assertEquals(await tick(), { threads: 1 });
  const outbox = await untilOutbox(
    team.agent,
    thread.id,
    (found) => found.some(({ state }) => state === "sent"),
  );
  assertEquals(
    outbox.map(({ state, error_code }) => `${state} ${error_code}`).sort(),
    ["failed not_sent", "sent null"],
  );
  // It sends once, for any number of callers.
  const busy = await openThread(inbox);
  await Promise.all(["one", "two", "three"].map((text) => insertInto(busy, "1 minute", text)));
  await Promise.all(Array.from({ length: 5 }, tick));
  await untilOutbox(team.agent, busy.id, (found) => found.every(({ state }) => state === "sent"));
  assertEquals(sentTo(busy).length, 3);
});

Deno.test("a retry that is clicked five times is one", async () => {
  const { fake, info, team } = inbox;
  const thread = await openThread(inbox);
  fake.misbehaveOn("POST", SENDS, metaRefusal(131031, "Business Account locked"));
  const { message } = await expect(201, info, team.agent, "POST", "messages", textBody(thread));
  assertEquals(message.state, "failed");
  const answers = await Promise.all(
    Array.from(
      { length: 5 },
      () => ask(info, team.agent, "POST", `messages/${message.id}/retry`, {}),
    ),
  );
  for (const { status } of answers) assert([200, 409].includes(status), `${status}`);
  await untilOutbox(team.agent, thread.id, ([row]) => row!.state === "sent");
  assertEquals(sentTo(thread).length, 1);
  assertEquals((await readOutbox(team.agent, thread.id))[0]!.attempts, 2);
});

Deno.test("messages that wait for an inactive number, or beyond the 24 hours, fail with the reason", async () => {
  const { fake, info, team, sql } = inbox;
  const thread = await openThread(inbox);
  const queue = async (text: string) => {
    const [row] = await insertInto(thread, "1 minute", text) as unknown as [{ id: string }];
    return row.id;
  };
  const first = await queue("while it is off");
  await sql`update public.connections set is_active = false where id = ${inbox.phoneNumber.id}`;
  // A retry makes it the next message, which cannot be sent.
  const off = await expect(200, info, team.agent, "POST", `messages/${first}/retry`, {});
  assertEquals([off.message.state, off.message.error_code], ["failed", "connection_not_ready"]);
  await sql`update public.connections set is_active = true where id = ${inbox.phoneNumber.id}`;
  fake.misbehaveOn("POST", SENDS, metaRefusal(131047, "Re-engagement message"));
  const late = await queue("the day is over");
  await tick();
  const [, closed] = await untilOutbox(team.agent, thread.id, ([, row]) => row!.state === "failed");
  assertEquals([closed!.id, closed!.error_code, closed!.can_retry], [late, "131047", false]);
  assertMatch(closed!.error_message!, /Send a template/);
  // Nor is it tried again as it is.
  await sql`
    update public.conversations set last_inbound_at = now() - interval '25 hours'
    where id = ${thread.id}`;
  const refused = await expect(422, info, team.agent, "POST", `messages/${late}/retry`, {});
  assertEquals(refused.code, "window_closed");
  assertEquals(sentTo(thread), []);
});
