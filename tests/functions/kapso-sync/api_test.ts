/**
 * The API of kapso-sync: permissions, refusals, limits, stopping a run, and concurrent requests.
 *
 * @module
 */

import { assert, assertEquals, assertStringIncludes } from "@std/assert";
import { call, signUp } from "../../support/users.ts";
import {
  type Business,
  ending,
  expireWaits,
  headersOf,
  kapsoIds,
  newBusiness,
  post,
  slice,
  storedIds,
  syncAll,
  useWorld,
} from "../../support/kapso_sync.ts";

const world = useWorld();

/** Creates conversations with messages at the fake. */
function write({ fakePhoneNumber }: Business, conversations: number, messages: number): void {
  const { fake } = world.current;
  for (let place = 0; place < conversations; place++) {
    const contact = fake.addContact({ phoneNumber: fakePhoneNumber });
    for (let number = 0; number < messages; number++) {
      fake.receiveMessage(contact, `message ${number}`);
    }
  }
}

/** The id of the user of a client. */
async function userIdOf({ user }: Business): Promise<string> {
  return (await user.client.auth.getUser()).data.user!.id;
}

Deno.test("owners, admins and agents may sync, viewers may list runs, strangers see nothing", async () => {
  const { info, sql } = world.current;
  const business = await newBusiness(world.current);
  write(business, 1, 2);
  const body = { connection_id: business.phoneNumber.phoneNumberId };
  for (const role of ["admin", "agent", "viewer", "stranger"] as const) {
    const member = await signUp(info);
    const headers = await headersOf(info, member);
    if (role !== "stranger") {
      await sql`
        insert into public.workspace_members (workspace_id, user_id, role)
        values (${business.user.workspaceId}, ${
        (await member.client.auth.getUser()).data.user!.id
      }, ${role})`;
    }
    const response = await post(info, body, { headers });
    const text = await response.text();
    const list = await call(info, `kapso-sync?connection_id=${business.phoneNumber.id}`, {
      headers,
    });
    assertEquals(list.status, 200);
    if (role === "admin" || role === "agent") {
      assertEquals(response.status, 200, role);
      assertEquals(JSON.parse(text.trim().split("\n").at(-1)!).type, "done");
    } else {
      assertEquals([response.status, JSON.parse(text).code], [404, "connection_not_found"], role);
    }
    assertEquals(list.body.runs.length > 0, role !== "stranger", role);
    const stop = await post(info, "", {
      path: `/runs/${list.body.runs[0]?.id ?? crypto.randomUUID()}/stop`,
      headers,
    });
    // None of their runs is open.
    assertEquals([stop.status, (await stop.json()).code], [404, "run_not_found"]);
  }
  assertEquals(
    await storedIds({ ...world.current, ...business }),
    kapsoIds(world.current.fake, business.fakePhoneNumber),
  );
});

Deno.test("a missing or invalid token and the publishable key are refused", async () => {
  const { info } = world.current;
  const body = { connection_id: "wa_business_123" };
  for (
    const [headers, code] of [
      [{}, "missing_authorization"],
      [{ apikey: info.publishable_key }, "missing_authorization"],
      [{ authorization: `Bearer ${info.publishable_key}` }, "missing_authorization"],
      [{ apikey: info.publishable_key, authorization: "Bearer not.a.token" }, "invalid_token"],
      [{ apikey: `${info.secret_key}x`, authorization: "Bearer x.y.z" }, "invalid_token"],
    ] as const
  ) {
    const response = await post(info, body, { headers });
    const answer = await response.json();
    assertEquals([response.status, answer.code], [401, code], JSON.stringify(headers));
    assert(answer.request_id);
  }
  const user = await signUp(info);
  const headers = await headersOf(info, user);
  const tick = await post(info, {}, { path: "/tick", headers });
  assertEquals([tick.status, (await tick.json()).code], [403, "service_key_required"]);
  const withKey = await post(info, body, { headers: { ...headers, "x-kapso-api-key": "mine" } });
  assertEquals([withKey.status, (await withKey.json()).code], [403, "service_key_required"]);
});

