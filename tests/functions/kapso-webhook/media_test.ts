/**
 * The files of messages: copied to Storage after their message is stored, despite failures.
 *
 * @module
 */

import { assert, assertEquals, assertRejects } from "@std/assert";
import { createServiceClient } from "../../../supabase/functions/_shared/database/clients.ts";
import { createKapsoClient } from "../../../supabase/functions/_shared/kapso/api/client.ts";
import type { MessageMedia } from "../../../supabase/functions/_shared/contracts/message_media.ts";
import { createMediaCopyStore } from "../../../supabase/functions/_shared/kapso/media/copies_store.ts";
import {
  createDownload,
  MediaError,
} from "../../../supabase/functions/_shared/kapso/media/download.ts";
import {
  createMediaLibrary,
  type MediaLibrary,
} from "../../../supabase/functions/_shared/kapso/media/library.ts";
import { createMediaStorage } from "../../../supabase/functions/_shared/kapso/media/storage.ts";
import { normalize } from "../../../supabase/functions/_shared/kapso/webhook/normalize.ts";
import { createWebhookStore } from "../../../supabase/functions/kapso-webhook/store.ts";
import { useDatabase } from "../../support/database.ts";
import { eventually } from "../../support/eventually.ts";
import type { FileContent } from "../../../fakes/kapso/content.ts";
import { type FakeKapso, startFakeKapso } from "../../../fakes/kapso/fake_kapso.ts";
import type { Contact, Message } from "../../../fakes/kapso/state.ts";
import { type FakeStorage, startFakeStorage } from "../../../fakes/storage.ts";
import { signUp } from "../../support/users.ts";
import {
  createPhoneNumber,
  deliverAll,
  FIXTURE_PHONE_NUMBER_ID,
  type PhoneNumber,
} from "../../support/kapso_webhook.ts";

const db = useDatabase();

/** A message as it is stored. */
interface StoredMessage {
  id: string;
  content: string;
  media_url: string | null;
  metadata: Record<string, unknown> & { media?: MessageMedia };
}

interface Setup extends AsyncDisposable {
  fake: FakeKapso;
  storage: FakeStorage;
  phoneNumber: PhoneNumber;
  workspaceId: string;
  contact: Contact;
  library: MediaLibrary;
  /** Another process with the same settings. */
  anotherLibrary: () => MediaLibrary;
  /** Receives a file, and stores its message as the function does. */
  receive: (content: FileContent) => Promise<Message>;
  /** Stores what happened at the fake since the last time. */
  record: () => Promise<void>;
  copy: () => ReturnType<MediaLibrary["copyMedia"]>;
  messages: () => Promise<StoredMessage[]>;
  media: (message: Message) => Promise<MessageMedia | undefined>;
  /** Makes what waits for a further attempt due. */
  later: () => Promise<void>;
  request: (message: Message) => Promise<Parameters<MediaLibrary["openMedia"]>[0]>;
}

