import { assert, assertEquals, assertRejects } from "@std/assert";
import { createKapsoClient } from "../../supabase/functions/_shared/kapso/api/client.ts";
import { verifySignature } from "../../supabase/functions/_shared/kapso/webhook/signature.ts";
import { normalize } from "../../supabase/functions/_shared/kapso/webhook/normalize.ts";
import { size } from "../support/database.ts";
import { type FakeKapsoOptions, startFakeKapso } from "../../fakes/kapso/fake_kapso.ts";
import { metaRefusal } from "../../fakes/kapso/server.ts";
import { eventually } from "../support/eventually.ts";

const SECRET = "secret-of-the-test";

interface Received {
  at: number;
  key: string;
  event: string;
  headers: Headers;
  bytes: Uint8Array<ArrayBuffer>;
  // deno-lint-ignore no-explicit-any
  body: any;
}

/** A receiver of webhooks; `answer` decides what each request gets. */
function startReceiver(answer: (received: Received, count: number) => number | Promise<number>) {
  const received: Received[] = [];
  const server = Deno.serve(
    { hostname: "127.0.0.1", port: 0, onListen: () => {} },
    async (request) => {
      const bytes = new Uint8Array(await request.arrayBuffer());
      const item = {
        at: performance.now(),
        key: request.headers.get("X-Idempotency-Key")!,
        event: request.headers.get("X-Webhook-Event")!,
        headers: request.headers,
        bytes,
        body: JSON.parse(new TextDecoder().decode(bytes)),
      };
      received.push(item);
      return new Response(null, { status: await answer(item, received.length) });
    },
  );
  return {
    received,
    url: `http://127.0.0.1:${server.addr.port}/`,
    [Symbol.asyncDispose]: () => server.shutdown(),
  };
}

const start = (options: FakeKapsoOptions = {}) => startFakeKapso({ timeScale: 0.01, ...options });

/** Which of the ids came, in order. */
const idsOf = (received: Received[]) => received.map(({ body }) => body.message?.id);

// Deliveries --------------------------------------------------------------------------------------

Deno.test("the fake signs what it delivers, and it can be normalized", async () => {
  await using receiver = startReceiver(() => 200);
  await using fake = await start();
  fake.addWebhook({ url: receiver.url, secretKey: SECRET, headers: { "X-Mine": "yes" } });
  const rita = fake.addContact({ name: "Rita", phone: "5511988887777", waId: "551188887777" });
  const hello = fake.receiveMessage(rita, "olá ☀️");
  fake.receiveMessage(rita, { type: "image", caption: "look" });
  fake.receiveMessage(rita, { type: "audio", transcript: "hi there" });
  const reply = fake.sendMessage(rita, "bom dia", { replyTo: hello });
  fake.businessAppMessage(rita, "I'll call you");
  fake.setStatus(reply, "delivered");
  fake.setStatus(reply, "read");
  fake.react(reply, "👍");
  fake.react(reply, null);
  fake.goInactive(fake.sessionOf(rita)!);
  fake.endSession(fake.sessionOf(rita)!);
  fake.changeIdentity(rita, { bsuid: "BR.77" });
  fake.setMarketingPreference(rita, "stopped");
  await fake.settled();

  assertEquals(receiver.received.length, fake.events.length);
  const keys = new Set<string>();
  for (const { bytes, headers, event, body } of receiver.received) {
    const signature = headers.get("X-Webhook-Signature");
    assertEquals(await verifySignature(bytes, signature, [SECRET]), SECRET);
    assertEquals(headers.get("X-Webhook-Payload-Version"), "v2");
    assertEquals(headers.get("X-Mine"), "yes");
    for (const element of normalize({ event }, body)) {
      assert(element.kind !== "ignored", event);
      if (element.kind === "conversation") {
        keys.add(element.conversation.external_conversation_id);
      }
    }
  }
  assertEquals([...keys], ["100000000000123:5511988887777"]);
  // In order, though statuses are not held.
  assertEquals(
    receiver.received.filter(({ event }) => /received|sent/.test(event)).map(({ event }) => event),
    ["received", "received", "received", "sent", "sent", "received", "received"]
      .map((name) => `whatsapp.message.${name}`),
  );
});

Deno.test("the fake attempts a delivery four times, after 10, 40 and 90 seconds, with one key", async () => {
  await using receiver = startReceiver(() => 500);
  await using fake = await start();
  const webhook = fake.addWebhook({ url: receiver.url, secretKey: SECRET });
  fake.receiveMessage(fake.addContact(), "hi", {});
  await fake.settled();
  const attempts = receiver.received.filter(({ event }) => event === "whatsapp.message.received");
  assertEquals(attempts.length, 4);
  assertEquals(new Set(attempts.map(({ key }) => key)).size, 1);
  const waits = attempts.slice(1).map(({ at }, index) => at - attempts[index]!.at);
  for (const [index, seconds] of [10, 40, 90].entries()) {
    const realMs = fake.clock.realMs(seconds);
    assert(waits[index]! >= realMs * 0.9 && waits[index]! < realMs + 2000, String(waits));
  }
  assertEquals(fake.deliveries.log[0]?.status, "failed");
  assertEquals(fake.deliveries.log[0]?.error, "HTTP 500");
  assertEquals(webhook.active, true);
});

