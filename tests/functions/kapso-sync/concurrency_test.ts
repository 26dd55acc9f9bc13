/**
 * Concurrent changes of runs: two calls of the schedule, a slice that loses its lease, a stop, a connection
 * that is switched off or gets another key, and the effect of one connection on the others.
 *
 * @module
 */

import { assert, assertEquals } from "@std/assert";
import { AppError } from "../../../supabase/functions/_shared/http/errors.ts";
import { createHandler, type HandlerDeps } from "../../../supabase/functions/kapso-sync/handler.ts";
import type { SyncEvent } from "../../../supabase/functions/_shared/contracts/kapso_sync.ts";
import { uniquePhoneNumberId } from "../../support/kapso_webhook.ts";
import { rows, serviceClient } from "../../support/users.ts";
import {
  type Business,
  ending,
  expireWaits,
  kapsoIds,
  newBusiness,
  post,
  slice,
  storedIds,
  syncAll,
  useWorld,
} from "../../support/kapso_sync.ts";

const world = useWorld();

/** Creates conversations with one message each at the fake. */
function write({ fakePhoneNumber }: Business, conversations: number): void {
  const { fake } = world.current;
  for (let place = 0; place < conversations; place++) {
    fake.receiveMessage(fake.addContact({ phoneNumber: fakePhoneNumber }), `message ${place}`);
  }
}

/** Reads the events of a request as they arrive. */
function follow(response: Response) {
  const reader = response.body!.pipeThrough(new TextDecoderStream()).getReader();
  let text = "";
  return {
    async until(what: string): Promise<string> {
      while (!text.includes(what)) {
        const { done, value } = await reader.read();
        assert(!done, text);
        text += value;
      }
      return text;
    },
    async rest(): Promise<SyncEvent[]> {
      for (;;) {
        const { done, value } = await reader.read();
        if (done) return text.trim().split("\n").map((line) => JSON.parse(line));
        text += value;
      }
    },
  };
}

const due = async ({ phoneNumber }: Business) =>
  (await world.current.sql<{ mode: string }[]>`
    select mode from public.due_sync_runs(1000, ${phoneNumber.id}) order by mode`).map(({ mode }) =>
    mode
  );

const beginDue = ({ phoneNumber }: Business, mode: string) =>
  world.current.sql`select * from public.begin_due_sync_run(${phoneNumber.id}, ${mode})`;

Deno.test("beginning a run does not wait for a page that is being stored, whose slice can end the run", async () => {
  const { sql } = world.current;
  const { phoneNumber } = await newBusiness(world.current);
  const begin = () =>
    sql.begin(async (sql) => {
      await sql`set local statement_timeout = '3s'`;
      return await sql`select * from public.begin_sync_run(${phoneNumber.id}, 'repair', null, null, false, null)`;
    });
  const [begun] = await begin();
  const { id, lease } = begun!.run;
  await sql.begin(async (storing) => {
    await storing`select from private.hold_sync_run(${id}, ${lease}, 60)`;
    // As if the lease had expired by the caller's clock: the slice works all the same.
    const [second] = await begin();
    assertEquals([second!.is_mine, second!.run.id], [false, id]);
    await storing`select from public.release_sync_run(${id}, ${lease}, 'done')`;
  });
});

Deno.test("a call of the schedule does not begin a run that was finished or stopped in the meantime", async () => {
  const { info, sql } = world.current;
  const business = await newBusiness(world.current);
  write(business, 3);
  const body = { connection_id: business.phoneNumber.id };
  const [first] = await slice(info, body);
  await sql`
    update public.sync_runs set state = 'running', phase = 'messages', finished_at = null
    where id = ${first!.run_id}`;
  assertEquals(await due(business), ["history"]);
  // Another request is faster.
  assertEquals(ending(await slice(info, body)).type, "done");
  assertEquals((await beginDue(business, "history")).count, 0);
  assertEquals(
    (await sql`select from public.sync_runs where connection_id = ${business.phoneNumber.id}`)
      .count,
    1,
  );

  await sql`
    update public.sync_runs set state = 'running', phase = 'messages', finished_at = null
    where id = ${first!.run_id}`;
  assertEquals(await due(business), ["history"]);
  await (await post(info, "", { path: `/runs/${first!.run_id}/stop` })).body?.cancel();
  assertEquals((await beginDue(business, "history")).count, 0);
  assertEquals(
    (await sql`select state from public.sync_runs where id = ${first!.run_id}`)[0]!.state,
    "stopped",
  );
});

