/**
 * Whom kapso-webhook believes. Over HTTP with the project's secret; secrets of single connections are
 * encrypted with a key that only the functions know, so those are tested with the function's own parts,
 * put together in this process on the same database.
 *
 * @module
 */

import { assert, assertEquals, assertRejects } from "@std/assert";
import { createServiceClient } from "../../../supabase/functions/_shared/database/clients.ts";
import { createCredentialCipher } from "../../../supabase/functions/_shared/auth/credentials.ts";
import { AppError } from "../../../supabase/functions/_shared/http/errors.ts";
import type { Log } from "../../../supabase/functions/_shared/http/log.ts";
import { kapsoAccounts } from "../../../supabase/functions/_shared/kapso/api/accounts.ts";
import {
  installationCheck,
  reportInstallationWorkspaces,
} from "../../../supabase/functions/_shared/kapso/api/installation_key.ts";
import { createHandler } from "../../../supabase/functions/kapso-webhook/handler.ts";
import { createWebhookStore } from "../../../supabase/functions/kapso-webhook/store.ts";
import { countCalls } from "../../support/call_counter.ts";
import { useDatabase } from "../../support/database.ts";
import { batchBody, deliveryHeaders } from "../../../fakes/kapso/deliveries.ts";
import { unique } from "../../support/people.ts";
import { call, rows, signUp, type User } from "../../support/users.ts";
import {
  createPhoneNumber,
  deliver,
  delivery,
  eventOf,
  messagesOf,
  type PhoneNumber,
  receivedText,
  uniquePhoneNumberId,
} from "../../support/kapso_webhook.ts";

const db = useDatabase();
const KEY = btoa("k".repeat(32));

Deno.test("a valid signature is accepted, with and without its prefix", async () => {
  const phoneNumber = await createPhoneNumber(await signUp(db.info));
  const secret = db.info.demo.kapso_webhook_secret;
  for (const change of [(digest: string) => digest, (digest: string) => `sha256=${digest}`]) {
    const request = delivery(JSON.stringify(receivedText(phoneNumber.phoneNumberId)), { secret });
    const headers = new Headers(request.headers);
    headers.set("x-webhook-signature", change(headers.get("x-webhook-signature")!));
    const { status } = await call(db.info, "kapso-webhook", { ...request, headers });
    assertEquals(status, 200);
  }
  assertEquals((await messagesOf(db.sql, phoneNumber.phoneNumberId)).length, 2);
});

Deno.test("a bad signature gets 401, and nothing is stored", async () => {
  const phoneNumber = await createPhoneNumber(await signUp(db.info));
  const body = JSON.stringify(receivedText(phoneNumber.phoneNumberId));
  const request = delivery(body, { secret: db.info.demo.kapso_webhook_secret });
  const signature = new Headers(request.headers).get("x-webhook-signature")!;
  const last = signature.endsWith("0") ? "1" : "0";
  const attempts: Record<string, RequestInit> = {
    "tampered body": { ...request, body: body.replace("bom dia", "boa dia") },
    "white space added": { ...request, body: `${body} ` },
    "right length, wrong": withSignature(request, signature.slice(0, -1) + last),
    "zeros": withSignature(request, "0".repeat(64)),
    "too short": withSignature(request, signature.slice(0, -2)),
    "not hexadecimal": withSignature(request, "z".repeat(64)),
    "empty": withSignature(request, ""),
    "missing": withSignature(request, undefined),
    "another secret": delivery(body, { secret: "not the secret" }),
  };
  for (const [name, attempt] of Object.entries(attempts)) {
    const { status, body } = await call(db.info, "kapso-webhook", attempt);
    assertEquals([status, body.code], [401, "invalid_signature"], name);
  }
  assertEquals(await countEvents(phoneNumber), 0);
});