Deno.test("the fake times out a receiver that does not answer, and retries", async () => {
  const { promise: end, resolve: release } = Promise.withResolvers<number>();
  await using receiver = startReceiver((_, count) => count === 1 ? end : 200);
  await using fake = await start({ delivery: { answerTimeoutMs: 50, retryDelaysSeconds: [1] } });
  fake.addWebhook({ url: receiver.url, secretKey: SECRET, events: ["whatsapp.message.received"] });
  fake.receiveMessage(fake.addContact(), "hi");
  await fake.settled();
  release(200);
  const [delivery] = fake.deliveries.log;
  assertEquals(delivery?.status, "delivered");
  assertEquals(delivery?.attempts.map(({ status, error }) => status ?? error), [
    "TimeoutError",
    200,
  ]);
});

Deno.test("the fake holds back later messages of a conversation, but no statuses and no other conversations", async () => {
  let isDown = true;
  await using receiver = startReceiver(({ body }) =>
    isDown && body.message?.id === first.id ? 503 : 200
  );
  await using fake = await start();
  fake.addWebhook({ url: receiver.url, secretKey: SECRET });
  const [rita, joao] = [fake.addContact(), fake.addContact()];
  const first = fake.receiveMessage(rita, "one");
  const second = fake.receiveMessage(rita, "two");
  const other = fake.receiveMessage(joao, "other");
  const sent = fake.sendMessage(rita, "answer");
  fake.setStatus(sent, "delivered");
  // Three messages and two new conversations.
  await eventually("five events have arrived", () => receiver.received.length >= 5);
  const early = receiver.received.filter(({ event }) => event.includes(".message."));
  assertEquals(
    new Set(early.map(({ body, event }) => `${event.split(".")[2]} ${body.message.id}`)),
    new Set([`received ${first.id}`, `received ${other.id}`, `delivered ${sent.id}`]),
  );
  isDown = false;
  await fake.settled();
  const ritas = receiver.received.filter(({ event, body }) =>
    /\.(received|sent)$/.test(event) && body.message.id !== other.id
  );
  assertEquals(idsOf(ritas), [first.id, first.id, second.id, sent.id]);
});

Deno.test("the fake lets a message pass after 30 seconds of waiting for an earlier one", async () => {
  await using receiver = startReceiver(({ body }) => body.message?.id === first.id ? 503 : 200);
  await using fake = await start();
  fake.addWebhook({ url: receiver.url, secretKey: SECRET });
  const rita = fake.addContact();
  const first = fake.receiveMessage(rita, "one");
  const second = fake.receiveMessage(rita, "two");
  await fake.settled();
  const messages = receiver.received.filter(({ event }) => event.includes(".message."));
  // Attempts at 0 and 10, the hold ends at 30, attempts at 50 and 140.
  assertEquals(idsOf(messages), [first.id, first.id, second.id, first.id, first.id]);
});

Deno.test("the fake buffers received messages per conversation", async () => {
  await using receiver = startReceiver(() => 200);
  await using fake = await start();
  fake.addWebhook({
    url: receiver.url,
    secretKey: SECRET,
    bufferEnabled: true,
    maxBufferSize: 3,
    events: ["whatsapp.message.received", "whatsapp.message.sent"],
  });
  const [rita, joao] = [fake.addContact(), fake.addContact()];
  const ids = ["one", "two", "three", "four"].map((text) => fake.receiveMessage(rita, text).id);
  fake.receiveMessage(joao, "alone");
  fake.sendMessage(joao, "not buffered");
  await fake.settled();
  const batches = receiver.received.filter(({ body }) => body.batch === true);
  assertEquals(batches.map(({ body }) => body.data.length), [3, 1, 1]);
  assertEquals(batches.map(({ headers }) => headers.get("X-Batch-Size")), ["3", "1", "1"]);
  // deno-lint-ignore no-explicit-any
  const ritas = batches.flatMap(({ body }) => body.data).map((item: any) => item.message.id);
  assertEquals(ritas.filter((id) => ids.includes(id)), ids);
  assertEquals(batches[1]?.body.batch_info.first_sequence, 4);
  const elements = batches.flatMap(({ event, body }) => normalize({ event }, body));
  assertEquals(elements.map(({ kind }) => kind), Array(5).fill("conversation"));
  assertEquals(receiver.received.length, 4);
});

Deno.test("the fake resends a refused batch as single events, with new keys", async () => {
  await using receiver = startReceiver(({ body }) => body.batch ? 500 : 200);
  await using fake = await start({ delivery: { retryDelaysSeconds: [1] } });
  fake.addWebhook({
    url: receiver.url,
    secretKey: SECRET,
    bufferEnabled: true,
    events: ["whatsapp.message.received"],
  });
  const rita = fake.addContact();
  const ids = ["one", "two"].map((text) => fake.receiveMessage(rita, text).id);
  await fake.settled();
  assertEquals(receiver.received.map(({ body }) => body.batch === true), [
    true,
    true,
    false,
    false,
  ]);
  assertEquals(idsOf(receiver.received.slice(2)), ids);
  assertEquals(new Set(receiver.received.map(({ key }) => key)).size, 3);
});

