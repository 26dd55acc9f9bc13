/**
 * A business for the tests of the inbox: members of every role, a fake Kapso that its customers write through, and
 * requests as the app sends them.
 *
 * @module
 */

import { size } from "./database.ts";
import { assert, assertEquals } from "@std/assert";
import type { StackInfo } from "../../local/stack.ts";
import type { Database } from "../../supabase/functions/_shared/database/database.types.ts";
import type { Contact } from "../../fakes/kapso/state.ts";
import type { FakeKapsoOptions } from "../../fakes/kapso/fake_kapso.ts";
import { connectWebhook, startWorld, type World } from "./kapso_sync.ts";
import { type Answer, call, rows, signUp, type User } from "./users.ts";

/** A row of `outbox_messages`. */
export type OutboxMessage = Database["public"]["Tables"]["outbox_messages"]["Row"];

/** A signed-in user, with the token that the app sends. */
export interface Person extends User {
  id: string;
  token: string;
}

/** A business with members of every role, and a user of another workspace. */
export interface Team {
  owner: Person;
  admin: Person;
  agent: Person;
  viewer: Person;
  stranger: Person;
}

/** A thread with a customer of the fake. */
export interface Thread {
  id: string;
  contact: Contact;
}

/** A business whose inbox is open. */
export interface Inbox extends World {
  team: Team;
}

/** Starts a business with its Kapso; `env` is what the functions get besides. */
export async function startInbox(
  options: FakeKapsoOptions = {},
  env: Record<string, string> = {},
): Promise<Inbox> {
  const world = await startWorld(options, env);
  connectWebhook(world);
  return { ...world, team: await createTeam(world.info, world.user) };
}

/** Adds members of every role to a user's workspace. */
export async function createTeam(info: StackInfo, user: User): Promise<Team> {
  const owner = await personOf(user);
  const [admin, agent, viewer, stranger] = await Promise.all(
    [0, 1, 2, 3].map(async () => await personOf(await signUp(info))),
  ) as [Person, Person, Person, Person];
  for (const [member, role] of [[admin, "admin"], [agent, "agent"], [viewer, "viewer"]] as const) {
    const { error } = await user.client.from("workspace_members")
      .insert({ workspace_id: user.workspaceId, user_id: member.id, role });
    if (error) throw error;
  }
  return { owner, admin, agent, viewer, stranger };
}

async function personOf(user: User): Promise<Person> {
  const { data } = await user.client.auth.getSession();
  return { ...user, id: data.session!.user.id, token: data.session!.access_token };
}

/** A request as the app makes it. */
export function ask(
  info: StackInfo,
  person: Pick<Person, "token">,
  method: string,
  path: string,
  body?: unknown,
): Promise<Answer> {
  const isForm = body instanceof FormData;
  return call(info, `inbox/${path}`, {
    method,
    headers: {
      apikey: info.publishable_key,
      authorization: `Bearer ${person.token}`,
      ...(body === undefined || isForm ? {} : { "content-type": "application/json" }),
    },
    ...(body === undefined ? {} : { body: isForm ? body : JSON.stringify(body) }),
  });
}

/** A request that must be answered with this status; its body. */
export async function expect(
  status: number,
  ...request: Parameters<typeof ask>
  // deno-lint-ignore no-explicit-any -- JSON of many shapes, each checked by the test that gets it.
): Promise<any> {
  const answer = await ask(...request);
  assertEquals(answer.status, status, JSON.stringify(answer.body));
  if (status >= 400) assert(answer.body.message.length > 10, "the refusal does not explain itself");
  return answer.body;
}

/** A customer who has written, and the thread that made. */
export async function openThread(inbox: World, text = "bom dia"): Promise<Thread> {
  const contact = inbox.fake.addContact({ name: "Rita" });
  inbox.fake.receiveMessage(contact, text);
  await inbox.fake.settled();
  return { id: await threadOf(inbox, contact), contact };
}

/** The thread of a customer. */
export async function threadOf({ sql, phoneNumber }: World, contact: Contact): Promise<string> {
  const [thread] = await sql<{ id: string }[]>`
    select id from public.conversations
    where external_conversation_id = ${`${phoneNumber.phoneNumberId}:${
    contact.phone ?? contact.bsuid
  }`}`;
  return thread!.id;
}

/** Messages of a thread, oldest first, as a member reads them. */
export async function readThread(person: User, thread: string) {
  const found = await rows(
    person.client.rpc("conversation_messages", { conversation: thread, max_messages: 500 }),
  );
  return found.reverse();
}

/** The outbox of a thread, oldest first, as a member reads it. */
export async function readOutbox(person: User, thread: string): Promise<OutboxMessage[]> {
  return await rows(
    person.client.from("outbox_messages").select().eq("conversation_id", thread).order(
      "created_at",
    ),
  );
}

/** Waits until the outbox of a conversation meets a condition. */
export async function untilOutbox(
  person: User,
  thread: string,
  isRight: (outbox: OutboxMessage[]) => boolean,
): Promise<OutboxMessage[]> {
  const deadline = Date.now() + size(20_000, 300_000);
  while (true) {
    const outbox = await readOutbox(person, thread);
    if (isRight(outbox)) return outbox;
    const states = JSON.stringify(outbox.map(({ state, error_code }) => [state, error_code]));
    if (Date.now() > deadline) throw new Error(`the outbox stays ${states}`);
  }
}

/** The body of a text. */
export function textBody(thread: Thread, text = "Bom dia, Rita", key = crypto.randomUUID()) {
  return { conversation_id: thread.id, idempotency_key: key, type: "text", text };
}