Deno.test("the signature covers the bytes, in any JSON style", async () => {
  const phoneNumber = await createPhoneNumber(await signUp(db.info));
  const text = 'Olá ☀️ \u{1F468}‍\u{1F469}‍\u{1F467} 你好 "quoted" / \\ \u2028';
  const body = JSON.stringify(
    receivedText(phoneNumber.phoneNumberId, text, { timestamp: 1772442001 }),
  );
  const escaped = JSON.stringify(
    receivedText(phoneNumber.phoneNumberId, text, { timestamp: 1772442002 }),
  )
    .replace(/[^ -~]/g, (unit) => `\\u${unit.charCodeAt(0).toString(16).padStart(4, "0")}`)
    .replaceAll("/", "\\/");
  const spaced = JSON.stringify(
    receivedText(phoneNumber.phoneNumberId, text, { timestamp: 1772442003 }),
    null,
    2,
  );
  for (const each of [body, escaped, spaced]) {
    assertEquals((await deliver(db.info, each)).status, 200);
  }
  const stored = await messagesOf(db.sql, phoneNumber.phoneNumberId);
  assertEquals(stored.map(({ content }) => content), [text, text, text]);
});

Deno.test("signed bodies that cannot be read are recorded and answered with 200", async () => {
  const bodies = ["", "{", "null", "[]", '"text"', '{"a":1}', "\ufeff{}", "\0"];
  for (const body of bodies) {
    const answer = await deliver(db.info, body);
    assertEquals([answer.status, answer.body.state], [200, "ignored"], JSON.stringify(body));
    const [row] = await db.sql`
      select encode(body, 'base64') as body from private.webhook_events where id = ${answer.body.id}`;
    assertEquals(row!.body, btoa(String.fromCharCode(...new TextEncoder().encode(body))));
  }
  const request = delivery("", { secret: "wrong" });
  assertEquals((await call(db.info, "kapso-webhook", request)).status, 401);
});

Deno.test("3 MB are taken, more than 3.5 MB are not", async () => {
  const phoneNumber = await createPhoneNumber(await signUp(db.info));
  const body = { ...receivedText(phoneNumber.phoneNumberId), padding: "x".repeat(3 * 1024 * 1024) };
  const answer = await deliver(db.info, body);
  assertEquals([answer.status, answer.body.state], [200, "processed"]);
  assertEquals((await messagesOf(db.sql, phoneNumber.phoneNumberId)).length, 1);
  const tooBig = await deliver(db.info, { ...body, padding: "x".repeat(3.5 * 1024 * 1024) });
  assertEquals(tooBig.status, 413);
});

Deno.test("a connection's own secret replaces the project's", async () => {
  const { post, setSecret } = await ownFunction("project");
  const user = await signUp(db.info);
  const [phoneNumber, other] = [
    await createPhoneNumber(user),
    await createPhoneNumber(await signUp(db.info)),
  ];
  assertEquals(await post(phoneNumber, "project"), 200);
  await setSecret(phoneNumber, "mine");
  await setSecret(other, "theirs");
  assertEquals(await post(phoneNumber, "mine"), 200);
  assertEquals(await post(phoneNumber, "project"), 401);
  assertEquals(await post(phoneNumber, "theirs"), 401);
  assertEquals(await post(other, "theirs"), 200);
});

Deno.test("two secrets are valid while one replaces the other", async () => {
  const { post, setSecret } = await ownFunction("project");
  const phoneNumber = await createPhoneNumber(await signUp(db.info));
  await setSecret(phoneNumber, "old");
  await setSecret(phoneNumber, "new");
  assertEquals(await post(phoneNumber, "old"), 200);
  assertEquals(await post(phoneNumber, "new"), 200);
  await db.sql`
    update private.connection_secrets set previous_webhook_expires_at = now() - interval '1 second'
    where connection_id = ${phoneNumber.id}`;
  assertEquals(await post(phoneNumber, "old"), 401);
  assertEquals(await post(phoneNumber, "new"), 200);
});

