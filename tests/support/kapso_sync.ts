/**
 * Shared set-up of tests with a fake Kapso: the fake, a stack that uses it, and readers of what was stored.
 *
 * @module
 */

import { assertEquals } from "@std/assert";
import type { StackInfo } from "../../local/stack.ts";
import type { SyncEnd, SyncEvent } from "../../supabase/functions/_shared/contracts/kapso_sync.ts";
import { connect } from "./database.ts";
import {
  type FakeKapso,
  type FakeKapsoOptions,
  startFakeKapso,
} from "../../fakes/kapso/fake_kapso.ts";
import type { PhoneNumber as FakePhoneNumber } from "../../fakes/kapso/state.ts";
import { startStack } from "../../local/spawn_stack.ts";
import { createPhoneNumber, type PhoneNumber, untilProcessed } from "./kapso_webhook.ts";
import { signUp, type User } from "./users.ts";
import type postgres from "postgres";

/** A fake Kapso, a stack whose functions use it, and a business with the fake's first phone number. */
export interface World extends AsyncDisposable {
  fake: FakeKapso;
  info: StackInfo;
  /** Process of the stack. */
  pid: number;
  sql: postgres.Sql;
  user: User;
  phoneNumber: PhoneNumber;
}

/** A world for all tests of a file. Each test creates its own business with {@linkcode newBusiness}. */
export function useWorld(options: FakeKapsoOptions = {}): { readonly current: World } {
  let world: World | undefined;
  Deno.test.beforeAll(async () => {
    world = await startWorld(options);
  });
  Deno.test.afterAll(async () => {
    await world?.[Symbol.asyncDispose]();
  });
  return {
    get current() {
      if (!world) throw new Error("the world starts with the first test");
      return world;
    },
  };
}

/** A business with its own phone number, at the fake and here. */
export interface Business {
  user: User;
  phoneNumber: PhoneNumber;
  /** The number at the fake. */
  fakePhoneNumber: FakePhoneNumber;
}

/** Creates a business. */
export async function newBusiness({ fake, info }: World): Promise<Business> {
  const user = await signUp(info);
  const phoneNumber = await createPhoneNumber(user);
  return {
    user,
    phoneNumber,
    fakePhoneNumber: fake.addPhoneNumber(phoneNumber.phoneNumberId, "+55 11 3000-0000"),
  };
}

/** Headers of a signed-in user. */
export async function headersOf(
  info: StackInfo,
  { client }: User,
): Promise<Record<string, string>> {
  const { data } = await client.auth.getSession();
  return {
    apikey: info.publishable_key,
    authorization: `Bearer ${data.session!.access_token}`,
  };
}

/** Starts a world; `env` has further variables of its functions. */
export async function startWorld(
  options: FakeKapsoOptions = {},
  env: Record<string, string> = {},
): Promise<World> {
  await using stack = new AsyncDisposableStack();
  const fake = stack.use(await startFakeKapso({ rateLimit: null, ...options }));
  const running = stack.use(
    await startStack({ env: { KAPSO_API_URL: fake.url, KAPSO_API_KEY: fake.apiKey, ...env } }),
  );
  const sql = connect(running.info.db_url);
  stack.defer(() => sql.end());
  // The demo connection has the fake's first phone number.
  await sql`delete from public.connections where phone_number_id = ${fake.phoneNumber.phoneNumberId}`;
  const user = await signUp(running.info);
  const phoneNumber = await createPhoneNumber(user, fake.phoneNumber.phoneNumberId);
  const all = stack.move();
  return {
    fake,
    info: running.info,
    pid: running.pid!,
    sql,
    user,
    phoneNumber,
    [Symbol.asyncDispose]: () => all.disposeAsync(),
  };
}

/** Lets the fake deliver its events to the stack. */
export function connectWebhook({ fake, info, sql }: World): void {
  fake.addWebhook({
    url: `${info.api_url}/functions/v1/kapso-webhook`,
    secretKey: info.demo.kapso_webhook_secret,
    phoneNumber: fake.phoneNumber,
  });
  // An event that arrives while another one is processed is answered before it is processed.
  const { settled } = fake;
  fake.settled = async () => {
    await settled();
    await untilProcessed(sql);
  };
}

