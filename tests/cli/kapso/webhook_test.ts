/**
 * `deno task kapso:webhook` against a fake Kapso and the stack.
 *
 * @module
 */

import { assert, assertEquals, assertStringIncludes } from "@std/assert";
import { useDatabase } from "../../support/database.ts";
import { type FakeKapso, startFakeKapso } from "../../../fakes/kapso/fake_kapso.ts";
import { signUp } from "../../support/users.ts";
import {
  createPhoneNumber,
  FIXTURE_PHONE_NUMBER_ID,
  type PhoneNumber,
  uniquePhoneNumberId,
} from "../../support/kapso_webhook.ts";

const db = useDatabase();
const ROOT = new URL("../../../", import.meta.url);
const KEY = btoa("k".repeat(32));

Deno.test("register creates a webhook, and adopts it the second time", async () => {
  await using setup = await start();
  const { fake, run } = setup;
  const first = await run("register");
  assertEquals(first.code, 0, first.stderr);
  assertStringIncludes(first.stdout, "Created webhook");
  const [webhook] = [...fake.deliveries.webhooks.values()];
  assertEquals([webhook!.events.length, webhook!.payloadVersion, webhook!.kind], [
    10,
    "v2",
    "kapso",
  ]);
  assertEquals(webhook!.secretKey.length, 64);

  webhook!.events = ["whatsapp.message.received"];
  webhook!.payloadVersion = "v1";
  assertEquals((await run("status")).code, 1);
  const secret = webhook!.secretKey;
  const second = await run("register");
  assertStringIncludes(second.stdout, "Adopted webhook");
  assertEquals(fake.deliveries.webhooks.size, 1);
  assertEquals([webhook!.events.length, webhook!.payloadVersion], [10, "v2"]);
  assertEquals(webhook!.secretKey, secret, "a secret that is stored is kept");
  assertEquals((await run("register", "--rotate")).code, 0);
  assert(webhook!.secretKey !== secret);
  assertEquals((await run("status")).code, 0);
  const [stored] = await db.sql`
    select octet_length(webhook_secret) > 64 as has_new, octet_length(previous_webhook_secret) > 64 as has_old,
      position(${webhook!.secretKey} in encode(webhook_secret, 'escape')) as in_the_clear
    from private.connection_secrets where connection_id = ${setup.phoneNumber.id}`;
  assertEquals(stored, { has_new: true, has_old: true, in_the_clear: 0 });
  for (const { stdout, stderr } of [first, second]) {
    for (const hidden of [secret, webhook!.secretKey, fake.apiKey, KEY, db.info.secret_key]) {
      assert(!`${stdout}${stderr}`.includes(hidden));
    }
  }
});

Deno.test("register proves a number that the connection only requests", async () => {
  await using setup = await start();
  const { fake, run, phoneNumber } = setup;
  const numbers = async () => {
    const [row] = await db.sql`
      select phone_number_id, requested_phone_number_id from public.connections
      where id = ${phoneNumber.id}`;
    return Object.values(row!);
  };
  await db.sql`
    update public.connections
    set phone_number_id = null, requested_phone_number_id = phone_number_id
    where id = ${phoneNumber.id}`;
  const wrong = await run("register", { KAPSO_API_KEY: "wrong" });
  assert(wrong.code !== 0, wrong.stderr);
  assertEquals(await numbers(), [null, phoneNumber.phoneNumberId]);
  const { code, stdout, stderr } = await run("register");
  assertEquals(code, 0, stderr);
  assertStringIncludes(stdout, "it is now that of the connection");
  assertEquals(await numbers(), [phoneNumber.phoneNumberId, null]);
  assertEquals(fake.deliveries.webhooks.size, 1);
});

Deno.test("an account that does not know the contact events gets the others", async () => {
  await using setup = await start({ knowsContactEvents: false });
  const { code, stdout } = await setup.run("register");
  assertEquals(code, 0);
  assertStringIncludes(stdout, "registered without them");
  assertEquals([...setup.fake.deliveries.webhooks.values()][0]!.events.length, 8);
  assertEquals((await setup.run("status")).code, 0);
});

