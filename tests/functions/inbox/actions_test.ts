/**
 * What members do besides sending: close, read, assign, edit and merge people, open files, manage
 * connections. And the refusals for users who may not.
 *
 * @module
 */

import { assert, assertEquals, assertMatch } from "@std/assert";
import { unique, uniqueNumber } from "../../support/people.ts";
import { call, rows, signUp } from "../../support/users.ts";
import {
  ask,
  expect,
  type Inbox,
  openThread,
  readThread,
  startInbox,
  textBody,
} from "../../support/inbox.ts";

let inbox: Inbox;
Deno.test.beforeAll(async () => {
  inbox = await startInbox();
});
Deno.test.afterAll(async () => {
  await inbox[Symbol.asyncDispose]();
});

/** The newest session of a customer at Kapso. */
const sessionOf = (thread: Awaited<ReturnType<typeof openThread>>) =>
  inbox.fake.sessionOf(thread.contact)!;

Deno.test("closing and reopening, here and at Kapso", async () => {
  const { fake, info, team } = inbox;
  const thread = await openThread(inbox);
  const closed = await expect(200, info, team.agent, "POST", `conversations/${thread.id}/close`);
  assertEquals([closed.conversation.status, closed.kapso], ["closed", "done"]);
  assertEquals(sessionOf(thread).status, "ended");
  await fake.settled();
  const open = await expect(200, info, team.agent, "POST", `conversations/${thread.id}/reopen`);
  assertEquals([open.conversation.status, open.conversation.closed_at, open.kapso], [
    "open",
    null,
    "done",
  ]);
  assertEquals(sessionOf(thread).status, "active");
  // That Kapso is away does not keep anybody from closing.
  fake.misbehaveOn(
    "PATCH",
    /conversations/,
    { kind: "html", status: 503 },
  );
  const away = await expect(200, info, team.agent, "POST", `conversations/${thread.id}/close`);
  assertEquals([away.conversation.status, away.kapso], ["closed", "failed"]);
  // And a customer who writes opens it again.
  fake.receiveMessage(thread.contact, "one more thing");
  await fake.settled();
  const [listed] = await rows(
    team.viewer.client.from("conversation_list").select("status").eq("id", thread.id),
  );
  assertEquals(listed!.status, "open");
});

Deno.test("a key that cannot be decrypted: closed here, not sent, and the answer says both", async () => {
  const { info, team, sql } = inbox;
  const thread = await openThread(inbox);
  // As after a change of CREDENTIALS_KEY.
  await sql`
    insert into private.connection_secrets (connection_id, secret_sha256, kapso_api_key)
    values (${inbox.phoneNumber.id}, sha256('x'), ${btoa("x".repeat(60))})
    on conflict (connection_id) do update set kapso_api_key = excluded.kapso_api_key`;
  const closed = await expect(200, info, team.agent, "POST", `conversations/${thread.id}/close`);
  const { message } = await expect(201, info, team.agent, "POST", "messages", textBody(thread));
  await sql`
    update private.connection_secrets set kapso_api_key = null
    where connection_id = ${inbox.phoneNumber.id}`;
  assertEquals([closed.conversation.status, closed.kapso], ["closed", "failed"]);
  assertEquals([message.state, message.can_retry], ["failed", true]);
  const again = await expect(200, info, team.agent, "POST", `messages/${message.id}/retry`, {});
  assertEquals(again.message.state, "sent");
});

Deno.test("reading, here and at Kapso, and unread again", async () => {
  const { fake, info, team } = inbox;
  const thread = await openThread(inbox, "one");
  fake.receiveMessage(thread.contact, "two", { sentAt: fake.clock.now() + 60_000 });
  fake.receiveMessage(thread.contact, "three", { sentAt: fake.clock.now() + 120_000 });
  await fake.settled();
  const before = fake.requests.length;
  const read = (body?: { seen_arrivals: number }) =>
    expect(200, info, team.agent, "POST", `conversations/${thread.id}/read`, body);
  const partly = await read({ seen_arrivals: 2 });
  assertEquals(partly.conversation.unread_count, 1);
  // Kapso would mark the rest as well.
  assertEquals(fake.requests.length, before);
  // The read mark never moves back.
  const back = await read({ seen_arrivals: 1 });
  assertEquals(back.conversation.unread_count, 1);
  const all = await read();
  assertEquals([all.conversation.unread_count, all.kapso], [0, "done"]);
  assertEquals(
    fake.requests.slice(before).map(({ method, path }) => `${method} ${path.split("/").at(-1)}`),
    ["POST messages"],
  );
  const unread = await expect(200, info, team.agent, "POST", `conversations/${thread.id}/unread`);
  assertEquals(unread.conversation.unread_count, 1);
});