Deno.test("without any secret the answer is 503, and Kapso retries", async () => {
  const { post, setSecret, request } = await ownFunction(undefined);
  const phoneNumber = await createPhoneNumber(await signUp(db.info));
  const response = await request(phoneNumber, "anything");
  assertEquals(
    [response.status, response.headers.get("retry-after"), (await response.json()).code],
    [503, "60", "webhook_secret_missing"],
  );
  assertEquals(await post(phoneNumber, ""), 503);
  assertEquals(await post({ id: "", phoneNumberId: uniquePhoneNumberId() }, "anything"), 503);
  await setSecret(phoneNumber, "mine");
  assertEquals(await post(phoneNumber, "mine"), 200);
  assertEquals(await countEvents(phoneNumber), 1);
});

Deno.test("a secret that another key encrypted is an error of ours, not a bad signature", async () => {
  const { post } = await ownFunction("project");
  const phoneNumber = await createPhoneNumber(await signUp(db.info));
  const cipher = await createCredentialCipher(btoa("x".repeat(32)));
  await db.service`select public.set_webhook_secret(${phoneNumber.id}, ${await cipher.encrypt(
    "mine",
  )})`;
  assertEquals(await post(phoneNumber, "mine"), 500);
});

Deno.test("a batch stores nothing for a phone number whose secret did not sign it", async () => {
  const { send, setSecret } = await ownFunction("project");
  const mine = await createPhoneNumber(await signUp(db.info));
  const theirs = await createPhoneNumber(await signUp(db.info));
  await setSecret(mine, "mine");
  await setSecret(theirs, "theirs");
  const event = "whatsapp.message.received";
  const elements = [receivedText(theirs.phoneNumberId), receivedText(mine.phoneNumberId)];
  const body = JSON.stringify(
    batchBody(event, elements, { windowSeconds: 5, firstSequence: 1, conversationId: undefined }),
  );
  const response = await send(body, "mine");
  assertEquals(response.status, 200);
  const { id } = await response.json();
  assertEquals((await eventOf(db.sql, id))?.state, "processed");
  assertEquals((await messagesOf(db.sql, theirs.phoneNumberId)).length, 0);
  assertEquals((await messagesOf(db.sql, mine.phoneNumberId)).length, 1);
});

Deno.test("the installation's secret is for the named workspaces, and no others", async () => {
  const user = await signUp(db.info);
  const phoneNumber = await createPhoneNumber(user);
  const [workspace] = await rows(user.client.from("workspaces").select("slug"));
  const other = crypto.randomUUID();
  for (const workspaces of [`${other}, ${user.workspaceId}`, user.workspaceId.toUpperCase()]) {
    const named = await ownFunction("the installation's", workspaces);
    assertEquals(await named.post(phoneNumber, "the installation's"), 200);
  }
  for (const workspaces of ["", other, workspace!.slug]) {
    const unnamed = await ownFunction("the installation's", workspaces);
    assertEquals(await unnamed.post(phoneNumber, "the installation's"), 503, workspaces);
    await unnamed.setSecret(phoneNumber, "its own");
    assertEquals(await unnamed.post(phoneNumber, "its own"), 200);
    assertEquals(await unnamed.post(phoneNumber, "the installation's"), 401);
    await db.sql`
      update private.connection_secrets set webhook_secret = null, previous_webhook_secret = null
      where connection_id = ${phoneNumber.id}`;
  }
});

Deno.test("the installation's Kapso key is for the named workspaces, and no others", async () => {
  const user = await signUp(db.info);
  const phoneNumber = await createPhoneNumber(user);
  const client = createServiceClient({
    supabaseUrl: db.info.api_url,
    secretKey: db.info.secret_key,
  });
  const cipher = await createCredentialCipher(KEY);
  const accounts = (workspaces: string | undefined) =>
    kapsoAccounts(client, cipher, { baseUrl: undefined, apiKey: "installation", workspaces });
  await accounts("*")(phoneNumber.id);
  await accounts(`${user.workspaceId},${crypto.randomUUID()}`)(phoneNumber.id);
  for (const workspaces of [undefined, "", crypto.randomUUID()]) {
    const error = await assertRejects(() => accounts(workspaces)(phoneNumber.id), AppError);
    assertEquals([error.status, error.code], [422, "kapso_api_key_missing"]);
  }
  await db.service`select public.set_kapso_api_key(${phoneNumber.id}, ${await cipher.encrypt(
    "its own",
  )})`;
  await accounts(undefined)(phoneNumber.id);
});