async function start(): Promise<Setup> {
  const user = await signUp(db.info);
  const phoneNumber = await createPhoneNumber(user);
  const fake = await startFakeKapso();
  fake.state.phoneNumbers.delete(FIXTURE_PHONE_NUMBER_ID);
  fake.phoneNumber = fake.addPhoneNumber(phoneNumber.phoneNumberId, "+551130000009");
  const storage = startFakeStorage();
  const client = createServiceClient({
    supabaseUrl: db.info.api_url,
    secretKey: db.info.secret_key,
  });
  const kapso = createKapsoClient({
    baseUrl: fake.url,
    apiKey: fake.apiKey,
    delay: () => Promise.resolve(),
  });
  const anotherLibrary = () =>
    createMediaLibrary({
      store: createMediaCopyStore(client),
      storage: createMediaStorage({
        supabaseUrl: storage.url,
        secretKey: storage.serviceKey,
      }),
      download: createDownload({ baseUrl: fake.url }),
      kapsoFor: () => Promise.resolve(kapso),
      log: () => {},
    });
  const library = anotherLibrary();
  const contact = fake.addContact({ name: "Rita" });
  const { record } = createWebhookStore(client, {
    cipher: undefined,
    installation: { secret: undefined, isFor: () => Promise.resolve(false) },
  });
  let recorded = 0;
  const setup: Setup = {
    fake,
    storage,
    phoneNumber,
    workspaceId: user.workspaceId,
    contact,
    library,
    anotherLibrary,
    async record() {
      for (const { event, body } of fake.events.slice(recorded)) {
        const recordedEvent = await record({
          phoneNumberId: phoneNumber.phoneNumberId,
          event,
          idempotencyKey: crypto.randomUUID(),
          body: new TextEncoder().encode(JSON.stringify(body)),
          elements: normalize({ event }, body),
          secretVersion: undefined,
        });
        assertEquals(recordedEvent?.state, "processed");
      }
      recorded = fake.events.length;
    },
    async receive(content) {
      const message = fake.receiveMessage(contact, content);
      await setup.record();
      return message;
    },
    copy: () => library.copyMedia(phoneNumber.id),
    async messages() {
      const found = await db.sql<{ messages: StoredMessage[] }[]>`
        select thread.messages from public.conversation_export as thread
        where thread.external_conversation_id like ${`${phoneNumber.phoneNumberId}:%`}`;
      return found.flatMap(({ messages }) => messages);
    },
    async media(message) {
      const found = (await setup.messages()).find(({ id }) => id === message.id);
      assert(found !== undefined, "the message is there");
      return found!.metadata.media;
    },
    async later() {
      await db.sql`
        update private.media_copies set next_attempt_at = now() - interval '1 second'
        where connection_id = ${phoneNumber.id}`;
    },
    async request(message) {
      const [thread] = await db.sql<{ id: string }[]>`
        select id from public.conversations
        where external_conversation_id like ${`${phoneNumber.phoneNumberId}:%`}`;
      return {
        workspaceId: user.workspaceId,
        conversationId: thread!.id,
        connectionId: phoneNumber.id,
        phoneNumberId: phoneNumber.phoneNumberId,
        message: (await setup.messages()).find(({ id }) => id === message.id)!,
      };
    },
    async [Symbol.asyncDispose]() {
      await fake.stop();
      await storage[Symbol.asyncDispose]();
    },
  };
  return setup;
}

const bytesOf = (text: string) => new TextEncoder().encode(text);
const read = async ({ body }: { body: ReadableStream }) => await new Response(body).text();

Deno.test("a file is copied once, to the place of its message, and nothing else changes", async () => {
  await using setup = await start();
  const { fake, storage, contact } = setup;
  const photo = await setup.receive({
    type: "image",
    caption: "the receipt",
    bytes: bytesOf("a photo"),
  });
  const answer = fake.sendMessage(contact, { type: "document", filename: "offer.pdf" });
  fake.receiveMessage(contact, "and a text");
  await setup.record();
  const before = await setup.messages();
  assertEquals(await setup.media(photo), undefined);
  assertEquals(await setup.copy(), { stored: 2, linked: 0, failed: 0, waiting: 0 });

  const media = (await setup.media(photo))!;
  const { conversationId, workspaceId } = await setup.request(photo);
  const { at, path, ...rest } = media;
  assertEquals(rest, {
    state: "stored",
    mime_type: "image/jpeg",
    size: 7,
    // Of the seven bytes.
    sha256: new Uint8Array(await crypto.subtle.digest("SHA-256", bytesOf("a photo"))).toHex(),
    filename: "file.jpg",
  });
  assert(Math.abs(Date.parse(at) - Date.now()) < 60_000);
  assert(path!.startsWith(`${workspaceId}/${conversationId}/`) && path!.endsWith(".jpg"));
  assert(!path!.includes(photo.id));
  const stored = storage.objects.get(`media/${path}`)!;
  assertEquals([stored.contentType, new TextDecoder().decode(stored.bytes)], [
    "image/jpeg",
    "a photo",
  ]);
  assertEquals(storage.buckets.get("media"), { public: false });
  assertEquals((await setup.media(answer))?.filename, "offer.pdf");
  const after = await setup.messages();
  const withoutMedia = after.map(({ metadata: { media: _, ...metadata }, ...message }) => ({
    ...message,
    metadata,
  }));
  assertEquals(withoutMedia, before as unknown as typeof withoutMedia);

  // Statuses repeat the message, and deliveries come twice.
  fake.setStatus(answer, "delivered");
  fake.setStatus(answer, "read");
  await setup.record();
  assertEquals(await setup.copy(), { stored: 0, linked: 0, failed: 0, waiting: 0 });
  assertEquals(storage.uploads, 2);
});