Deno.test("the fake pauses a webhook that fails nearly always, and never resumes it by itself", async () => {
  let status = 500;
  await using receiver = startReceiver(() => status);
  await using fake = await start({ delivery: { retryDelaysSeconds: [] } });
  const webhook = fake.addWebhook({
    url: receiver.url,
    secretKey: SECRET,
    events: ["whatsapp.message.received"],
  });
  for (let count = 0; count < 19; count++) fake.receiveMessage(fake.addContact(), "hi");
  await fake.settled();
  assertEquals(webhook.active, true);
  fake.receiveMessage(fake.addContact(), "hi");
  await fake.settled();
  assertEquals([webhook.active, webhook.isAutoPaused], [false, true]);

  status = 200;
  const before = receiver.received.length;
  fake.receiveMessage(fake.addContact(), "no webhook for this");
  await fake.settled();
  assertEquals(receiver.received.length, before);
  fake.deliveries.setActive(webhook, true);
  fake.receiveMessage(fake.addContact(), "but this");
  await fake.settled();
  assertEquals(receiver.received.length, before + 1);
});

Deno.test("the fake fails the deliveries that wait for a paused webhook", async () => {
  await using receiver = startReceiver(() => 500);
  await using fake = await start();
  const webhook = fake.addWebhook({ url: receiver.url, secretKey: SECRET });
  fake.receiveMessage(fake.addContact(), "hi");
  await eventually(
    "each delivery was attempted",
    () => fake.deliveries.log.every(({ attempts }) => attempts.length > 0),
  );
  fake.deliveries.setActive(webhook, false);
  await fake.settled();
  for (const { status, error } of fake.deliveries.log) {
    assertEquals([status, error], ["failed", "Webhook inactive; delivery skipped"]);
  }
});

Deno.test("the fake does not pause a webhook that fails from time to time", async () => {
  await using receiver = startReceiver((_, count) => count % 4 === 0 ? 200 : 500);
  await using fake = await start({ delivery: { retryDelaysSeconds: [] } });
  const webhook = fake.addWebhook({
    url: receiver.url,
    secretKey: SECRET,
    events: ["whatsapp.message.received"],
  });
  for (let count = 0; count < 60; count++) fake.receiveMessage(fake.addContact(), "hi");
  await fake.settled();
  assertEquals(webhook.active, true);
});

Deno.test("the fake makes the same ids for the same seed", async () => {
  const play = async (seed: number) => {
    await using fake = await start({ seed });
    const rita = fake.addContact();
    fake.receiveMessage(rita, { type: "image" });
    return [rita.phone, rita.id, ...fake.state.messagesById.keys(), ...fake.state.media.keys()];
  };
  assertEquals(await play(7), await play(7));
  assert(JSON.stringify(await play(7)) !== JSON.stringify(await play(8)));
});

// REST --------------------------------------------------------------------------------------------

type Fake = Awaited<ReturnType<typeof startFakeKapso>>;

/** Call the API. */
async function call(fake: Fake, method: string, path: string, body?: unknown, headers = {}) {
  const response = await fetch(fake.url + path, {
    method,
    headers: { "X-API-Key": fake.apiKey, "Content-Type": "application/json", ...headers },
    ...(body === undefined ? {} : { body: JSON.stringify(body) }),
  });
  const text = await response.text();
  const isJson = response.headers.get("content-type")?.includes("json");
  // deno-lint-ignore no-explicit-any
  const json: any = isJson ? JSON.parse(text) : undefined;
  return { status: response.status, headers: response.headers, text, json };
}

const PROXY = "/meta/whatsapp/v24.0";
const PLATFORM = "/platform/v1/whatsapp";

Deno.test("the fake requires its key and the version", async () => {
  await using fake = await start();
  const path = `/${fake.phoneNumber.phoneNumberId}/messages`;
  assertEquals((await call(fake, "GET", PROXY + path)).status, 200);
  const noVersion = await call(fake, "GET", `/meta/whatsapp${path}`);
  assertEquals([noVersion.status, noVersion.text.startsWith("<!DOCTYPE html>")], [404, true]);
  const headers = { "X-API-Key": "wrong", Authorization: `Bearer ${fake.apiKey}` };
  const wrong = await call(fake, "GET", PROXY + path, undefined, headers);
  assertEquals([wrong.status, wrong.json.error], [
    401,
    "Invalid credentials for WhatsApp configuration",
  ]);
  assertEquals((await call(fake, "GET", `${PROXY}/555/messages`)).status, 404);
});

Deno.test("the fake limits requests by the minute", async () => {
  await using fake = await start({ rateLimit: 3, timeScale: 1 });
  // Limits count the minutes of the clock: the requests are sent at the beginning of one.
  fake.clock.advance(60 - (fake.clock.now() / 1000) % 60);
  const path = `${PLATFORM}/phone_numbers`;
  for (const remaining of ["2", "1", "0"]) {
    const { headers } = await call(fake, "GET", path);
    assertEquals(headers.get("X-RateLimit-Limit"), "3");
    assertEquals(headers.get("X-RateLimit-Remaining"), remaining);
  }
  const refused = await call(fake, "GET", path);
  assertEquals([refused.status, refused.json.error], [429, "Rate limit exceeded"]);
  assertEquals(refused.headers.get("Retry-After"), "60");
  fake.clock.advance(60);
  assertEquals((await call(fake, "GET", path)).status, 200);
});