Deno.test("status shows a pause, resume ends it, test shows the delivery", async () => {
  await using setup = await start();
  const { fake, run } = setup;
  await run("register");
  const [webhook] = [...fake.deliveries.webhooks.values()];
  fake.deliveries.setActive(webhook!, false);
  const paused = await run("status");
  assertEquals(paused.code, 1);
  assertStringIncludes(paused.stdout, "PAUSED");
  assertStringIncludes((await run("test")).stderr, "paused");
  assertStringIncludes((await run("resume")).stdout, "active again");
  assertEquals(webhook!.active, true);
  assertStringIncludes((await run("resume")).stdout, "already");

  // The stack's functions have another CREDENTIALS_KEY than this test, so they cannot read the secret.
  const failed = await run("test");
  assertEquals(failed.code, 1);
  assertStringIncludes(failed.stdout, "HTTP 500");
  await db
    .sql`update private.connection_secrets set webhook_secret = null where connection_id = ${setup.phoneNumber.id}`;
  webhook!.secretKey = db.info.demo.kapso_webhook_secret;
  const tested = await run("test", "--event", "whatsapp.conversation.created");
  assertEquals(tested.code, 0, tested.stdout + tested.stderr);
  assertStringIncludes(tested.stdout, "whatsapp.conversation.created  delivered  HTTP 200");
  assertStringIncludes((await run("status")).stdout, "No secret is stored");
});

Deno.test("an error is one sentence", async () => {
  await using setup = await start();
  const { fake, run } = setup;
  fake.misbehave({ kind: "html", status: 502 }, { kind: "status", status: 500 });
  assertEquals((await run("register")).code, 0, "reads are retried");
  const cases: [string[], Record<string, string>, string][] = [
    [["status"], { KAPSO_API_KEY: "wrong" }, "does not accept KAPSO_API_KEY"],
    [["status"], { KAPSO_API_KEY: "" }, "KAPSO_API_KEY is not set"],
    [["status"], { CREDENTIALS_KEY: "short" }, "32 bytes in base64"],
    [["status"], { CREDENTIALS_KEY: btoa("x".repeat(32)) }, "another CREDENTIALS_KEY"],
    [["status", "--url", "https://elsewhere.example/hook"], {}, "has no webhook to"],
    [["test", "--event", "nothing"], {}, "must be one of"],
    [["explode"], {}, "Give one of register"],
  ];
  for (const [args, env, text] of cases) {
    const { code, stderr } = await run(args[0]!, ...args.slice(1), env);
    assertEquals(code, 2, stderr);
    assertStringIncludes(stderr, text);
    assert(!stderr.includes("    at "), stderr);
  }
  fake.state.phoneNumbers.delete(setup.phoneNumber.phoneNumberId);
  assertStringIncludes((await run("status")).stderr, "does not know this number");
});

/** A fake Kapso with the number of a connection. */
async function start(options: { knowsContactEvents?: boolean } = {}) {
  const user = await signUp(db.info);
  const phoneNumber: PhoneNumber = await createPhoneNumber(user, uniquePhoneNumberId());
  const [row] = await db.sql<{ connection_id: string }[]>`
    select connection_id from public.connections where id = ${phoneNumber.id}`;
  const fake: FakeKapso = await startFakeKapso({ seed: 5, ...options });
  fake.state.phoneNumbers.delete(FIXTURE_PHONE_NUMBER_ID);
  fake.addPhoneNumber(phoneNumber.phoneNumberId, "+551130000009");
  return {
    fake,
    phoneNumber,
    async run(command: string, ...rest: (string | Record<string, string>)[]) {
      const args = rest.filter((part) => typeof part === "string");
      const env = Object.assign({}, ...rest.filter((part) => typeof part === "object"));
      const { code, stdout, stderr } = await new Deno.Command(Deno.execPath(), {
        args: ["run", "-A", "cli/kapso/webhook/main.ts", command, row!.connection_id, ...args],
        cwd: ROOT,
        env: {
          NO_COLOR: "1",
          KAPSO_API_KEY: fake.apiKey,
          KAPSO_API_URL: fake.url,
          SUPABASE_URL: db.info.api_url,
          SUPABASE_SECRET_KEY: db.info.secret_key,
          CREDENTIALS_KEY: KEY,
          ...env,
        },
        stdin: "null",
      }).output();
      const decoder = new TextDecoder();
      return { code, stdout: decoder.decode(stdout), stderr: decoder.decode(stderr) };
    },
    [Symbol.asyncDispose]: () => fake.stop(),
  };
}