/** Posts to kapso-sync with the service key, unless other headers are given. */
export function post(
  info: StackInfo,
  body: unknown,
  init: { path?: string; headers?: Record<string, string>; signal?: AbortSignal } = {},
): Promise<Response> {
  return fetch(`${info.api_url}/functions/v1/kapso-sync${init.path ?? ""}`, {
    method: "POST",
    headers: {
      "content-type": "application/json",
      ...(init.headers ?? { apikey: info.secret_key }),
    },
    body: typeof body === "string" ? body : JSON.stringify(body),
    ...(init.signal ? { signal: init.signal } : {}),
  });
}

/** Events of one request. */
export async function slice(info: StackInfo, body: unknown): Promise<SyncEvent[]> {
  const response = await post(info, body);
  const text = await response.text();
  assertEquals(response.status, 200, text);
  return text.trim().split("\n").map((line) => JSON.parse(line));
}

/** Posts until the run has ended. */
export async function syncAll(
  info: StackInfo,
  body: Record<string, unknown>,
): Promise<SyncEvent[]> {
  const events: SyncEvent[] = [];
  for (let slices = 0; slices < 200; slices++) {
    events.push(...await slice(info, body));
    const last = events.at(-1)!;
    if (last.type !== "paused" && last.type !== "busy") return events;
    if ("error" in last && last.retry_after_seconds) {
      // The test skips the wait.
      await expireWaits(info, last.run_id);
    }
  }
  throw new Error("the run does not end");
}

/** Lets a run be resumed at once, by ending its waits and the lease of a dead slice. */
export async function expireWaits(info: StackInfo, runId: string): Promise<void> {
  const sql = connect(info.db_url);
  try {
    await sql`
      update public.sync_runs set lease_expires_at = now() - interval '1 second'
      where id = ${runId} and lease is not null`;
    await sql`update public.sync_runs set retry_at = null where id = ${runId}`;
  } finally {
    await sql.end();
  }
}

/** Kills the process of a function, as a platform does with one that took too long. */
export async function killFunction(
  { pid }: World,
  functionName = "kapso-sync",
): Promise<boolean> {
  for await (const { name } of Deno.readDir("/proc")) {
    if (!/^[0-9]+$/.test(name)) continue;
    try {
      const [, , , parent] = (await Deno.readTextFile(`/proc/${name}/stat`)).split(" ");
      if (Number(parent) !== pid) continue;
      if (!(await Deno.readTextFile(`/proc/${name}/cmdline`)).includes(functionName)) continue;
      Deno.kill(Number(name), "SIGKILL");
      return true;
    } catch (error) {
      // The process ended in the meantime.
      if (!(error instanceof Deno.errors.NotFound)) throw error;
    }
  }
  return false;
}

/** The last event, which says how it ended. */
export function ending(events: SyncEvent[]): SyncEnd {
  const last = events.at(-1)!;
  if (!("error" in last) || last.type === "conversation_failed") {
    throw new Error(`the stream ended with ${last.type}`);
  }
  return last;
}

/** Ids of the messages stored for the phone number, sorted, duplicates included. */
export async function storedIds(
  { sql, phoneNumber }: Pick<World, "sql" | "phoneNumber">,
): Promise<string[]> {
  const found = await sql<{ id: string }[]>`
    select message.value ->> 'id' as id
    from public.conversation_export as thread
    cross join lateral jsonb_array_elements(thread.messages) as message (value)
    where thread.external_conversation_id like ${`${phoneNumber.phoneNumberId}:%`}`;
  return found.map(({ id }) => id).sort();
}

/** Ids of the messages that the fake has for a phone number (by default its first), without reactions, sorted. */
export function kapsoIds(
  fake: FakeKapso,
  phoneNumber: FakePhoneNumber = fake.phoneNumber,
): string[] {
  return fake.state.messages
    .filter(({ type, conversation }) =>
      type !== "reaction" && conversation.phoneNumber === phoneNumber
    )
    .map(({ id }) => id)
    .sort();
}
