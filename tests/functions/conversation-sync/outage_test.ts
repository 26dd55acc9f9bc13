/**
 * Agents get 503 during a database outage. When they send the same again afterwards, everything is stored once.
 *
 * @module
 */

import { assert, assertEquals } from "@std/assert";
import { setTimeout as delay } from "node:timers/promises";
import { connect } from "../../support/database.ts";
import { unique } from "../../support/people.ts";
import { startOutageStack } from "../../support/outage_stack.ts";
import type { Answer } from "../../support/users.ts";
import { AGENT, ask, CONVERSATIONS, data, uniquePhone } from "../../support/agents.ts";

Deno.test("a killed Postgres costs an agent only retries", async () => {
  await using project = await startOutageStack();
  const { info } = project.stack;
  const { agent_key: key, workspace: subDomain } = info.demo;
  const session = await data(info, "POST", CONVERSATIONS, {
    key,
    body: { userId: uniquePhone(), subDomain },
  });
  const refused: Answer[] = [];
  const { promise: isUnderWay, resolve: setUnderWay } = Promise.withResolvers<void>();
  const ids = Array.from({ length: 60 }, () => unique("wamid."));
  const writing = (async () => {
    for (const [index, messageId] of ids.entries()) {
      if (index === 10) setUnderWay();
      while (true) {
        const answer = await ask(info, "POST", `${AGENT}/${session.sessionId}/messages`, {
          key,
          body: { role: "user", content: "x", messageId },
        });
        if (answer.status === 200) break;
        refused.push(answer);
        await delay(50);
      }
    }
  })();
  await isUnderWay;
  await project.killPostgres();
  const [health, lookup] = await Promise.all([
    ask(info, "GET", "/health"),
    ask(info, "GET", `/api/v1/whatsapp/lookup/tenant/${session.userId}`, { key }),
  ]);
  refused.push(...[health, lookup].filter((answer) => answer.status !== 200));
  await writing;

  assert(refused.length > 0, "no request failed");
  for (const { status, headers, body } of refused) {
    assertEquals(
      [status, headers.get("retry-after"), Object.keys(body), body.type, body.code],
      [503, "5", ["type", "message", "code", "request_id"], "3", "database_unavailable"],
    );
  }
  const sql = connect(info.db_url, { max: 1 });
  try {
    const [row] = await sql`
      select version::integer, jsonb_array_length(messages) as kept
      from public.agent_sessions where session_id = ${session.sessionId}`;
    assertEquals(row, { version: 1 + ids.length, kept: 50 });
    const stored = await sql<{ id: string }[]>`
      select message.value ->> 'id' as id
      from public.conversation_export as thread
      cross join lateral jsonb_array_elements(thread.messages) with ordinality as message (value, ordinal)
      where thread.external_conversation_id like ${`%:${session.userId}`}
      order by message.ordinal`;
    assertEquals(stored.map(({ id }) => id), ids);
  } finally {
    await sql.end();
  }
});