Deno.test("who takes the freed slug of a named workspace gets nothing of the installation", async () => {
  const [user, stranger] = [await signUp(db.info), await signUp(db.info)];
  const [workspace] = await rows(user.client.from("workspaces").select("id, slug"));
  const rename = (owner: User, slug: string) =>
    rows(
      owner.client.from("workspaces").update({ slug }).eq("id", owner.workspaceId).select("slug"),
    );
  const [mine, theirs] = [await createPhoneNumber(user), await createPhoneNumber(stranger)];
  await rename(user, unique("renamed-").replaceAll("_", "-"));
  await rename(stranger, workspace!.slug);
  const client = createServiceClient({
    supabaseUrl: db.info.api_url,
    secretKey: db.info.secret_key,
  });
  // An operator who named the slug, and one who names the id.
  for (const [workspaces, isNamed] of [[workspace!.slug, false], [workspace!.id, true]] as const) {
    const accounts = kapsoAccounts(client, await createCredentialCipher(KEY), {
      baseUrl: undefined,
      apiKey: "installation",
      workspaces,
    });
    const own = await ownFunction("the installation's", workspaces);
    for (const phoneNumber of [mine, theirs]) {
      const hasKey = await accounts(phoneNumber.id).then(() => true, () => false);
      const status = await own.post(phoneNumber, "the installation's");
      const isMine = phoneNumber === mine && isNamed;
      assertEquals([hasKey, status], [isMine, isMine ? 200 : 503], workspaces);
    }
  }
});

Deno.test("a setting that names slugs is reported at the start, without a value", () => {
  const logged: unknown[] = [];
  const log: Log = (...line) => logged.push(line);
  reportInstallationWorkspaces(undefined, log);
  reportInstallationWorkspaces(`*, ${crypto.randomUUID()}`, log);
  assertEquals(logged, []);
  reportInstallationWorkspaces(`acme, ${crypto.randomUUID()}, 7`, log);
  assertEquals(logged.length, 1);
  const text = JSON.stringify(logged);
  assert(text.includes("KAPSO_WORKSPACES") && text.includes('"invalid_entries":2'), text);
  assert(!text.includes("acme"), text);
});

Deno.test("an event is one call of the database, and a secret that was replaced ends at once", async () => {
  await using counter = countCalls(db.info.api_url);
  const { post, setSecret } = await ownFunction(undefined, "*", counter.url);
  const phoneNumber = await createPhoneNumber(await signUp(db.info));
  await setSecret(phoneNumber, "first");
  const send = async (secret: string) => {
    counter.calls.length = 0;
    const status = await post(phoneNumber, secret);
    return [status, counter.calls.map((path) => path.replace("/rest/v1/rpc/", ""))];
  };
  const read = "webhook_secrets";
  const record = "record_webhook_event";
  assertEquals(await send("first"), [200, [read, record]]);
  assertEquals(await send("first"), [200, [record]]);
  assertEquals(await send("wrong"), [401, [read]]);
  // The earlier secret works on for its time; the function learns of the new one where it needs it.
  await setSecret(phoneNumber, "second");
  assertEquals(await send("second"), [200, [read, record]]);
  assertEquals(await send("first"), [200, [record]]);
  // Its time ends, which nothing has told the function.
  await db.sql`
    update private.connection_secrets set previous_webhook_expires_at = now() - interval '1 second'
    where connection_id = ${phoneNumber.id}`;
  const before = await countEvents(phoneNumber);
  assertEquals(await send("first"), [401, [record, read]]);
  assertEquals(await countEvents(phoneNumber), before);
  assertEquals(await send("second"), [200, [record]]);
  // Replaced in the moment between the check and the recording, without time for the earlier one.
  await db.service`select public.set_webhook_secret(${phoneNumber.id}, ${await sealedSecret(
    "third",
  )}, 0)`;
  assertEquals(await send("second"), [401, [record, read]]);
  assertEquals(await send("third"), [200, [record]]);
});

