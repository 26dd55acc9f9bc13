/**
 * The order of registering a webhook, and what Kapso may answer.
 *
 * @module
 */

import { assertEquals, assertRejects } from "@std/assert";
import {
  type KapsoClient,
  KapsoError,
} from "../../../../../supabase/functions/_shared/kapso/api/client.ts";
import { registerWebhook } from "../../../../../supabase/functions/_shared/kapso/api/webhook_registration.ts";
import { AppError } from "../../../../../supabase/functions/_shared/http/errors.ts";

const URL = "https://project.example/functions/v1/kapso-webhook";
const OURS = { id: "w1", url: `${URL}/`, kind: "kapso", active: false };

/** Registers against a Kapso with these webhooks, and says in which order things happened. */
async function register(options: {
  listed?: Record<string, unknown>[];
  stored?: string;
  rotate?: boolean;
  create?: () => Promise<Record<string, unknown>>;
}) {
  const steps: string[] = [];
  const answer = (settings: Record<string, unknown>) => ({ id: "w1", ...settings });
  const kapso = {
    listWebhooks: () => Promise.resolve(options.listed ?? []),
    createWebhook(_number: string, settings: Record<string, unknown>) {
      steps.push("create");
      return options.create?.() ?? Promise.resolve(answer(settings));
    },
    updateWebhook(id: string, settings: Record<string, unknown>) {
      steps.push(`update ${id}`);
      return Promise.resolve(answer(settings));
    },
  } as unknown as KapsoClient;
  const registered = await registerWebhook({
    kapso,
    url: URL,
    phoneNumberId: "1",
    storedSecret: () => Promise.resolve(options.stored),
    storeSecret: () => Promise.resolve(void steps.push("store")),
    ...(options.rotate === undefined ? {} : { rotate: options.rotate }),
  });
  return { steps, registered };
}

Deno.test("a secret is stored before Kapso uses it, unless the webhook signs with an unknown one", async () => {
  const stepsOf = async (options: Parameters<typeof register>[0]) =>
    (await register(options)).steps;
  assertEquals(await stepsOf({}), ["store", "create"]);
  assertEquals(await stepsOf({ stored: "s" }), ["create"]);
  assertEquals(await stepsOf({ stored: "s", listed: [OURS] }), ["update w1"]);
  assertEquals(await stepsOf({ stored: "s", listed: [OURS], rotate: true }), [
    "store",
    "update w1",
  ]);
  assertEquals(await stepsOf({ listed: [OURS] }), ["update w1", "store"]);
});

Deno.test("registering says what it did", async () => {
  const created = (await register({})).registered;
  assertEquals([created.isCreated, created.hasNewSecret, created.hasContactEvents], [
    true,
    true,
    true,
  ]);
  assertEquals(created.health, {
    state: "active",
    url: URL,
    missing_events: [],
    is_ours: true,
    problem: null,
  });
  const updated = (await register({ stored: "s", listed: [OURS] })).registered;
  assertEquals([updated.isCreated, updated.hasNewSecret], [false, false]);
});

Deno.test("webhooks of others and rows of an unknown form are left alone", async () => {
  const listed = [{ ...OURS, url: "https://other.example" }, { id: 7 }];
  assertEquals((await register({ stored: "s", listed })).steps, ["create"]);
});

Deno.test("a webhook of kind meta at our address is a conflict that names it", async () => {
  const error = await assertRejects(
    () => register({ listed: [{ ...OURS, kind: "meta" }] }),
    AppError,
    "w1",
  );
  assertEquals([error.status, error.code], [409, "webhook_conflict"]);
});

Deno.test("a webhook that Kapso will not list and an answer of an unknown form are errors", async () => {
  const taken = () =>
    Promise.reject(
      new KapsoError({ status: 409, code: "conflict", message: "exists", isRetryable: false }),
    );
  await assertRejects(() => register({ create: taken }), AppError, "does not list it");
  const error = await assertRejects(
    () => register({ create: () => Promise.resolve({}) }),
    KapsoError,
  );
  assertEquals(error.code, "unreadable_answer");
});
