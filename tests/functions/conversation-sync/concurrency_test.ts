/**
 * Many writers of one session: no write is lost, and of those that name a version exactly one wins.
 *
 * @module
 */

import { assertEquals } from "@std/assert";
import type { AgentSession } from "../../../supabase/functions/_shared/contracts/conversation_sync/answers.ts";
import { size, useDatabase } from "../../support/database.ts";
import { unique } from "../../support/people.ts";
import { createPhoneNumber } from "../../support/kapso_webhook.ts";
import {
  AGENT,
  ask,
  CONVERSATIONS,
  createBusiness,
  createSession,
  data,
  uniquePhone,
} from "../../support/agents.ts";

const database = useDatabase();
const WRITERS = 32;

Deno.test("32 writers: half patch keys, half add messages, and nothing is lost", async () => {
  const { info, sql } = database;
  const business = await createBusiness(info);
  const { key, slug: subDomain } = business;
  await createPhoneNumber(business);
  const { sessionId } = await createSession(info, business);
  const each = size(3, 40);
  const ids: string[] = [];
  await Promise.all(Array.from({ length: WRITERS }, async (_, writer) => {
    for (let turn = 0; turn < each; turn++) {
      const name = `w${writer}t${turn}`;
      if (writer % 4 === 0) {
        await data(info, "PUT", `${AGENT}/${sessionId}/sync`, {
          key,
          body: { intent: "order", step: name, context: { [name]: turn } },
        });
      } else if (writer % 2 === 0) {
        await data(info, "PATCH", `${CONVERSATIONS}/${sessionId}/context`, {
          key,
          body: { subDomain, context: { [name]: turn } },
        });
      } else {
        const messageId = unique("wamid.");
        ids.push(messageId);
        await data(info, "POST", `${AGENT}/${sessionId}/messages`, {
          key,
          body: { role: writer % 3 === 0 ? "bot" : "user", content: name, messageId },
        });
      }
    }
  }));
  const state = await data(info, "GET", `${CONVERSATIONS}/${sessionId}?subDomain=${subDomain}`, {
    key,
  });
  assertEquals(state.version, 1 + WRITERS * each, "every write is one version");
  const { previousMessages, lastUserMessage: _, ...keys } = state.context;
  const expected = Array.from({ length: WRITERS * each }, (_, index) => index)
    .filter((index) => Math.floor(index / each) % 2 === 0)
    .map((index) => [`w${Math.floor(index / each)}t${index % each}`, index % each]);
  assertEquals(keys, Object.fromEntries(expected));
  assertEquals((previousMessages as unknown[]).length, Math.min(50, ids.length));
  const stored = await sql<{ id: string }[]>`
    select message.value ->> 'id' as id
    from public.conversation_export as thread
    cross join lateral jsonb_array_elements(thread.messages) as message (value)
    where thread.workspace_id = ${business.workspaceId}`;
  assertEquals(stored.map(({ id }) => id).sort(), ids.toSorted());
});

Deno.test("with version, one writer wins each round and the others get the state", async () => {
  const { info } = database;
  const business = await createBusiness(info);
  const { key, slug: subDomain } = business;
  const { sessionId } = await createSession(info, business);
  const own = `${CONVERSATIONS}/${sessionId}`;
  for (let version = 1; version <= size(4, 100); version++) {
    const answers = await Promise.all(Array.from({ length: WRITERS }, (_, writer) => {
      const requests: [string, string, Record<string, unknown>][] = [
        ["PUT", `${AGENT}/${sessionId}/sync`, { intent: "i", step: `${writer}`, context: {} }],
        ["PATCH", `${own}/intent`, { intent: `${writer}` }],
        ["PATCH", `${own}/context`, { context: { writer } }],
        ["POST", `${own}/messages`, { role: "user", content: "x", messageId: unique() }],
        ["POST", `${own}/orders`, { orderId: unique() }],
        ["POST", `${own}/extend`, {}],
        ["POST", `${own}/reset`, {}],
      ];
      const [method, path, body] = requests[writer % requests.length]!;
      return ask(info, method, path, { key, body: { subDomain, ...body, version } });
    }));
    const winners = answers.filter((answer) => answer.status === 200);
    assertEquals(winners.length, 1);
    for (const { status, body } of answers.filter((answer) => !winners.includes(answer))) {
      assertEquals([status, body.type, body.code], [409, "3", "version_conflict"]);
      assertEquals((body.data as AgentSession).version, version + 1);
      assertEquals(typeof body.request_id, "string");
    }
  }
});

Deno.test("two concurrent creations of a session get the same one", async () => {
  const { info } = database;
  const business = await createBusiness(info);
  for (let round = 0; round < size(3, 50); round++) {
    const userId = uniquePhone();
    const answers = await Promise.all(
      Array.from({ length: 16 }, (_, caller) =>
        ask(info, "POST", CONVERSATIONS, {
          key: business.key,
          // Half of them name a bot; the others take the existing session.
          body: {
            userId,
            subDomain: business.slug,
            ...(caller % 2 === 0 ? { botId: "bot1" } : {}),
          },
        })),
    );
    const ofBot = answers.filter((_, caller) => caller % 2 === 0)
      .map((answer) => answer.body.data.sessionId);
    assertEquals(new Set(ofBot).size, 1);
    const created = answers.filter((answer) => answer.status === 201);
    const ids = new Set(answers.map((answer) => answer.body.data.sessionId));
    assertEquals(created.length, ids.size, "each was created once");
  }
});