Deno.test("assigning to members who may answer", async () => {
  const { info, team } = inbox;
  const thread = await openThread(inbox);
  const path = `conversations/${thread.id}/assign`;
  const mine = await expect(200, info, team.agent, "POST", path, { user_id: team.agent.id });
  assertEquals(mine.conversation.assigned_to, team.agent.id);
  const found = await rows(team.viewer.client.rpc("search_conversations", {
    workspace_id: team.owner.workspaceId,
    assigned_to: team.agent.id,
  }));
  assertEquals(found.map(({ id }) => id), [thread.id]);
  for (const other of [team.viewer, team.stranger]) {
    const refused = await expect(422, info, team.agent, "POST", path, { user_id: other.id });
    assertEquals(refused.code, "not_a_member");
  }
  const unassigned = await expect(200, info, team.agent, "POST", path, { user_id: null });
  assertEquals(unassigned.conversation.assigned_to, null);
  const members = await rows(team.viewer.client.rpc("workspace_member_list", {
    workspace_id: team.owner.workspaceId,
  }));
  assertEquals(members.map(({ role }) => role).sort(), ["admin", "agent", "owner", "viewer"]);
  assert(members.every(({ email }) => email?.includes("@") === true));
});

Deno.test("conversations of a member who leaves, or may only read from now on, become unassigned", async () => {
  const { info, team } = inbox;
  const colleague = team.stranger;
  const membership = { workspace_id: team.owner.workspaceId, user_id: colleague.id };
  const members = () => team.owner.client.from("workspace_members");
  for (const change of ["reads", "leaves"] as const) {
    await rows(members().upsert({ ...membership, role: "agent" }).select());
    const mine = await openThread(inbox);
    const theirs = await openThread(inbox);
    for (const [thread, user_id] of [[mine, team.agent.id], [theirs, colleague.id]] as const) {
      await expect(200, info, team.agent, "POST", `conversations/${thread.id}/assign`, { user_id });
    }
    const changing = change === "leaves"
      ? members().delete()
      : members().update({ role: "viewer" });
    const changed = await rows(changing.match(membership).select());
    assertEquals(changed.length, 1);
    const assigned = await rows(
      team.agent.client.from("conversation_list").select("id, assigned_to")
        .in("id", [mine.id, theirs.id]),
    );
    assertEquals(
      new Map(assigned.map((row) => [row.id, row.assigned_to])),
      new Map([[mine.id, team.agent.id], [theirs.id, null]]),
    );
  }
});