Deno.test("the fake lists messages page by page, newest first, by when they were stored", async () => {
  await using fake = await start({ rateLimit: null });
  const rita = fake.addContact({ name: "Rita" });
  const old = fake.importMessage(rita, "outbound", "long ago", fake.clock.now() - 1e10);
  const ids = Array.from({ length: 54 }, (_, at) => fake.receiveMessage(rita, `no. ${at}`).id);
  const base = `${PROXY}/${fake.phoneNumber.phoneNumberId}/messages`;
  const walked: string[] = [];
  let after: string | null = "";
  while (after !== null) {
    const { json } = await call(fake, "GET", `${base}?limit=10${after && `&after=${after}`}`);
    walked.push(...json.data.map(({ id }: { id: string }) => id));
    after = json.paging.cursors.after;
    // What comes meanwhile is before the cursor.
    fake.receiveMessage(rita, "meanwhile");
  }
  assertEquals(walked, [...ids.toReversed(), old.id]);

  const { json: page } = await call(
    fake,
    "GET",
    `${base}?limit=1&fields=${encodeURIComponent("kapso(*)")}`,
  );
  assertEquals(page.data[0].kapso.status, "delivered");
  assertEquals(page.data[0].kapso.origin, "cloud_api");
  const { json: plain } = await call(fake, "GET", `${base}?limit=1`);
  assertEquals(plain.data[0].kapso.origin, undefined);
  assertEquals(plain.data[0].kapso.contact_name, "Rita");
  const { json: row } = await call(fake, "GET", `${PLATFORM}/messages/${old.id}`);
  assertEquals([row.data.kapso.origin, Number(row.data.timestamp) * 1000 < old.createdAt], [
    "history_sync",
    true,
  ]);
  const since = new Date(old.createdAt).toISOString();
  assert((await call(fake, "GET", `${base}?since=${since}`)).json.data.length > 0);
  const until = new Date(old.createdAt - 1).toISOString();
  assertEquals((await call(fake, "GET", `${base}?until=${until}`)).json.data, []);
  assertEquals((await call(fake, "GET", `${base}?limit=0`)).status, 400);
  assertEquals((await call(fake, "GET", `${base}?after=x`)).status, 400);
});

Deno.test("the fake's list of conversations changes while it is read", async () => {
  await using fake = await start({ rateLimit: null });
  const contacts = Array.from({ length: 9 }, () => {
    const contact = fake.addContact();
    fake.receiveMessage(contact, "hi");
    fake.clock.advance(60);
    return contact;
  });
  const base = `${PROXY}/${fake.phoneNumber.phoneNumberId}/conversations`;
  const first = (await call(fake, "GET", `${base}?limit=4`)).json;
  // The oldest jumps to the front, and the walk passes it by.
  fake.receiveMessage(contacts[0]!, "me again");
  const rest =
    (await call(fake, "GET", `${base}?limit=100&after=${first.paging.cursors.after}`)).json;
  const seen = [...first.data, ...rest.data].map(({ phone_number }) => phone_number);
  assertEquals(seen, contacts.slice(1).map(({ phone }) => phone).reverse());
  assertEquals(rest.paging.cursors.after, null);
  const both = await call(fake, "GET", `${base}?unassigned=true&assigned_user_id=1`);
  assertEquals(both.status, 422);
});

Deno.test("the fake opens a new session after a day, and closes and reopens only the newest", async () => {
  await using fake = await start();
  const rita = fake.addContact();
  fake.receiveMessage(rita, "monday");
  const old = fake.sessionOf(rita)!;
  fake.clock.advance(25 * 60 * 60);
  fake.receiveMessage(rita, "tuesday");
  const session = fake.sessionOf(rita)!;
  assertEquals([old.status, session.id === old.id], ["ended", false]);
  assertEquals(fake.events.map(({ event }) => event.replace("whatsapp.", "")), [
    "message.received",
    "conversation.created",
    "conversation.ended",
    "message.received",
    "conversation.created",
  ]);
  const patch = (id: string, status: string) =>
    call(fake, "PATCH", `${PLATFORM}/conversations/${id}`, { whatsapp_conversation: { status } });
  assertEquals((await patch(session.id, "ended")).json.data.status, "ended");
  assertEquals(fake.events.at(-1)?.event, "whatsapp.conversation.ended");
  assertEquals((await patch(session.id, "active")).json.data.status, "active");
  assertEquals((await patch(old.id, "active")).status, 422);
  assertEquals((await patch(session.id, "paused")).status, 422);
  assertEquals((await patch("unknown", "ended")).status, 404);
});