Deno.test("an invalid request is refused with a sentence that says what to change", async () => {
  const { info } = world.current;
  for (
    const [body, status, code, says] of [
      ["{", 400, "invalid_json", "valid JSON"],
      [[], 400, "invalid_request", "must be an object"],
      [{}, 400, "invalid_request", "name a workspace or a connection_id"],
      [{ workspace: "x", mode: "all" }, 400, "invalid_request", "mode must be"],
      [{ workspace: "x", messages_per_conversation: 0 }, 400, "invalid_request", "whole number"],
      [{ workspace: "x", since: "yesterday" }, 400, "invalid_request", "since must be"],
      [{ workspace: "x", delay_ms: -1 }, 400, "invalid_request", "delay_ms"],
      [{ workspace: "no-such-workspace" }, 404, "connection_not_found", "check the workspace"],
    ] as const
  ) {
    const response = await post(info, body);
    const answer = await response.json();
    assertEquals([response.status, answer.code], [status, code], JSON.stringify(body));
    assertStringIncludes(answer.message, says);
  }
  assertEquals((await call(info, "kapso-sync", { method: "DELETE" })).status, 405);
});

Deno.test("an inactive connection and a refused Kapso key are reported", async () => {
  const { info, sql, fake } = world.current;
  const business = await newBusiness(world.current);
  const body = { connection_id: business.phoneNumber.phoneNumberId };
  const refused = await post(info, body, {
    headers: { apikey: info.secret_key, "x-kapso-api-key": "revoked" },
  });
  const events = (await refused.text()).trim().split("\n").map((line) => JSON.parse(line));
  assertEquals([ending(events).type, ending(events).code], ["failed", "kapso_refused"]);
  const [failed] =
    await sql`select state, error from public.sync_runs where connection_id = ${business.phoneNumber.id}`;
  assertEquals(failed!.state, "failed");
  assert(!failed!.error.includes("revoked"), "no key in an error");
  // With the right key the same run resumes.
  write(business, 1, 1);
  assertEquals(ending(await slice(info, body)).type, "done");

  await sql`update public.connections set is_active = false where id = ${business.phoneNumber.id}`;
  const requests = fake.requests.length;
  const inactive = await post(info, body);
  assertEquals([inactive.status, (await inactive.json()).code], [403, "connection_inactive"]);
  assertEquals(fake.requests.length, requests, "Kapso was not asked");
});

Deno.test("50 messages of each conversation by default, all on request, and none older than since", async () => {
  const { info, fake } = world.current;
  const business = await newBusiness(world.current);
  write(business, 2, 60);
  const body = { connection_id: business.phoneNumber.phoneNumberId };
  const read = (events: Awaited<ReturnType<typeof slice>>) =>
    events.flatMap((event) => event.type === "conversation_done" ? [event.messages] : []);

  const dry = await slice(info, { ...body, dry_run: true, messages_per_conversation: "all" });
  assertEquals(ending(dry).type, "done");
  assertEquals(read(dry), [60, 60]);
  assertEquals(ending(dry).messages_added, 120);
  assertEquals(await storedIds({ ...world.current, ...business }), [], "a dry run stores nothing");
  // A run that is larger than a slice resumes in the next one.
  fake.misbehave({ kind: "status", status: 429, headers: { "Retry-After": "60" } });
  const limited = ending(await slice(info, { ...body, dry_run: true }));
  assertEquals([limited.type, limited.code], ["paused", "kapso_rate_limited"]);
  assert(limited.retry_after_seconds! >= 60);
  const [goesOn] = await slice(info, { ...body, dry_run: true });
  assert(goesOn?.type === "run" && goesOn.resumed && goesOn.run_id === limited.run_id);

  assertEquals(read(await slice(info, { ...body, since: "2100-01-01T00:00:00Z" })), []);
  assertEquals(read(await slice(info, body)), [50, 50]);
  assertEquals(read(await slice(info, { ...body, messages_per_conversation: 7 })), [7, 7]);
  assertEquals(read(await slice(info, { ...body, messages_per_conversation: "all" })), [60, 60]);
  assertEquals(
    await storedIds({ ...world.current, ...business }),
    kapsoIds(fake, business.fakePhoneNumber),
  );
});