Deno.test("a number that gets a connection is no longer signed for by the installation's secret", async () => {
  await using counter = countCalls(db.info.api_url);
  const { post, setSecret } = await ownFunction("installation", "*", counter.url);
  const phoneNumber = await createPhoneNumber(await signUp(db.info));
  await db.sql`
    update public.connections set phone_number_id = null, number_claimed_at = null where id = ${phoneNumber.id}`;
  assertEquals([await post(phoneNumber, "installation"), await post(phoneNumber, "own")], [
    200,
    401,
  ]);
  await setSecret(phoneNumber, "own");
  await db.sql`
    update public.connections set phone_number_id = ${phoneNumber.phoneNumberId}, number_claimed_at = now()
    where id = ${phoneNumber.id}`;
  assertEquals([await post(phoneNumber, "installation"), await post(phoneNumber, "own")], [
    401,
    200,
  ]);
});

Deno.test("a body without a signature is not read", async () => {
  let pulled = 0;
  const body = new ReadableStream({
    pull(controller) {
      pulled++;
      controller.enqueue(new Uint8Array(64 * 1024));
    },
  }, { highWaterMark: 0 });
  const handler = createHandler({
    store: createWebhookStore(db as never, {
      cipher: undefined,
      installation: { secret: "x", isFor: () => Promise.resolve(true) },
    }),
    onFiles: () => {},
    onQueued: () => {},
    log: () => {},
    monotonic: () => 0,
    now: () => new Date(),
  });
  const answer = await handler(
    new Request("http://localhost/kapso-webhook", { method: "POST", body }),
  );
  assertEquals([answer.status, pulled], [401, 0]);
});

function withSignature(request: RequestInit, signature: string | undefined): RequestInit {
  const headers = new Headers(request.headers);
  if (signature === undefined) headers.delete("x-webhook-signature");
  else headers.set("x-webhook-signature", signature);
  return { ...request, headers };
}

async function countEvents(phoneNumber: PhoneNumber): Promise<number> {
  const [row] = await db.sql<{ count: number }[]>`
    select count(*)::integer from private.webhook_events where phone_number_id = ${phoneNumber.phoneNumberId}`;
  return row!.count;
}

/** The function as its index.ts puts it together, with a key that this test knows. */
async function ownFunction(
  secret: string | undefined,
  workspaces = "*",
  supabaseUrl = db.info.api_url,
) {
  const client = createServiceClient({
    supabaseUrl,
    secretKey: db.info.secret_key,
  });
  const cipher = await createCredentialCipher(KEY);
  const handler = createHandler({
    store: createWebhookStore(client, {
      cipher,
      installation: { secret, isFor: installationCheck(client, workspaces) },
    }),
    onFiles: () => {},
    onQueued: () => {},
    log: () => {},
    now: () => new Date(),
    monotonic: () => performance.now(),
  });
  const send = async (body: string, secretKey: string) =>
    await handler(
      new Request("http://localhost/kapso-webhook", {
        method: "POST",
        headers: deliveryHeaders({
          event: "whatsapp.message.received",
          body,
          secretKey,
          idempotencyKey: unique(),
        }),
        body,
      }),
    );
  const request = (phoneNumber: PhoneNumber, secret: string) =>
    send(JSON.stringify(receivedText(phoneNumber.phoneNumberId)), secret);
  return {
    send,
    request,
    async post(phoneNumber: PhoneNumber, secret: string) {
      const response = await request(phoneNumber, secret);
      await response.body?.cancel();
      return response.status;
    },
    async setSecret(phoneNumber: PhoneNumber, secret: string) {
      const sealed = await sealedSecret(secret);
      await db.service`select public.set_webhook_secret(${phoneNumber.id}, ${sealed})`;
    },
  };
}

async function sealedSecret(secret: string): Promise<string> {
  return await (await createCredentialCipher(KEY)).encrypt(secret);
}