Deno.test("the fake sends within 24 hours, and a template at any time", async () => {
  await using fake = await start();
  const rita = fake.addContact({ phone: "5511988887777", waId: "551188887777" });
  const send = (body: object) =>
    call(fake, "POST", `${PROXY}/${fake.phoneNumber.phoneNumberId}/messages`, {
      messaging_product: "whatsapp",
      to: "5511988887777",
      ...body,
    });
  const text = { type: "text", text: { body: "hello" } };
  const closed = await send(text);
  assertEquals([closed.status, closed.json.error.code], [422, 131047]);
  const template = { type: "template", template: { name: "hello", language: { code: "en" } } };
  assertEquals((await send(template)).status, 200);

  const hi = fake.receiveMessage(rita, "hi");
  const sent = await send({
    ...text,
    context: { message_id: hi.id },
    biz_opaque_callback_data: "outbox-1",
  });
  assertEquals(sent.json.contacts, [{ input: "5511988887777", wa_id: "551188887777" }]);
  const { event, body } = fake.events.at(-1)!;
  const [element] = normalize({ event }, body);
  if (element?.kind !== "conversation") throw new Error("expected a conversation");
  const [message] = element.conversation.messages;
  assertEquals(message?.id, sent.json.messages[0].id);
  assertEquals(message?.reply_to, hi.id);
  assertEquals(message?.metadata?.biz_opaque_callback_data, "outbox-1");

  const reaction = { type: "reaction", reaction: { message_id: hi.id, emoji: "🙏" } };
  assertEquals((await send(reaction)).status, 200);
  const byUsername = await send({ ...text, to: undefined, recipient: rita.bsuid });
  assertEquals(byUsername.json.contacts[0].user_id, rita.bsuid);
  fake.clock.advance(25 * 60 * 60);
  assertEquals((await send(text)).status, 422);

  fake.setMarketingPreference(rita, "stopped");
  assertEquals((await send(template)).json.code, "marketing_preference_stopped");
  assertEquals((await send({ type: "text", text: { body: "" } })).status, 400);
  assertEquals((await send({ type: "poll", poll: {} })).json.error.code, 131051);
  assertEquals((await send({ ...text, messaging_product: undefined })).status, 400);
  const read = await send({ status: "read", message_id: hi.id });
  assertEquals(read.json, { success: true });
});

Deno.test("the fake refuses a second send to a conversation during the first, which may get no answer", async () => {
  await using fake = await start({ sendLatencyMs: 60 });
  const rita = fake.addContact();
  fake.receiveMessage(rita, "hi");
  const send = (signal?: AbortSignal) =>
    fetch(`${fake.url}${PROXY}/${fake.phoneNumber.phoneNumberId}/messages`, {
      method: "POST",
      headers: { "X-API-Key": fake.apiKey },
      body: JSON.stringify({
        messaging_product: "whatsapp",
        to: rita.phone,
        type: "text",
        text: { body: "hello" },
      }),
      ...(signal === undefined ? {} : { signal }),
    }).then(async (response) => {
      await response.body?.cancel();
      return response.status;
    }, (error) => error.name);
  const both = await Promise.all([send(), send()]);
  assertEquals(both.sort(), [200, 409]);

  fake.misbehave({ kind: "silent" });
  const count = fake.state.messages.length;
  assertEquals(await send(AbortSignal.timeout(200)), "TimeoutError");
  // Sent all the same.
  assertEquals(fake.state.messages.length, count + 1);
});

Deno.test("the fake reports that a message did not arrive", async () => {
  await using fake = await start();
  const gone = fake.addContact({ isUnreachable: true });
  fake.sendMessage(gone, "hello?");
  await eventually(
    "the message has failed",
    () => fake.events.at(-1)?.event === "whatsapp.message.failed",
  );
  const { event, body } = fake.events.at(-1)!;
  const [element] = normalize({ event }, body);
  if (element?.kind !== "conversation") throw new Error("expected a conversation");
  assertEquals(element.conversation.messages[0]?.error, {
    code: 131026,
    message: "Message Undeliverable.",
  });
});

Deno.test("the fake stores files", async () => {
  await using fake = await start();
  const rita = fake.addContact();
  fake.receiveMessage(rita, "hi");
  const bytes = new TextEncoder().encode("not really a picture");
  const upload = async (type: string) => {
    const form = new FormData();
    form.set("messaging_product", "whatsapp");
    form.set("type", type);
    form.set("file", new File([bytes], "p.jpg", { type: "image/jpeg" }));
    const response = await fetch(`${fake.url}${PROXY}/${fake.phoneNumber.phoneNumberId}/media`, {
      method: "POST",
      headers: { "X-API-Key": fake.apiKey },
      body: form,
    });
    return { status: response.status, json: await response.json() };
  };
  assertEquals((await upload("image/png")).status, 400);
  const { id } = (await upload("image/jpeg")).json;
  const sent = await call(fake, "POST", `${PROXY}/${fake.phoneNumber.phoneNumberId}/messages`, {
    messaging_product: "whatsapp",
    to: rita.phone,
    type: "image",
    image: { id, caption: "for you" },
  });
  assertEquals(sent.status, 200);

  assertEquals((await call(fake, "GET", `${PROXY}/${id}`)).status, 400);
  const path = `${PROXY}/${id}?phone_number_id=${fake.phoneNumber.phoneNumberId}`;
  const { json } = await call(fake, "GET", path);
  assertEquals([json.mime_type, json.file_size], ["image/jpeg", String(bytes.length)]);
  // Both links are good without a key.
  const link = fake.state.messages.at(-1)?.extras.media_url as string;
  for (const url of [json.download_url, link]) {
    assertEquals(new Uint8Array(await (await fetch(url)).arrayBuffer()), bytes);
  }
  fake.clock.advance(300);
  const late = await fetch(json.download_url);
  assertEquals([late.status, (await late.json()).error], [404, "Media not found or expired"]);
  assertEquals((await call(fake, "DELETE", path)).json, { success: true });
});