Deno.test("an archived message is updated as well", async () => {
  await using setup = await start();
  const { fake, contact } = setup;
  const photo = await setup.receive({ type: "image" });
  const day = Date.UTC(2026, 2, 2);
  for (let index = 0; index < 60; index++) {
    fake.receiveMessage(contact, `${index}`, { sentAt: day + 1e11 + index * 1000 });
  }
  await setup.record();
  await setup.copy();
  assertEquals((await setup.media(photo))?.state, "stored");
  const [page] = await db.sql`
    select from public.conversation_archives as page
    where page.workspace_id = ${setup.workspaceId} and page.messages::text like ${`%${photo.id}%`}`;
  assert(page, "it is in the archive");
});

Deno.test("concurrent copiers share the work", async () => {
  await using setup = await start();
  const { fake, storage, contact, phoneNumber } = setup;
  for (let index = 0; index < 12; index++) fake.receiveMessage(contact, { type: "audio" });
  await setup.record();
  const results = await Promise.all(
    [1, 2, 3].map(() => setup.anotherLibrary().copyMedia(phoneNumber.id)),
  );
  assertEquals(results.reduce((sum, { stored }) => sum + stored, 0), 12);
  assertEquals([storage.uploads, storage.objects.size], [12, 12]);
  const states = (await setup.messages()).map(({ metadata }) => metadata.media?.state);
  assertEquals(states, Array(12).fill("stored"));
});

Deno.test("a dead link, or one to another host, is replaced by Meta's id", async () => {
  await using setup = await start();
  const { fake, storage } = setup;
  const seen: Request[] = [];
  const elsewhere = Deno.serve(
    { hostname: "127.0.0.1", port: 0, onListen: () => {} },
    (request) => {
      seen.push(request);
      return new Response("stolen", { headers: { "Content-Type": "image/jpeg" } });
    },
  );
  const photo = await setup.receive({ type: "image", bytes: bytesOf("mine") });
  // Only the link redirects; what Meta's id leads to does not.
  fake.misbehaveOn("GET", /blobs\/redirect/, {
    kind: "status",
    status: 302,
    headers: { Location: `http://127.0.0.1:${elsewhere.addr.port}/x` },
  });
  assertEquals((await setup.copy()).stored, 1);
  assertEquals(seen.length, 0, "no request went there");
  const { path } = (await setup.media(photo))!;
  assertEquals(new TextDecoder().decode(storage.objects.get(`media/${path}`)!.bytes), "mine");

  const lost = await setup.receive({ type: "image" });
  fake.state.media.clear();
  assertEquals((await setup.copy()).failed, 1);
  const media = await setup.media(lost);
  assertEquals([media?.state, media?.reason], ["failed", "gone"]);
  await elsewhere.shutdown();
});

Deno.test("a message survives a file that cannot be stored, with the reason", async () => {
  await using setup = await start();
  const { fake } = setup;
  const cases: [FileContent, FakeKapso["files"], string][] = [
    [{ type: "image" }, { contentType: "image/svg+xml" }, "type_not_allowed"],
    [{ type: "document", mimeType: "text/html", filename: "a.html" }, {}, "type_not_allowed"],
    [{ type: "image" }, { bytes: new Uint8Array(6 * 1024 * 1024) }, "too_large"],
    [{ type: "image" }, { status: 404 }, "gone"],
    [{ type: "image" }, { redirectTo: "https://files.example/x" }, "host_not_allowed"],
  ];
  for (const [content, files, reason] of cases) {
    fake.files = files;
    const message = await setup.receive({ ...content, caption: reason });
    assertEquals((await setup.copy()).failed, 1, reason);
    const media = await setup.media(message);
    assertEquals([media?.state, media?.reason], ["failed", reason]);
  }
  assertEquals(setup.storage.objects.size, 0);
  assertEquals((await setup.messages()).map(({ content }) => content), cases.map(([, , it]) => it));

  // A host was allowed, say: everything is tried once more.
  fake.files = {};
  const [retried] = await db
    .service`select public.retry_media_copies(${setup.phoneNumber.id}) as count`;
  assertEquals(retried!.count, cases.length);
  assertEquals(await setup.copy(), { stored: 4, linked: 0, failed: 1, waiting: 0 });
});

