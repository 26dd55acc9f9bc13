/**
 * Database calls of a send and of other actions: each is a round trip that the member waits for.
 *
 * @module
 */

import { assertEquals } from "@std/assert";
import { createCallerReader } from "../../../supabase/functions/_shared/auth/caller.ts";
import { createServiceClient } from "../../../supabase/functions/_shared/database/clients.ts";
import { kapsoAccounts } from "../../../supabase/functions/_shared/kapso/api/accounts.ts";
import { createHandler, type HandlerDeps } from "../../../supabase/functions/inbox/handler.ts";
import { createOutboxStore } from "../../../supabase/functions/inbox/store.ts";
import { type Inbox, openThread, startInbox, textBody, untilOutbox } from "../../support/inbox.ts";

let inbox: Inbox;
let handle: (request: Request) => Response | Promise<Response>;
let counter: Deno.HttpServer<Deno.NetAddr>;
const calls: string[] = [];
const work: Promise<unknown>[] = [];

Deno.test.beforeAll(async () => {
  inbox = await startInbox();
  const { fake, info } = inbox;
  counter = Deno.serve(
    { hostname: "127.0.0.1", port: 0, onListen: () => {} },
    async (request) => {
      const { pathname, search } = new URL(request.url);
      calls.push(pathname.replace("/rest/v1/", ""));
      return await fetch(info.api_url + pathname + search, {
        method: request.method,
        headers: request.headers,
        ...(request.body === null ? {} : { body: await request.arrayBuffer() }),
      });
    },
  );
  const env = {
    supabaseUrl: `http://127.0.0.1:${counter.addr.port}`,
    secretKey: info.secret_key,
    secretKeys: [info.secret_key],
    publishableKey: info.publishable_key,
  };
  const client = createServiceClient(env);
  handle = createHandler({
    readCaller: createCallerReader(env),
    outbox: createOutboxStore(client),
    // With the installation's key, of which the id of the workspace decides.
    kapsoFor: kapsoAccounts(client, undefined, {
      baseUrl: fake.url,
      apiKey: fake.apiKey,
      workspaces: inbox.team.owner.workspaceId,
    }),
    waitUntil: (started: Promise<unknown>) => work.push(started),
    log: () => {},
    now: () => Date.now(),
    monotonic: () => performance.now(),
    delay: () => Promise.resolve(),
  } as unknown as HandlerDeps);
});
Deno.test.afterAll(async () => {
  await counter.shutdown();
  await inbox[Symbol.asyncDispose]();
});

/** Sends a request as an agent. @returns The status, and the database calls in their order. */
async function callsOf(path: string, body?: unknown): Promise<[status: number, calls: string[]]> {
  calls.length = 0;
  const response = await handle(
    new Request(`http://localhost/inbox/${path}`, {
      method: "POST",
      headers: {
        authorization: `Bearer ${inbox.team.agent.token}`,
        ...(body === undefined ? {} : { "content-type": "application/json" }),
      },
      ...(body === undefined ? {} : { body: JSON.stringify(body) }),
    }),
  );
  await response.body?.cancel();
  await Promise.all(work.splice(0));
  return [response.status, [...calls]];
}

Deno.test("a send makes four database calls", async () => {
  const conversation = await openThread(inbox);
  assertEquals(await callsOf("messages", textBody(conversation)), [201, [
    "rpc/enqueue_message",
    "rpc/claim_outbox_message",
    "rpc/kapso_api_key",
    "rpc/record_outbox_outcome",
  ]]);
});

Deno.test("a message that waits behind another is sent by the same sender", async () => {
  const { phoneNumber, sql, team } = inbox;
  const conversation = await openThread(inbox);
  // Queued earlier by a request whose function was stopped.
  await sql`
    insert into public.outbox_messages
      (workspace_id, conversation_id, connection_id, idempotency_key, type, content, payload, queued_at)
    values (${team.owner.workspaceId}, ${conversation.id}, ${phoneNumber.id}, ${crypto.randomUUID()}, 'text',
      'first', ${sql.json({ type: "text", text: "first" })}, now() - interval '1 second')`;
  const [status, made] = await callsOf("messages", textBody(conversation, "second"));
  assertEquals([status, made.length], [201, 7]);
  await untilOutbox(
    team.agent,
    conversation.id,
    (outbox) => outbox.length === 2 && outbox.every(({ state }) => state === "sent"),
  );
});

Deno.test("an action on a conversation makes one database call, and one for the key of Kapso", async () => {
  const { id } = await openThread(inbox);
  const path = `conversations/${id}`;
  const change = (name: string) => [200, [`rpc/${name}`, "rpc/kapso_api_key"]];
  assertEquals(await callsOf(`${path}/read`), change("mark_conversation_read"));
  assertEquals(await callsOf(`${path}/close`), change("set_conversation_status"));
  assertEquals(await callsOf(`${path}/unread`), [200, ["rpc/mark_conversation_unread"]]);
  assertEquals(await callsOf(`${path}/assign`, { user_id: null }), [200, [
    "rpc/assign_conversation",
  ]]);
});