Deno.test("the fake lists and edits contacts", async () => {
  await using fake = await start();
  const contacts = Array.from({ length: 5 }, (_, at) => fake.addContact({ name: `No. ${at}` }));
  const base = `${PROXY}/${fake.phoneNumber.phoneNumberId}/contacts`;
  const first = (await call(fake, "GET", `${base}?limit=3`)).json;
  const rest =
    (await call(fake, "GET", `${base}?limit=3&after=${first.paging.cursors.after}`)).json;
  assertEquals(
    [...first.data, ...rest.data].map(({ profile_name }) => profile_name),
    contacts.map(({ name }) => name),
  );
  const { phone, bsuid } = contacts[2]!;
  assertEquals((await call(fake, "GET", `${base}/${phone}`)).json.profile_name, "No. 2");
  const patched = await call(fake, "PATCH", `${PLATFORM}/contacts/${bsuid}`, {
    display_name: "Two",
  });
  assertEquals(patched.json.data.display_name, "Two");
  assertEquals((await call(fake, "DELETE", `${PLATFORM}/contacts/${bsuid}`)).status, 204);
  assertEquals((await call(fake, "GET", `${PLATFORM}/contacts/${bsuid}`)).status, 404);
  const deep = await call(fake, "GET", `${PLATFORM}/contacts?page=51&per_page=100`);
  assertEquals(deep.json.code, "legacy_offset_pagination_limit_exceeded");
});

Deno.test("the fake registers, tests, pauses and removes webhooks", async () => {
  await using receiver = startReceiver(() => 200);
  await using fake = await start({ knowsContactEvents: false });
  const base = `${PLATFORM}/phone_numbers/${fake.phoneNumber.phoneNumberId}/webhooks`;
  const wanted = {
    url: receiver.url,
    secret_key: SECRET,
    kind: "kapso",
    payload_version: "v2",
    active: true,
    events: ["whatsapp.message.received", "whatsapp.message.sent"],
  };
  const create = (body: object) => call(fake, "POST", base, body);
  const bare = await create({ webhook: wanted });
  assertEquals([bare.status, /whatsapp_webhook/.test(bare.json.error)], [400, true]);
  for (
    const change of [
      { secret_key: undefined },
      { url: "http://shop.example/hook" },
      { events: [] },
      { events: ["whatsapp.contact.identity_changed"] },
      { buffer_window_seconds: 61 },
    ]
  ) {
    assertEquals((await create({ whatsapp_webhook: { ...wanted, ...change } })).status, 422);
  }
  const created = await create({ whatsapp_webhook: wanted });
  assertEquals([created.status, created.json.data.secret_key], [201, SECRET]);
  const { id } = created.json.data;
  assertEquals((await create({ whatsapp_webhook: wanted })).status, 409);
  const { json: list } = await call(fake, "GET", `${base}?url_contains=127.0.0.1&active=true`);
  assertEquals([list.data.length, list.data[0].secret_key], [1, undefined]);

  const tested = await call(fake, "POST", `${PLATFORM}/webhooks/${id}/test`, {
    event_type: "whatsapp.message.received",
  });
  assertEquals(tested.json, { data: { success: true } });
  await fake.settled();
  const [test] = receiver.received;
  assertEquals(normalize({ event: test!.event }, test!.body)[0]?.kind, "conversation");
  const { json: log } = await call(fake, "GET", "/platform/v1/webhook_deliveries?status=delivered");
  assertEquals([log.data.length, log.data[0].response_status], [1, 200]);

  const patched = await call(fake, "PATCH", `${PLATFORM}/webhooks/${id}`, {
    whatsapp_webhook: { active: false, buffer_enabled: true },
  });
  assertEquals([patched.json.data.active, patched.json.data.buffer_enabled], [false, true]);
  fake.receiveMessage(fake.addContact(), "hi");
  await fake.settled();
  assertEquals(receiver.received.length, 1);
  assertEquals((await call(fake, "DELETE", `${base}/${id}`)).status, 204);
  assertEquals((await call(fake, "GET", `${base}/${id}`)).status, 404);
});

Deno.test("the fake fails on request", async () => {
  await using fake = await start();
  const path = `${PLATFORM}/phone_numbers`;
  fake.misbehave(
    { kind: "status", status: 500 },
    { kind: "status", status: 429, headers: { "Retry-After": "7" } },
    { kind: "html", status: 502 },
    { kind: "cut", afterBytes: 0 },
    { kind: "cut", afterBytes: 10 },
    { kind: "slow", ms: 80 },
  );
  assertEquals((await call(fake, "GET", path)).status, 500);
  assertEquals((await call(fake, "GET", path)).headers.get("Retry-After"), "7");
  const html = await call(fake, "GET", path);
  assertEquals([html.status, html.text.startsWith("<html>")], [502, true]);
  for (let count = 0; count < 2; count++) {
    const outcome = await call(fake, "GET", path).then(() => "answered", () => "broken");
    assertEquals(outcome, "broken");
  }
  const begin = performance.now();
  assertEquals((await call(fake, "GET", path)).status, 200);
  // Timers may be a moment early.
  assert(performance.now() - begin >= 70);

  fake.failureRate = 0.5;
  const outcomes = await Promise.all(
    Array.from({ length: 60 }, () => call(fake, "GET", path).then(({ status }) => status, () => 0)),
  );
  const failures = outcomes.filter((status) => status !== 200).length;
  assert(failures > 15 && failures < 45, String(failures));
});