Deno.test("of two concurrent requests one works; a stopped run resumes where it was", async () => {
  const { info, sql, fake } = world.current;
  const business = await newBusiness(world.current);
  write(business, 30, 1);
  const headers = await headersOf(info, business.user);
  const body = { connection_id: business.phoneNumber.id, delay_ms: 50 };
  const response = await post(info, body, { headers });
  const reader = response.body!.pipeThrough(new TextDecoderStream()).getReader();
  let text = "";
  const readUntil = async (what: string) => {
    while (!text.includes(what)) {
      const { done, value } = await reader.read();
      assert(!done, text);
      text += value;
    }
  };
  await readUntil('"conversation_done"');
  assertEquals(ending(await slice(info, body)).type, "busy");

  const runId = JSON.parse(text.split("\n")[0]!).run_id;
  const stop = await post(info, "", { path: `/runs/${runId}/stop`, headers });
  assertEquals(stop.status, 200);
  await stop.body?.cancel();
  await readUntil('"type":"stopped"');
  const [stopped] = await sql`select * from public.sync_runs where id = ${runId}`;
  assertEquals([stopped!.state, stopped!.lease], ["stopped", null]);
  assert(stopped!.conversations_done < 30);
  assertEquals(stopped!.requested_by, await userIdOf(business));

  const events = await syncAll(info, { connection_id: business.phoneNumber.id });
  const [begun] = events;
  assert(begun?.type === "run" && begun.resumed && begun.run_id === runId);
  assertEquals(
    events.filter(({ type }) => type === "conversation_done").length,
    30 - stopped!.conversations_done,
  );
  assertEquals(
    await storedIds({ ...world.current, ...business }),
    kapsoIds(fake, business.fakePhoneNumber),
  );
});

Deno.test("a caller that disconnects leaves a run that others can resume at once", async () => {
  const { info, sql } = world.current;
  const business = await newBusiness(world.current);
  write(business, 20, 1);
  const leaving = new AbortController();
  const response = await post(info, { connection_id: business.phoneNumber.id, delay_ms: 200 }, {
    signal: leaving.signal,
  });
  const reader = response.body!.getReader();
  await reader.read();
  leaving.abort();
  await reader.read().catch(() => {});
  const leases = () =>
    sql`select from public.sync_runs where connection_id = ${business.phoneNumber.id} and lease is not null`;
  while ((await leases()).count > 0);
  assertEquals(ending(await slice(info, { connection_id: business.phoneNumber.id })).type, "done");
});

Deno.test("a conversation that Kapso refuses is noted, and the others arrive", async () => {
  const { info, fake } = world.current;
  const business = await newBusiness(world.current);
  write(business, 20, 1);
  const response = await post(info, { connection_id: business.phoneNumber.id, delay_ms: 20 });
  let text = "";
  let isBroken = false;
  for await (const chunk of response.body!.pipeThrough(new TextDecoderStream())) {
    text += chunk;
    if (!isBroken && text.includes('"index":5,')) {
      isBroken = true;
      fake.misbehave({ kind: "status", status: 404, body: '{"error":"Conversation not found"}' });
    }
  }
  const end = ending(text.trim().split("\n").map((line) => JSON.parse(line)));
  assertEquals([end.type, end.conversations_done, end.conversations_failed], ["partial", 19, 1]);
  assertStringIncludes(end.error!, "1 conversations could not be read");
  assertStringIncludes(text, "Conversation not found");
});

Deno.test("the schedule resumes open runs, and repairs every active phone number with a key", async () => {
  const { info, sql, fake } = world.current;
  const business = await newBusiness(world.current);
  write(business, 10, 1);
  const response = await post(info, { connection_id: business.phoneNumber.id, delay_ms: 100 });
  const reader = response.body!.getReader();
  await reader.read();
  await reader.cancel();
  const isDone = async () => {
    const [found] = await sql`
      select connection.confirmed_until is not null
        and not exists (
          select from public.sync_runs as run
          where run.connection_id = connection.id and run.finished_at is null
        ) as is_done
      from public.connections as connection where connection.id = ${business.phoneNumber.id}`;
    return found!.is_done;
  };
  const [run] = await sql<{ id: string }[]>`
    select id from public.sync_runs where connection_id = ${business.phoneNumber.id}`;
  await expireWaits(info, run!.id);
  const tick = await post(info, {}, { path: "/tick" });
  assertEquals(tick.status, 202);
  assert((await tick.json()).runs >= 2);
  while (!(await isDone())) {
    await expireWaits(info, run!.id);
    await (await post(info, {}, { path: "/tick" })).body?.cancel();
  }
  assertEquals(
    await storedIds({ ...world.current, ...business }),
    kapsoIds(fake, business.fakePhoneNumber),
  );
});
