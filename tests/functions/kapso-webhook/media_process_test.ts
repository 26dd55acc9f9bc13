/**
 * The copy of a file, from the webhook to Storage, in the process of the function: on the Deno of hosted Supabase,
 * which lacks APIs that the Deno of the tests has.
 *
 * @module
 */

import { assertEquals } from "@std/assert";
import { fileURLToPath } from "node:url";
import { startFakeKapso } from "../../../fakes/kapso/fake_kapso.ts";
import { startFakeStorage } from "../../../fakes/storage.ts";
import { findEdgeDeno } from "../../../local/gateway/edge_deno.ts";
import { FunctionProcess } from "../../../local/gateway/function_process.ts";
import { useDatabase } from "../../support/database.ts";
import { eventually } from "../../support/eventually.ts";
import {
  createPhoneNumber,
  delivery,
  FIXTURE_PHONE_NUMBER_ID,
} from "../../support/kapso_webhook.ts";
import { signUp } from "../../support/users.ts";

const db = useDatabase();
const root = new URL("../../../", import.meta.url);

Deno.test("a file of a webhook's message is copied to Storage by the function itself", async () => {
  await using storage = startFakeStorage();
  const fake = await startFakeKapso();
  const user = await signUp(db.info);
  const phoneNumber = await createPhoneNumber(user);
  fake.state.phoneNumbers.delete(FIXTURE_PHONE_NUMBER_ID);
  fake.phoneNumber = fake.addPhoneNumber(phoneNumber.phoneNumberId, "+551130000017");
  // The project that the function sees: that of the stack, with a Storage.
  await using project = Deno.serve(
    { hostname: "127.0.0.1", port: 0, onListen: () => {} },
    (request) => {
      const { pathname, search } = new URL(request.url);
      const isStorage = pathname.startsWith("/storage/v1/");
      const headers = new Headers(request.headers);
      if (isStorage) headers.set("authorization", `Bearer ${storage.serviceKey}`);
      return fetch((isStorage ? storage.url : db.info.api_url) + pathname + search, {
        method: request.method,
        headers,
        body: request.body,
      });
    },
  );
  const process = new FunctionProcess({
    name: "kapso-webhook",
    deno: await findEdgeDeno(),
    entrypoint: fileURLToPath(new URL("supabase/functions/kapso-webhook/index.ts", root)),
    importMap: fileURLToPath(new URL("import_map.json", root)),
    env: {
      SUPABASE_URL: `http://127.0.0.1:${project.addr.port}`,
      SUPABASE_ANON_KEY: db.info.publishable_key,
      SUPABASE_SERVICE_ROLE_KEY: db.info.secret_key,
      KAPSO_API_URL: fake.url,
      KAPSO_API_KEY: fake.apiKey,
      KAPSO_WORKSPACES: "*",
      KAPSO_WEBHOOK_SECRET: "secret",
    },
  });
  try {
    assertEquals(await process.ready, true);
    const photo = new TextEncoder().encode("a photo");
    fake.receiveMessage(fake.addContact({ name: "Rita" }), { type: "image", bytes: photo });
    for (const { event, body } of fake.events) {
      const answer = await fetch(
        `${process.origin}/kapso-webhook`,
        delivery(JSON.stringify(body), { event, secret: "secret" }),
      );
      assertEquals([answer.status, (await answer.json()).state], [200, "processed"]);
    }
    const media = await eventually("the message says what became of its file", async () => {
      const [row] = await db.sql`
        select message.value -> 'metadata' -> 'media' as media
        from public.conversation_export as thread
        cross join lateral jsonb_array_elements(thread.messages) as message
        where thread.external_conversation_id like ${`${phoneNumber.phoneNumberId}:%`}`;
      return row?.media as Record<string, unknown> | null;
    });
    assertEquals([media.state, media.reason, media.sha256], [
      "stored",
      undefined,
      new Uint8Array(await crypto.subtle.digest("SHA-256", photo)).toHex(),
    ]);
    assertEquals(storage.objects.get(`media/${media.path}`)?.bytes, photo);
  } finally {
    await process.stop();
    await fake.stop();
  }
});