Deno.test("the fake fails on matching requests, and refuses as Meta does", async () => {
  await using fake = await start();
  const rita = fake.addContact({ phone: "5511988887777" });
  fake.receiveMessage(rita, "hi");
  const path = `${PROXY}/${fake.phoneNumber.phoneNumberId}/messages`;
  const send = () =>
    call(fake, "POST", path, {
      messaging_product: "whatsapp",
      to: "5511988887777",
      type: "text",
      text: { body: "hello" },
      biz_opaque_callback_data: "mine",
    });
  fake.misbehaveOn("POST", /\/messages$/, metaRefusal(131026, "Message undeliverable"));
  fake.misbehaveOn("POST", /\/messages$/, { kind: "cut", afterBytes: 0 });
  assertEquals((await call(fake, "GET", path)).status, 200);
  const refused = await send();
  assertEquals([refused.status, refused.json.error.code], [400, 131026]);
  const before = fake.state.messages.length;
  await assertRejects(send);
  assertEquals(fake.state.messages.length, before + 1, "sent, and the answer is lost");

  fake.echoesCallbackData = false;
  assertEquals((await send()).status, 200);
  const echoes = fake.state.messages.slice(-2)
    .map(({ statuses }) => statuses[0]!.biz_opaque_callback_data);
  assertEquals(echoes, ["mine", undefined]);
});

Deno.test("the fake lists templates, and sends only those with the right parameters", async () => {
  await using fake = await start({ rateLimit: 500 });
  const rita = fake.addContact();
  fake.addTemplate({ name: "ready", components: [{ type: "BODY", text: "Hi {{1}}" }] });
  fake.addTemplate({ name: "later", status: "PAUSED" });
  const account = fake.phoneNumber.businessAccountId;
  const listed = await call(fake, "GET", `${PROXY}/${account}/message_templates?status=APPROVED`);
  assertEquals(listed.json.data.map(({ name }: { name: string }) => name), ["ready"]);
  assertEquals(listed.headers.get("X-RateLimit-Limit"), "500");
  assertEquals((await call(fake, "GET", `${PROXY}/other/message_templates`)).status, 400);
  const send = async (name: string, texts: string[], code = "en") => {
    const components = [{
      type: "body",
      parameters: texts.map((text) => ({ type: "text", text })),
    }];
    const { json } = await call(
      fake,
      "POST",
      `${PROXY}/${fake.phoneNumber.phoneNumberId}/messages`,
      {
        messaging_product: "whatsapp",
        to: rita.phone,
        type: "template",
        template: { name, language: { code }, components },
      },
    );
    return json.error?.code ?? json.messages[0].message_status;
  };
  assertEquals(
    [
      await send("ready", ["Rita"]),
      await send("ready", []),
      await send("ready", ["a\nb"]),
      await send("ready", ["Rita"], "fr"),
      await send("later", []),
    ],
    ["accepted", 132000, 132012, 132001, 132015],
  );
});

Deno.test("the fake assigns conversations to one member at a time", async () => {
  await using fake = await start();
  const [maria, joao] = [fake.addUser("Maria"), fake.addUser("João")];
  fake.receiveMessage(fake.addContact(), "hi");
  const session = fake.state.conversations[0]!;
  const path = `${PLATFORM}/conversations/${session.id}/assignments`;
  const assign = (user_id: string) => call(fake, "POST", path, { assignment: { user_id } });
  assertEquals((await assign("unknown")).status, 422);
  await assign(maria.id);
  const { json } = await assign(joao.id);
  const listed = await call(fake, "GET", path);
  assertEquals(listed.json.data.map(({ active }: { active: boolean }) => active), [true, false]);
  const mine = (query: string) => call(fake, "GET", `${PLATFORM}/conversations?${query}`);
  assertEquals((await mine(`assigned_user_id=${joao.id}`)).json.data.length, 1);
  assertEquals((await mine(`assigned_user_id=${maria.id}`)).json.data.length, 0);
  assertEquals((await mine("assigned_user_id=x&unassigned=true")).status, 422);
  await call(fake, "PATCH", `${path}/${json.data.id}`, { assignment: { active: false } });
  assertEquals((await mine("unassigned=true")).json.data.length, 1);
});