Deno.test("of concurrent calls of the schedule one gets the run", async () => {
  const business = await newBusiness(world.current);
  const begun = await Promise.all(Array.from({ length: 4 }, () => beginDue(business, "repair")));
  assertEquals(begun.flatMap((rows) => rows.map((row) => row.is_mine)), [true]);
});

Deno.test("a run that was asked to stop stays stopped, whether its slice fails or is cut off", async () => {
  const { info, sql, fake } = world.current;
  const business = await newBusiness(world.current);
  write(business, 5);
  const body = { connection_id: business.phoneNumber.id, delay_ms: 500 };
  const events = follow(await post(info, body));
  await events.until('"conversation_done"');
  const runId =
    (await sql`select id from public.sync_runs where connection_id = ${business.phoneNumber.id}`)[
      0
    ]!.id;
  fake.misbehaveOn("GET", new RegExp(`${business.phoneNumber.phoneNumberId}/messages$`), {
    kind: "status",
    status: 429,
    headers: { "Retry-After": "60" },
  });
  await (await post(info, "", { path: `/runs/${runId}/stop` })).body?.cancel();
  assertEquals(ending(await events.rest()).type, "stopped");
  await sql`update public.connections set confirmed_until = now() where id = ${business.phoneNumber.id}`;
  assertEquals(await due(business), []);

  // The next one is killed before it can release its lease.
  await sql`
    update public.sync_runs
    set state = 'running', lease = gen_random_uuid(), lease_expires_at = now() + interval '1 minute'
    where id = ${runId}`;
  await (await post(info, "", { path: `/runs/${runId}/stop` })).body?.cancel();
  await sql`update public.sync_runs set lease_expires_at = now() - interval '1 second' where id = ${runId}`;
  assertEquals(await due(business), []);
  assertEquals((await sql`select state, lease from public.sync_runs where id = ${runId}`)[0], {
    state: "stopped",
    lease: null,
  });
  assertEquals(
    ending(await syncAll(info, { connection_id: business.phoneNumber.id })).type,
    "done",
  );
});

Deno.test("a run that was stopped during a pause is not resumed by the caller that waited", async () => {
  const { info, fake } = world.current;
  const business = await newBusiness(world.current);
  write(business, 2);
  fake.misbehaveOn("GET", new RegExp(`${business.phoneNumber.phoneNumberId}/messages$`), {
    kind: "status",
    status: 429,
    headers: { "Retry-After": "60" },
  });
  const body = { connection_id: business.phoneNumber.id };
  const paused = ending(await slice(info, body));
  assertEquals(paused.type, "paused");
  await (await post(info, "", { path: `/runs/${paused.run_id}/stop` })).body?.cancel();
  const end = ending(await slice(info, { ...body, run_id: paused.run_id }));
  // The other conversation was read at the same time.
  assertEquals([end.type, end.run_id, end.messages_read], ["stopped", paused.run_id, 1]);
  // A new request without run_id resumes it.
  assertEquals(ending(await slice(info, body)).type, "done");
});

Deno.test("a slice that lost its lease while Kapso was slow stores nothing, and ends as busy", async () => {
  const { info, sql, fake } = world.current;
  for (const isWell of [true, false]) {
    const business = await newBusiness(world.current);
    write(business, 2);
    fake.misbehaveOn(
      "GET",
      new RegExp(`${business.phoneNumber.phoneNumberId}/messages$`),
      isWell
        ? { kind: "slow", ms: 1500 }
        : { kind: "status", status: 429, headers: { "Retry-After": "1" } },
      ...(isWell ? [] : [{ kind: "status", status: 401 } as const]),
    );
    const events = follow(await post(info, { connection_id: business.phoneNumber.id }));
    await events.until('"type":"conversation",');
    await sql`
      update public.sync_runs set lease = gen_random_uuid(), lease_expires_at = now() + interval '1 minute'
      where connection_id = ${business.phoneNumber.id}`;
    const end = ending(await events.rest());
    assertEquals([end.type, end.code], ["busy", "run_busy"]);
    assertEquals(await storedIds({ ...world.current, ...business }), []);
    await expireWaits(info, end.run_id);
    assertEquals(
      ending(await syncAll(info, { connection_id: business.phoneNumber.id })).type,
      "done",
    );
    assertEquals(
      await storedIds({ ...world.current, ...business }),
      kapsoIds(fake, business.fakePhoneNumber),
    );
  }
});