Deno.test("a viewer gets 403, a user of another workspace 404, a caller without a token 401", async () => {
  const { info, team } = inbox;
  const thread = await openThread(inbox);
  const { message } = await expect(201, info, team.agent, "POST", "messages", textBody(thread));
  const [{ person_id: person }] = await rows(
    team.agent.client.from("conversation_list").select("person_id").eq("id", thread.id),
  ) as [{ person_id: string }];
  const requests: [method: string, path: string, body?: unknown][] = [
    ["POST", "messages", textBody(thread)],
    ["POST", `messages/${message.id}/retry`, {}],
    ["DELETE", `messages/${message.id}`],
    ["GET", `templates?conversation_id=${thread.id}`],
    ["POST", `conversations/${thread.id}/close`],
    ["POST", `conversations/${thread.id}/reopen`],
    ["POST", `conversations/${thread.id}/read`],
    ["POST", `conversations/${thread.id}/unread`],
    ["POST", `conversations/${thread.id}/assign`, { user_id: null }],
    ["PATCH", `people/${person}`, { name: "X" }],
    ["POST", `people/${person}/link`, { conversation_id: thread.id }],
    ["POST", "people/merge", { keep_id: person, merge_id: crypto.randomUUID() }],
    ["PATCH", `connections/${inbox.phoneNumber.id}`, { name: "X" }],
    ["POST", `connections/${inbox.phoneNumber.id}/rotate`, {}],
    ["PUT", `connections/${inbox.phoneNumber.id}/kapso`, { api_key: "a-new-key" }],
    ["POST", `connections/${inbox.phoneNumber.id}/webhook`],
    ["GET", `connections/${inbox.phoneNumber.id}/health`],
    ["POST", "connections", {
      workspace_id: team.owner.workspaceId,
      platform: "signal",
      connection_id: unique("c_"),
    }],
  ];
  const form = new FormData();
  form.set("conversation_id", thread.id);
  form.set("file", new File(["x"], "x.pdf", { type: "application/pdf" }));
  requests.push(["POST", "uploads", form]);
  for (const [method, path, body] of requests) {
    const answers = [];
    for (const person of [team.viewer, team.stranger, { token: "not.a.token" }]) {
      const { status, body: said } = await ask(info, person, method, path, body);
      answers.push([status, said.code]);
    }
    assertEquals(answers[0], [403, "role_too_low"], `${method} ${path}`);
    assertEquals(answers[1]![0], 404, `${method} ${path}`);
    assertEquals(answers[2], [401, "invalid_token"], `${method} ${path}`);
  }
  for (const path of [`connections?workspace_id=${team.owner.workspaceId}`]) {
    await expect(200, info, team.viewer, "GET", path);
    await expect(404, info, team.stranger, "GET", path);
  }
  const bare = await call(info, "inbox/messages", { method: "POST" });
  assertEquals([bare.status, bare.body.code], [401, "missing_authorization"]);
  // An agent answers customers and does not manage connections.
  await expect(403, info, team.agent, "POST", `connections/${inbox.phoneNumber.id}/rotate`, {});
});

Deno.test("an own id in a request does not open another workspace's rows through its other ids", async () => {
  const { info, team } = inbox;
  const other = await startElsewhere();
  const mine = await openThread(inbox);
  const [{ person_id: person }] = await rows(
    team.agent.client.from("conversation_list").select("person_id").eq("id", mine.id),
  ) as [{ person_id: string }];
  const before = await other.everything();
  const own = { conversation_id: mine.id, idempotency_key: crypto.randomUUID() };
  const requests: [method: string, path: string, body: unknown, status: number][] = [
    // Theirs in mine.
    ["POST", "messages", { ...own, type: "text", text: "x", reply_to: other.message }, 404],
    ["POST", "messages", { ...own, type: "reaction", emoji: "👍", reply_to: other.message }, 404],
    ["POST", "messages", { ...own, type: "image", media_id: other.upload }, 404],
    ["POST", "media-links", { conversation_id: mine.id, message_id: other.message }, 404],
    ["POST", `conversations/${mine.id}/assign`, { user_id: other.owner }, 422],
    ["POST", `people/${other.person}/link`, { conversation_id: mine.id }, 404],
    ["POST", "people/merge", { keep_id: person, merge_id: other.person }, 404],
    // Mine in theirs.
    ["POST", `people/${person}/link`, { conversation_id: other.thread }, 404],
    ["POST", "people/merge", { keep_id: other.person, merge_id: person }, 404],
    ["POST", "messages", { ...own, conversation_id: other.thread, type: "text", text: "x" }, 404],
    // Theirs alone.
    ["POST", `people/merges/${other.merge}/undo`, undefined, 404],
    ["POST", `messages/${other.outbox}/retry`, { confirm_possible_double: true }, 404],
    ["DELETE", `messages/${other.outbox}`, undefined, 404],
    ["PATCH", `connections/${other.connection}`, { is_active: false }, 404],
    ["PUT", `connections/${other.connection}/kapso`, { api_key: "a-stolen-key" }, 404],
  ];
  for (const [method, path, body, status] of requests) {
    await expect(status, info, team.owner, method, path, body);
  }
  assertEquals(await other.everything(), before);
  assertEquals(
    await rows(
      team.owner.client.from("outbox_messages").select("id").eq("conversation_id", mine.id),
    ),
    [],
  );
  // The same key is another message there.
  const key = { ...textBody(mine), idempotency_key: other.key };
  await expect(201, info, team.agent, "POST", "messages", key);
});