Deno.test("the fake stores workflows as given, and refuses stale versions", async () => {
  await using fake = await start();
  const nodes = [
    { id: "a", type: "flow-node", data: { node_type: "start", config: {} } },
    {
      id: "b",
      type: "something-new",
      data: { node_type: "teleport", config: { to: ["mars"] } },
      x: 1,
    },
  ];
  const edges = [{ id: "e1", source: "a", target: "b", label: "next" }];
  const { id } = fake.addWorkflow({ name: "Welcome", nodes, edges });
  const path = "/platform/v1/workflows";
  const get = async (rest: string) => (await call(fake, "GET", `${path}${rest}`)).json.data;
  assertEquals((await get("?name_contains=wel")).length, 1);
  assertEquals((await get("?status=active")).length, 0);
  const { lock_version, ...metadata } = await get(`/${id}`);
  assertEquals("definition" in metadata, false);
  assertEquals((await get(`/${id}/definition`)).definition, { nodes, edges });

  const patch = (workflow: Record<string, unknown>) =>
    call(fake, "PATCH", `${path}/${id}`, { workflow });
  const changed = await patch({ lock_version, name: "Hello", definition: { nodes, edges } });
  assertEquals([changed.status, changed.json.data.lock_version], [200, lock_version + 1]);
  assertEquals((await patch({ lock_version, name: "Late" })).status, 409);
  assertEquals((await get(`/${id}/definition`)).definition, { nodes, edges });
  assertEquals((await patch({ lock_version: 1, definition: { nodes: [nodes[0]] } })).status, 200);
  assertEquals((await get(`/${id}/definition`)).definition, { nodes: [nodes[0]], edges });
  fake.checksLockVersion = false;
  assertEquals((await patch({ lock_version, name: "Late" })).status, 200);

  fake.receiveMessage(fake.addContact(), "hi");
  const session = fake.state.conversations[0]!;
  const execution = fake.addExecution(fake.state.workflows.get(id)!, session);
  const found = await get(`/${id}/executions?whatsapp_conversation_id=${session.id}`);
  assertEquals(found.map((row: { id: string }) => row.id), [execution.id]);
  const handoff = { workflow_execution: { status: "handoff" } };
  await call(fake, "PATCH", `/platform/v1/workflow_executions/${execution.id}`, handoff);
  assertEquals(execution.status, "handoff");

  for (const status of [401, 403] as const) {
    fake.workflowRefusal = status;
    assertEquals((await call(fake, "GET", path)).status, status);
    assertEquals((await patch({ name: "x" })).status, status);
    assertEquals((await call(fake, "GET", `${PLATFORM}/contacts`)).status, 200);
  }
});

Deno.test("the fake serves files with the faults that a test sets", async () => {
  await using fake = await start();
  const link = String(fake.receiveMessage(fake.addContact(), { type: "image" }).extras.media_url);
  const get = async () => {
    const response = await fetch(link, { redirect: "manual" });
    return [response.status, response.headers.get("Content-Type"), (await response.text()).length];
  };
  assertEquals((await get()).slice(0, 2), [200, "image/jpeg"]);
  fake.files = { redirectTo: "http://127.0.0.1:1/elsewhere" };
  assertEquals((await get())[0], 302);
  fake.files = { contentType: "image/svg+xml", bytes: new Uint8Array(9) };
  assertEquals(await get(), [200, "image/svg+xml", 9]);
  fake.files = { status: 404 };
  assertEquals((await get())[0], 404);
});

Deno.test("the fake has a history that can be listed", async () => {
  await using fake = await start({ rateLimit: null });
  const total = size(4000, 20_000);
  const seeded = fake.seedHistory({ conversations: 500, messages: total });
  assertEquals([fake.state.conversations.length, seeded.length], [500, total]);
  assertEquals(fake.events.length, 0, "no webhook tells of it");
  const after = fake.receiveMessage(fake.state.contacts[0]!, "now");
  const kapso = createKapsoClient({ baseUrl: fake.url, apiKey: fake.apiKey });
  const phoneNumber = fake.phoneNumber.phoneNumberId;
  const ids = new Set<unknown>();
  for await (const { rows } of kapso.listMessages(phoneNumber)) {
    for (const { id } of rows) ids.add(id);
  }
  assertEquals(ids.size, total + 1);
  assert(ids.has(after.id));
  const [session] = fake.state.conversations;
  const own = await Array.fromAsync(
    kapso.listMessages(phoneNumber, { conversationId: session!.id }),
  );
  assertEquals(own.flatMap(({ rows }) => rows).length, session!.messagesCount);

  fake.movesWhileWalked = true;
  const seen = new Set<unknown>();
  for await (const { rows } of kapso.listConversations(phoneNumber)) {
    for (const { id } of rows) seen.add(id);
  }
  assert(seen.size < 500, "one walk misses those that moved");
});

Deno.test("the demo runs by itself", async () => {
  const seen = Promise.withResolvers<void>();
  await using receiver = startReceiver((_, count) => {
    if (count === 4) seen.resolve();
    return 200;
  });
  const main = new URL("../../fakes/kapso/main.ts", import.meta.url).pathname;
  const child = new Deno.Command(Deno.execPath(), {
    args: ["run", "-A", "--quiet", main, "--webhook-url", receiver.url, "--json"],
    env: { KAPSO_WEBHOOK_SECRET: SECRET },
    stdout: "piped",
    stderr: "inherit",
  }).spawn();
  const reader = child.stdout.pipeThrough(new TextDecoderStream()).getReader();
  const info = JSON.parse((await reader.read()).value!);
  assert(info.api_url.startsWith("http://127.0.0.1:"));
  await seen.promise;
  child.kill("SIGTERM");
  await reader.cancel();
  assertEquals((await child.status).code, 0);
  for (const { bytes, headers, event, body } of receiver.received) {
    const signature = headers.get("X-Webhook-Signature");
    assertEquals(await verifySignature(bytes, signature, [SECRET]), SECRET);
    assert(normalize({ event }, body).every(({ kind }) => kind !== "ignored"));
  }
});