Deno.test("nothing more is stored for an inactive connection, and its run resumes once it is active", async () => {
  const { info, sql, fake } = world.current;
  const business = await newBusiness(world.current);
  write(business, 6);
  const events = follow(
    await post(info, { connection_id: business.phoneNumber.id, delay_ms: 300 }),
  );
  await events.until('"conversation_done"');
  await sql`update public.connections set is_active = false where id = ${business.phoneNumber.id}`;
  const stored = (await storedIds({ ...world.current, ...business })).length;
  const end = ending(await events.rest());
  assertEquals([end.type, end.code], ["paused", "connection_inactive"]);
  assert((await storedIds({ ...world.current, ...business })).length <= stored + 1);
  assertEquals(await due(business), []);
  await sql`update public.connections set is_active = true where id = ${business.phoneNumber.id}`;
  assertEquals((await due(business)).includes("history"), true);
  assertEquals(
    ending(await syncAll(info, { connection_id: business.phoneNumber.id })).type,
    "done",
  );
  assertEquals(
    await storedIds({ ...world.current, ...business }),
    kapsoIds(fake, business.fakePhoneNumber),
  );
});

Deno.test("a connection whose phone number changes begins a new run, with nothing of the previous one", async () => {
  const { info, sql, fake } = world.current;
  const business = await newBusiness(world.current);
  const other = fake.addPhoneNumber(uniquePhoneNumberId(), "+55 11 3000-0001");
  write(business, 6);
  write({ ...business, fakePhoneNumber: other }, 2);
  const body = { connection_id: business.phoneNumber.id };
  await slice(info, { ...body, mode: "repair" });
  const events = follow(await post(info, { ...body, delay_ms: 300 }));
  const runId = JSON.parse((await events.until('"conversation_done"')).split("\n")[0]!).run_id;
  await rows(
    business.user.client.rpc("update_connection", {
      id: business.phoneNumber.id,
      change: { phone_number_id: other.phoneNumberId },
    }).select(),
  );
  await rows(
    serviceClient(info).rpc("claim_phone_number", {
      connection_id: business.phoneNumber.id,
      phone_number_id: other.phoneNumberId,
    }),
  );
  assertEquals(ending(await events.rest()).type, "busy");
  const moved = {
    ...business,
    phoneNumber: { ...business.phoneNumber, phoneNumberId: other.phoneNumberId },
  };
  await expireWaits(info, runId);
  assertEquals(await due(business), ["repair"], "what was confirmed was that of the other number");
  const [run] = await sql`select state, error from public.sync_runs where id = ${runId}`;
  assertEquals(run, { state: "partial", error: "the connection has another number now" });
  const [begun] = await syncAll(info, body);
  assert(begun?.type === "run" && !begun.resumed);
  assertEquals(await storedIds({ ...world.current, ...moved }), kapsoIds(fake, other));
});

Deno.test("deleting a connection ends its slice and deletes its run", async () => {
  const { info, sql } = world.current;
  const business = await newBusiness(world.current);
  write(business, 6);
  const events = follow(
    await post(info, { connection_id: business.phoneNumber.id, delay_ms: 300 }),
  );
  await events.until('"conversation_done"');
  await sql`delete from public.connections where id = ${business.phoneNumber.id}`;
  assertEquals(ending(await events.rest()).type, "busy");
  const response = await post(info, { connection_id: business.phoneNumber.id });
  assertEquals([response.status, (await response.json()).code], [404, "connection_not_found"]);
});

Deno.test("a run that failed because of its key resumes with the next key", async () => {
  const { info, sql } = world.current;
  const business = await newBusiness(world.current);
  write(business, 1);
  const revoked = await post(info, { connection_id: business.phoneNumber.id }, {
    headers: { apikey: info.secret_key, "x-kapso-api-key": "revoked" },
  });
  const events: SyncEvent[] = (await revoked.text()).trim().split("\n").map((line) =>
    JSON.parse(line)
  );
  assertEquals(ending(events).type, "failed");
  await sql`
    update public.connections set confirmed_until = now(), sync_after = now() + interval '1 hour'
    where id = ${business.phoneNumber.id}`;
  assertEquals(await due(business), []);
  await sql`select public.set_kapso_api_key(${business.phoneNumber.id}, 'AAAA')`;
  assertEquals(await due(business), ["history"]);
});

Deno.test("a repair whose cursor Kapso no longer accepts walks from the beginning", async () => {
  const { info, sql, fake } = world.current;
  const business = await newBusiness(world.current);
  write(business, 2);
  const body = { connection_id: business.phoneNumber.id, mode: "repair" };
  const [begun] = await sql`
    select run from public.begin_sync_run(${business.phoneNumber.id}, 'repair', null, null, false, null)`;
  await sql`update public.sync_runs set cursor = 'of last year' where id = ${begun!.run.id}`;
  await expireWaits(info, begun!.run.id);
  const failed = ending(await slice(info, body));
  assertEquals([failed.type, failed.run_id], ["failed", begun!.run.id]);
  const end = ending(await slice(info, body));
  assertEquals([end.type, end.run_id], ["done", begun!.run.id]);
  assertEquals(
    await storedIds({ ...world.current, ...business }),
    kapsoIds(fake, business.fakePhoneNumber),
  );
});