/** Another business, with one of everything, and what there is of it. */
async function startElsewhere() {
  const { info, sql } = inbox;
  const user = await signUp(info);
  const workspace = user.workspaceId;
  const number = String(crypto.getRandomValues(new Uint32Array(1))[0]!);
  const phone = uniqueNumber();
  const message = unique("wamid.");
  const upload = unique();
  const key = unique();
  const [{ user_id: owner }] = await sql<[{ user_id: string }]>`
    select user_id from public.workspace_members where workspace_id = ${workspace}`;
  const [person, twin] = (await rows(
    user.client.from("people").insert([
      { workspace_id: workspace, name: "Rita", phone },
      { workspace_id: workspace, name: "Twin", phone: null },
    ]).select("id"),
  )).map(({ id }) => id);
  const [{ id: connection }] = await sql<[{ id: string }]>`
    insert into public.connections (connection_id, workspace_id, user_id, platform, name, phone_number_id)
    values (${unique("c_")}, ${workspace}, ${owner}, 'whatsapp', 'Elsewhere', ${number})
    returning id`;
  const [{ conversation_id: thread }] = await sql<[{ conversation_id: string }]>`
    select id as conversation_id from public.ingest_conversations(${connection}, ${
    sql.json([{
      external_conversation_id: `${number}:${phone.slice(1)}`,
      participant_identifier: phone,
      messages: [{
        id: message,
        direction: "inbound",
        type: "image",
        content: "",
        media_url: "https://example.com/a.png",
        sent_at: new Date().toISOString(),
      }],
    }])
  })`;
  const [{ id: outbox }] = await sql<[{ id: string }]>`
    insert into public.outbox_messages
      (workspace_id, conversation_id, connection_id, idempotency_key, type, content, payload, state)
    values (${workspace}, ${thread}, ${connection}, ${key}, 'text', 'x', '{}', 'failed')
    returning id`;
  await sql`
    insert into private.outbox_uploads (conversation_id, media_id, connection_id, type, mime_type)
    values (${thread}, ${upload}, ${connection}, 'image', 'image/png')`;
  const [merge] = await rows(
    user.client.rpc("merge_people", { keep_id: person!, merge_id: twin! }),
  );
  return {
    owner,
    connection,
    thread,
    person,
    message,
    upload,
    outbox,
    key,
    merge: merge!.id,
    async everything() {
      const [row] = await sql`
        select
          (select jsonb_agg(to_jsonb(each)) from public.people as each where workspace_id = ${workspace}) as people,
          (
            select jsonb_agg(to_jsonb(each)) from public.conversations as each
            where workspace_id = ${workspace}
          ) as threads,
          (
            select jsonb_agg(to_jsonb(each)) from public.outbox_messages as each
            where workspace_id = ${workspace}
          ) as outbox,
          (
            select jsonb_agg(to_jsonb(each)) from public.connections as each
            where workspace_id = ${workspace}
          ) as connections,
          (
            select jsonb_agg(to_jsonb(each)) from public.person_merges as each
            where workspace_id = ${workspace}
          ) as merges`;
      return { ...row! };
    },
  };
}

Deno.test("a person is edited; a number that is taken is refused", async () => {
  const { info, team } = inbox;
  const [one, other] = [await openThread(inbox), await openThread(inbox)];
  const personOf = async (id: string) =>
    (await rows(team.agent.client.from("conversation_list").select("person_id").eq("id", id)))[0]!
      .person_id;
  const id = await personOf(one.id);
  const { person } = await expect(200, info, team.agent, "PATCH", `people/${id}`, {
    name: "Rita Souza",
    email: "",
  });
  assertEquals([person.name, person.email, person.phone], [
    "Rita Souza",
    null,
    `+${one.contact.phone}`,
  ]);
  const taken = await expect(409, info, team.agent, "PATCH", `people/${id}`, {
    phone: other.contact.phone,
  });
  assertEquals(taken.code, "phone_taken");
  const odd = await expect(400, info, team.agent, "PATCH", `people/${id}`, {
    avatar_url: "javascript:alert(1)",
  });
  assertEquals(odd.code, "invalid_request");
  await expect(400, info, team.agent, "PATCH", `people/${id}`, { phone: "by fax" });
  // The two are one.
  const { merge } = await expect(200, info, team.agent, "POST", "people/merge", {
    keep_id: id,
    merge_id: await personOf(other.id),
  });
  assertEquals(await personOf(other.id), id);
  await expect(200, info, team.agent, "POST", `people/merges/${merge.id}/undo`);
  assertEquals(await personOf(other.id), merge.merged_id);
  assertEquals(
    (await expect(409, info, team.agent, "POST", `people/merges/${merge.id}/undo`)).code,
    "merge_undone",
  );
  await expect(200, info, team.agent, "POST", `people/${id}/link`, { conversation_id: other.id });
  assertEquals(await personOf(other.id), id);
});

