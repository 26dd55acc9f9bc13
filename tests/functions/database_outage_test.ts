/**
 * Bridges get 503 with Retry-After during a database outage. When they send the same again afterwards, everything is
 * stored once.
 *
 * @module
 */

import { assert, assertEquals } from "@std/assert";
import { setTimeout as delay } from "node:timers/promises";

import { connect } from "../support/database.ts";
import { conversation, messages, readThread, threadFaults } from "../support/messages.ts";
import { startOutageStack } from "../support/outage_stack.ts";
import { DEMO_CONNECTIONS } from "../../local/demo.ts";
import { type Answer, getPeople, post } from "../support/users.ts";

const SENDERS = 4;
const REQUESTS = 30;

Deno.test("a killed Postgres costs a bridge only retries", async () => {
  await using project = await startOutageStack();
  const { info } = project.stack;
  const bridge = DEMO_CONNECTIONS.whatsapp;
  const threads = Array.from(
    { length: SENDERS },
    () => conversation({ messages: messages(REQUESTS) }),
  );
  const refused: Answer[] = [];
  const { promise: isUnderWay, resolve: setUnderWay } = Promise.withResolvers<void>();

  // Each sender sends its messages one by one, each until it is acknowledged.
  const senders = threads.map(async (thread) => {
    for (const [index, message] of thread.messages.entries()) {
      if (index === 10) setUnderWay();
      while (true) {
        const answer = await post(info, bridge, [{ ...thread, messages: [message] }]);
        if (answer.status === 200) break;
        refused.push(answer);
        await delay(50);
      }
    }
  });
  await isUnderWay;
  await project.killPostgres();
  // At once, while the senders continue.
  const people = await getPeople(info, bridge);
  if (people.status !== 200) refused.push(people);
  await Promise.all(senders);

  assert(refused.length > 0, "no request failed");
  for (const { status, headers, body } of refused) {
    assertEquals(
      [status, body.error, body.code, headers.get("retry-after")],
      [503, "Service unavailable, please try again", "database_unavailable", "5"],
    );
  }
  const sql = connect(info.db_url, { max: 1 });
  try {
    for (const thread of threads) {
      const [row] = await sql<{ id: string }[]>`
        select id from public.conversations
        where external_conversation_id = ${thread.external_conversation_id}`;
      assertEquals(
        (await readThread(sql, row!.id)).map((message) => message.id),
        thread.messages.map((message) => message.id),
      );
      assertEquals(await threadFaults(sql, row!.id), []);
    }
  } finally {
    await sql.end();
  }
});