Deno.test("a dry repair does not use up the look-ups of the next one", async () => {
  const { info, sql, fake } = world.current;
  const business = await newBusiness(world.current);
  const contact = fake.addContact({ phoneNumber: business.fakePhoneNumber });
  fake.sendMessage(contact, "hello", { sentAt: Date.now() - 2 * 60 * 60 * 1000 });
  await slice(info, { connection_id: business.phoneNumber.id });
  const body = { connection_id: business.phoneNumber.id, mode: "repair" };
  const dry = ending(await slice(info, { ...body, dry_run: true }));
  assertEquals([dry.type, dry.statuses_checked, dry.sessions_checked], ["done", 0, 0]);
  const [phoneNumber] =
    await sql`select * from public.connections where id = ${business.phoneNumber.id}`;
  assertEquals([phoneNumber!.statuses_checked_until, phoneNumber!.sessions_checked_until], [
    null,
    null,
  ]);
  const real = ending(await slice(info, body));
  assertEquals([real.statuses_checked, real.sessions_checked], [1, 1]);
});

Deno.test("what a repair cannot store is reported, and the rest is stored", async () => {
  const { sql } = world.current;
  const { phoneNumber } = await newBusiness(world.current);
  const [begun] = await sql`
    select run from public.begin_sync_run(${phoneNumber.id}, 'repair', null, null, false, null)`;
  const element = (phone: string, sentAt: string) => ({
    kind: "conversation",
    phoneNumberId: phoneNumber.phoneNumberId,
    conversation: {
      external_conversation_id: `${phoneNumber.phoneNumberId}:${phone}`,
      participant_identifier: `+${phone}`,
      messages: [
        { id: `wamid.${phone}`, direction: "inbound", type: "text", content: "x", sent_at: sentAt },
      ],
      session: { id: phone, status: "active", at: sentAt },
      thread_aliases: [],
    },
  });
  const elements = [
    element("5511900000001", "no time"),
    element("5511900000002", "2026-03-02T09:00:00Z"),
  ];
  const pages = [{ elements, messages_read: 2, session_id: null, cursor: null, is_last: true }];
  const [stored] = await sql`
    select * from public.store_sync_pages(${begun!.run.id}, ${begun!.run.lease}, ${
    sql.json(pages)
  })`;
  const { run, results: [result] } = stored!;
  assertEquals(
    [result.messages_added, result.errors.length, run.conversations_failed, run.phase],
    [1, 1, 1, "statuses"],
  );
});

Deno.test("a connection without a key does not block the others", async () => {
  const { sql } = world.current;
  const business = await newBusiness(world.current);
  assertEquals(await due(business), ["repair"]);
  const postponed: string[] = [];
  const begun: string[] = [];
  const work: Promise<unknown>[] = [];
  const connections = ["keyless", "unreadable", "well"];
  const handler = createHandler({
    readCaller: () => Promise.resolve({ kind: "service" }),
    store: {
      dueRuns: () =>
        Promise.resolve(
          connections.map((connectionId) => ({ connectionId, phoneNumberId: "1", mode: "repair" })),
        ),
      postpone: (connectionId: string) => Promise.resolve(void postponed.push(connectionId)),
    },
    kapsoFor: (connectionId: string) =>
      connectionId === "well" ? Promise.resolve({}) : Promise.reject(
        connectionId === "keyless"
          ? new AppError(422, "kapso_api_key_missing", "no key")
          : new Error("the key cannot be read"),
      ),
    runs: { beginDue: (connectionId: string) => Promise.resolve(void begun.push(connectionId)) },
    copyDueFiles: () => Promise.resolve(),
    waitUntil: (promise: Promise<unknown>) => void work.push(promise),
    log: () => {},
    monotonic: () => 0,
  } as unknown as HandlerDeps);
  const answer = await handler(
    new Request("http://localhost/kapso-sync/tick", { method: "POST" }),
  );
  assertEquals([answer.status, await answer.json()], [202, { runs: 3 }]);
  await Promise.all(work);
  assertEquals([postponed, begun], [["keyless", "unreadable"], ["well"]]);

  await sql`select public.postpone_sync(${business.phoneNumber.id}, 60)`;
  assertEquals(await due(business), []);
  await sql`select public.postpone_sync(${business.phoneNumber.id}, -1)`;
  assertEquals(await due(business), ["repair"]);
});