Deno.test("a file opens by its link, without headers, for members' links alone and for a while", async () => {
  const { fake, info, team, sql } = inbox;
  const thread = await openThread(inbox);
  const bytes = new TextEncoder().encode("a picture");
  const sent = fake.receiveMessage(thread.contact, { type: "image", bytes });
  await fake.settled();
  const request = { conversation_id: thread.id, message_id: sent.id };
  const link = await expect(200, info, team.viewer, "POST", "media-links", request);
  const response = await fetch(link.url);
  assertEquals(new Uint8Array(await response.arrayBuffer()), bytes);
  assertMatch(response.headers.get("content-type")!, /^image\//);
  assertEquals(response.headers.get("x-content-type-options"), "nosniff");
  await expect(404, info, team.stranger, "POST", "media-links", request);
  const text = (await readThread(team.viewer, thread.id))[0]!;
  const none = await expect(404, info, team.viewer, "POST", "media-links", {
    ...request,
    message_id: text.id,
  });
  assertEquals(none.code, "media_not_found");
  for (const broken of [link.url.slice(0, -6) + "AAAAAA", link.url.replace(/[^/]+$/, "x")]) {
    const refused = await fetch(broken);
    assertEquals([refused.status, (await refused.json()).code], [403, "link_expired"]);
  }
  // Also from the archive of a long thread.
  await sql`select public.ingest_conversations(${inbox.phoneNumber.id}, ${
    sql.json([{
      external_conversation_id: `${inbox.phoneNumber.phoneNumberId}:${thread.contact.phone}`,
      participant_identifier: `+${thread.contact.phone}`,
      messages: Array.from({ length: 60 }, (_, index) => ({
        id: unique("m_"),
        direction: "inbound",
        type: "text",
        content: "later",
        media_url: null,
        sent_at: new Date(Date.now() + 3_600_000 + index).toISOString(),
      })),
    }])
  })`;
  const again = await expect(200, info, team.viewer, "POST", "media-links", request);
  assertEquals(new Uint8Array(await (await fetch(again.url)).arrayBuffer()), bytes);
});

Deno.test("a number is the connection's once a key of its own proves it, and the reason is said until then", async () => {
  const { fake, info, team, sql } = inbox;
  const phoneNumber = fake.addPhoneNumber("200000000000777", "+551130000777");
  const { stranger, owner } = team;
  const create = (person: typeof owner, phone_number_id: string) =>
    expect(201, info, person, "POST", "connections", {
      workspace_id: person.workspaceId,
      platform: "whatsapp",
      connection_id: unique("wa_"),
      phone_number_id,
    });
  const numberOf = ({ phone_number_id, requested_phone_number_id }: Record<string, unknown>) => [
    phone_number_id,
    requested_phone_number_id,
  ];
  const { phoneNumberId } = phoneNumber;
  const { apiKey } = fake;
  const saveKey = (status: number, person: typeof owner, id: string, api_key: string) =>
    expect(status, info, person, "PUT", `connections/${id}/kapso`, { api_key });

  // The installation's key is another project's now, so nothing proves the number.
  fake.apiKey = "key-of-the-business";
  try {
    const squatter = await create(stranger, phoneNumberId);
    assertEquals([squatter.number_problem, ...numberOf(squatter.connection)], [
      "key_rejected",
      null,
      phoneNumberId,
    ]);
    const squatterId = squatter.connection.id;
    const wrong = await saveKey(422, stranger, squatterId, "key-of-the-stranger");
    assertEquals(wrong.code, "kapso_key_rejected");

    // The rightful owner gets it although the stranger named it first.
    const mine = await create(owner, phoneNumberId);
    const saved = await saveKey(200, owner, mine.connection.id, fake.apiKey);
    assertEquals(numberOf(saved.connection), [phoneNumberId, null]);

    // A key of a project that lacks the number.
    fake.state.phoneNumbers.delete(phoneNumberId);
    const missing = await saveKey(422, stranger, squatterId, fake.apiKey);
    assertEquals(missing.code, "kapso_number_not_found");
    fake.state.phoneNumbers.set(phoneNumberId, phoneNumber);

    // Who can prove it too does not get it from a holder whose key is valid.
    const second = await saveKey(409, stranger, squatterId, fake.apiKey);
    assertEquals(second.code, "phone_number_taken");
    // The holder's key is revoked: the number goes to who proves it, and the holder sees why.
    fake.apiKey = "key-after-a-change-of-project";
    const moved = await saveKey(200, stranger, squatterId, fake.apiKey);
    assertEquals(numberOf(moved.connection), [phoneNumberId, null]);
    const health = await expect(
      200,
      info,
      owner,
      "GET",
      `connections/${mine.connection.id}/health`,
    );
    assertEquals(health.webhook.problem, "key_rejected");
    const listed = await expect(
      200,
      info,
      owner,
      "GET",
      `connections?workspace_id=${owner.workspaceId}`,
    );
    const lost = listed.connections.find(({ id }: { id: string }) => id === mine.connection.id);
    assertEquals([...numberOf(lost), lost.can_send], [null, phoneNumberId, false]);

    // Released, and free for its next owner.
    await expect(200, info, stranger, "PATCH", `connections/${squatterId}`, {
      phone_number_id: null,
    });
    const again = await saveKey(200, owner, mine.connection.id, fake.apiKey);
    assertEquals(numberOf(again.connection), [phoneNumberId, null]);
    await sql`delete from public.connections where id in (${squatterId}, ${mine.connection.id})`;
  } finally {
    fake.apiKey = apiKey;
  }
});

Deno.test("connections: created, deactivated, and given keys that are never returned", async () => {
  const { fake, info, team } = inbox;
  const said: string[] = [];
  const asOwner = async (status: number, method: string, path: string, body?: unknown) => {
    const answer = await expect(status, info, team.owner, method, path, body);
    said.push(JSON.stringify(answer));
    return answer;
  };
  const phoneNumber = fake.addPhoneNumber("200000000000321", "+551130000001");
  const request = {
    workspace_id: team.owner.workspaceId,
    platform: "whatsapp",
    connection_id: unique("wa_"),
    name: "Second number",
    phone_number_id: phoneNumber.phoneNumberId,
  };
  const { connection, api_secret } = await expect(
    201,
    info,
    team.owner,
    "POST",
    "connections",
    request,
  );
  assertMatch(api_secret, /^msg_/);
  assertEquals(
    [connection.name, connection.has_kapso_key, connection.has_webhook_secret, connection.can_send],
    ["Second number", false, false, true],
  );
  // Proven with the installation's key.
  assertEquals(
    [connection.phone_number_id, connection.requested_phone_number_id],
    [phoneNumber.phoneNumberId, null],
  );
  assertEquals((await asOwner(409, "POST", "connections", request)).code, "connection_id_taken");
  await asOwner(400, "POST", "connections", { ...request, connection_id: "not a name" });
  const path = `connections/${connection.id}`;
  const taken = await asOwner(200, "PATCH", path, {
    phone_number_id: inbox.phoneNumber.phoneNumberId,
  });
  assertEquals(
    [
      taken.number_problem,
      taken.connection.phone_number_id,
      taken.connection.requested_phone_number_id,
    ],
    ["number_taken", phoneNumber.phoneNumberId, inbox.phoneNumber.phoneNumberId],
  );
  assertEquals((await asOwner(409, "POST", `${path}/webhook`)).code, "phone_number_taken");
  const back = await asOwner(200, "PATCH", path, { phone_number_id: phoneNumber.phoneNumberId });
  assertEquals([back.number_problem, back.connection.requested_phone_number_id], [null, null]);
  const off = await asOwner(200, "PATCH", path, { is_active: false, name: "Off" });
  assertEquals([off.connection.is_active, off.connection.name, off.connection.can_send], [
    false,
    "Off",
    false,
  ]);
  await asOwner(200, "PATCH", path, { is_active: true });
  const { api_secret: rotated } = await expect(200, info, team.owner, "POST", `${path}/rotate`, {});
  assert(rotated !== api_secret);

  // A key of its own, and the webhook.
  const wrong = await asOwner(422, "PUT", `${path}/kapso`, { api_key: "a-wrong-kapso-key" });
  assertEquals(wrong.code, "kapso_key_rejected");
  const kept = await asOwner(200, "PUT", `${path}/kapso`, { api_key: fake.apiKey });
  assertEquals(kept.connection.has_kapso_key, true);
  // As after the key was revoked at Kapso.
  const { apiKey } = fake;
  fake.apiKey = "another-key-of-kapso";
  const unknown = (await asOwner(200, "GET", `${path}/health`)).webhook;
  assertEquals([unknown.state, unknown.problem], ["unknown", "key_rejected"]);
  assertEquals((await asOwner(422, "POST", `${path}/webhook`)).code, "kapso_key_rejected");
  fake.apiKey = apiKey;
  assertEquals((await asOwner(200, "GET", `${path}/health`)).webhook.state, "missing");
  const { webhook } = await asOwner(200, "POST", `${path}/webhook`);
  assertEquals([webhook.state, webhook.is_ours, webhook.missing_events], ["active", true, []]);
  const made = [...fake.deliveries.webhooks.values()].find((each) =>
    each.phoneNumberId === phoneNumber.phoneNumberId
  )!;
  made.active = false;
  assertEquals((await asOwner(200, "GET", `${path}/health`)).webhook.state, "paused");
  assertEquals((await asOwner(200, "POST", `${path}/webhook`)).webhook.state, "active");
  assertEquals(made.active, true);
  // What it signs is taken.
  const contact = fake.addContact({ phoneNumber });
  fake.receiveMessage(contact, "to the second number");
  await fake.settled();
  const list = await asOwner(200, "GET", `connections?workspace_id=${team.owner.workspaceId}`);
  const listed = list.connections.find(({ id }: { id: string }) => id === connection.id);
  assertEquals(
    [
      listed.has_webhook_secret,
      listed.failed_events,
      listed.is_silent,
      listed.last_event_at !== null,
    ],
    [true, 0, false, true],
  );
  for (const secret of [api_secret, rotated, fake.apiKey, "a-wrong-kapso-key", made.secretKey]) {
    assert(said.every((answer) => !answer.includes(secret)), "an answer holds a secret");
  }
  const tables = await Promise.all([
    team.owner.client.from("connections").select(),
    team.owner.client.from("outbox_messages").select(),
  ]);
  assert(!JSON.stringify(tables.map(({ data }) => data)).includes(fake.apiKey));
});

Deno.test("the overview counts received and sent messages", async () => {
  const { fake, info, team } = inbox;
  const statistics = async () => {
    const { data, error } = await team.viewer.client.rpc("overview_statistics", {
      workspace_id: team.owner.workspaceId,
      days: 2,
    });
    if (error) throw error;
    return data as unknown as {
      days: { date: string; platform: string; inbound: number; outbound: number }[];
      response_times: { answered: number } | null;
      open: number;
    };
  };
  const count = ({ days }: Awaited<ReturnType<typeof statistics>>) =>
    days.reduce((sum, day) => [sum[0]! + day.inbound, sum[1]! + day.outbound], [0, 0]);
  const before = await statistics();
  const thread = await openThread(inbox);
  await expect(201, info, team.agent, "POST", "messages", textBody(thread));
  await fake.settled();
  const after = await statistics();
  assertEquals(count(after), [count(before)[0]! + 1, count(before)[1]! + 1]);
  assertEquals(after.open, before.open + 1);
  assertEquals(after.response_times!.answered, (before.response_times?.answered ?? 0) + 1);
  assertEquals(count(await statistics()), count(after));
  const { error } = await team.stranger.client.rpc("overview_statistics", {
    workspace_id: team.owner.workspaceId,
  });
  assertEquals(error?.message, "workspace_not_found");
});