Deno.test("a passing failure is retried later, and gives up in the end", async () => {
  await using setup = await start();
  const { fake, storage } = setup;
  const photo = await setup.receive({ type: "image" });
  fake.files = { status: 503 };
  assertEquals((await setup.copy()).waiting, 1);
  assertEquals(await setup.media(photo), undefined);
  assertEquals((await setup.copy()).waiting, 0, "not before its time");
  fake.files = {};
  storage.failure = 500;
  await setup.later();
  assertEquals((await setup.anotherLibrary().copyMedia(setup.phoneNumber.id)).waiting, 0);
  await setup.later();
  assertEquals((await setup.copy()).waiting, 1, "the bucket was there before");
  storage.failure = null;
  await setup.later();
  assertEquals((await setup.copy()).stored, 1);
  assertEquals((await setup.media(photo))?.state, "stored");

  const lost = await setup.receive({ type: "image" });
  fake.files = { status: 503 };
  let attempts = 0;
  for (; (await setup.media(lost)) === undefined; attempts++) {
    await setup.copy();
    await setup.later();
  }
  assertEquals(attempts, 8);
  assertEquals((await setup.media(lost))?.reason, "unavailable");
  // The schedule retries it, too.
  fake.files = {};
  await db.service`select public.retry_media_copies(${setup.phoneNumber.id})`;
  await setup.library.copyDueMedia();
  assertEquals((await setup.media(lost))?.state, "stored");
});

Deno.test("a copier that was cut off is replaced, and its result no longer counts", async () => {
  await using setup = await start();
  const { phoneNumber } = setup;
  const photo = await setup.receive({ type: "image" });
  const store = createMediaCopyStore(createServiceClient({
    supabaseUrl: db.info.api_url,
    secretKey: db.info.secret_key,
  }));
  const [first] = await store.claim(phoneNumber.id, 5);
  assertEquals(await store.claim(phoneNumber.id, 5), [], "another copier has it");
  await setup.later();
  assertEquals((await setup.copy()).stored, 1);
  const at = new Date().toISOString();
  await store.finish(phoneNumber.id, [{
    copy: first!,
    state: "failed",
    reason: "gone",
    media: { state: "failed", reason: "gone", at },
  }]);
  assertEquals((await setup.media(photo))?.state, "stored");
  // Nor does another connection.
  const other = await createPhoneNumber(await signUp(db.info));
  const again = await setup.receive({ type: "image" });
  const [copy] = await store.claim(phoneNumber.id, 5);
  await store.finish(other.id, [{ copy: copy!, state: "stored", media: { state: "stored", at } }]);
  assertEquals(await setup.media(again), undefined);
});

Deno.test("a link that comes after its message is copied then", async () => {
  await using setup = await start();
  const { fake } = setup;
  const photo = await setup.receive({ type: "image", hasLink: false });
  const [media] = [...fake.state.media.values()];
  fake.state.media.clear();
  assertEquals((await setup.copy()).failed, 1);
  fake.state.media.set(media!.id, media!);
  const link = `${fake.url}/rails/active_storage/blobs/redirect/${media!.token}/file.jpg`;
  photo.extras.media_url = link;
  fake.setStatus(photo, "read");
  await setup.record();
  assertEquals((await setup.copy()).stored, 1);
  assertEquals((await setup.media(photo))?.state, "stored");
});

Deno.test("a file is opened from any of its places, and no message opens the file of another", async () => {
  await using setup = await start();
  const { fake, storage, library } = setup;
  const photo = await setup.receive({ type: "image", bytes: bytesOf("a photo") });
  const early = await setup.request(photo);
  assertEquals(await library.signedMediaLink(early, 60), undefined);
  assertEquals(await read(await library.openMedia(early)), "a photo", "by the link");
  const { media_url: _, ...unlinked } = early.message;
  assertEquals(await read(await library.openMedia({ ...early, message: unlinked })), "a photo");

  await setup.copy();
  fake.files = { status: 404 };
  const request = await setup.request(photo);
  const file = await library.openMedia(request);
  assertEquals([file.mimeType, file.size, file.filename], ["image/jpeg", 7, "file.jpg"]);
  assertEquals(await read(file), "a photo", "from Storage");
  const link = (await library.signedMediaLink(request, 60))!;
  assertEquals(await (await fetch(link)).text(), "a photo");

  // Metadata can be written by a bridge: a path in it does not open another file.
  const { media } = request.message.metadata as { media: MessageMedia };
  for (const change of [{ workspaceId: crypto.randomUUID() }, { conversationId: "c" }]) {
    assertEquals(await library.signedMediaLink({ ...request, ...change }, 60), undefined);
  }
  const forged = {
    ...request,
    message: { id: "mine", media_url: null, metadata: { media } },
  };
  assertEquals(await library.signedMediaLink(forged, 60), undefined);
  const refused = await assertRejects(() => library.openMedia(forged), MediaError);
  assertEquals(refused.reason, "no_source");

  // Lost from Storage, there is still Kapso.
  storage.objects.clear();
  fake.files = {};
  const gone = await assertRejects(() => library.signedMediaLink(request, 60), MediaError);
  assertEquals(gone.reason, "gone");
  assertEquals(await read(await library.openMedia(request)), "a photo");
});

Deno.test("deleting a conversation deletes its files", async () => {
  await using setup = await start();
  const { storage, library, phoneNumber } = setup;
  await setup.receive({ type: "image" });
  await setup.copy();
  const late = await setup.receive({ type: "image" });
  const store = createMediaCopyStore(createServiceClient({
    supabaseUrl: db.info.api_url,
    secretKey: db.info.secret_key,
  }));
  const [copy] = await store.claim(phoneNumber.id, 5);
  assertEquals(copy!.messageId, late.id);
  // One was copied before, one is under way, another workspace's stays.
  const path = `${setup.workspaceId}/late.jpg`;
  const object = { bytes: bytesOf("x"), contentType: "image/jpeg" };
  storage.objects.set(`media/${path}`, object).set("media/other", object);
  await db.sql`delete from public.conversations where workspace_id = ${setup.workspaceId}`;
  const at = new Date().toISOString();
  await store.finish(phoneNumber.id, [{
    copy: copy!,
    state: "stored",
    media: { state: "stored", path, at },
  }]);
  assertEquals((await setup.messages()).length, 0, "finishing makes no conversation");
  storage.failure = 500;
  await setup.anotherLibrary().copyDueMedia();
  assertEquals(storage.objects.size, 3);
  storage.failure = null;
  await db.sql`update private.media_orphans set next_attempt_at = now()`;
  await library.copyDueMedia();
  assertEquals([...storage.objects.keys()], ["media/other"]);
  assertEquals((await store.claimOrphans(10)).length, 0);
});

Deno.test("without a Storage the function keeps the link, after it has answered", async () => {
  const user = await signUp(db.info);
  const phoneNumber = await createPhoneNumber(user);
  await using fake = await startFakeKapso();
  fake.phoneNumber = fake.addPhoneNumber(phoneNumber.phoneNumberId, "+551130000009");
  const contact = fake.addContact();
  const cases: [FileContent, Partial<MessageMedia>][] = [
    [{ type: "image" }, { state: "linked", mime_type: "image/jpeg" }],
    [{ type: "audio", hasLink: false }, { state: "linked", mime_type: "audio/ogg" }],
    [{ type: "document", mimeType: "text/html" }, { state: "failed", reason: "type_not_allowed" }],
  ];
  const messages = cases.map(([content]) => fake.receiveMessage(contact, content));
  for (const { event, body } of fake.events) {
    assertEquals((await deliverAll(db.info, body, { event })).state, "processed");
  }
  const media = async () =>
    await db.sql<{ id: string; media: MessageMedia | null }[]>`
      select message.value ->> 'id' as id, message.value #> '{metadata,media}' as media
      from public.conversation_export as thread
      cross join lateral jsonb_array_elements(thread.messages) as message (value)
      where thread.external_conversation_id like ${`${phoneNumber.phoneNumberId}:%`}`;
  const found = await eventually("each file has its state", async () => {
    const rows = await media();
    return rows.every((row) => row.media !== null) && rows;
  });
  for (const [index, [, expected]] of cases.entries()) {
    const actual = found.find(({ id }) => id === messages[index]!.id)!.media!;
    for (const [name, value] of Object.entries(expected)) {
      assertEquals(actual[name as keyof MessageMedia], value);
    }
    // Kapso does not say how long its links live; Meta's ids live a week.
    const expiry = cases[index]![0].hasLink === false
      ? new Date(Math.floor(messages[index]!.sentAt / 1000) * 1000 + 7 * 86_400_000).toISOString()
      : undefined;
    assertEquals(actual.expires_at, expiry);
  }
});
