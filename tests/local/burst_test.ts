/**
 * More webhooks than the stack can process. At full size (`deno task soak`) these are the rates at which an earlier
 * version ended.
 *
 * @module
 */

import { assert, assertEquals, assertMatch } from "@std/assert";
import postgres from "postgres";
import { startStack } from "../../local/spawn_stack.ts";
import { size } from "../support/database.ts";
import { delivery, receivedText, untilProcessed } from "../support/kapso_webhook.ts";
import { unique } from "../support/people.ts";

const CUSTOMERS = 200;
const MB = 1024 * 1024;

interface Answer {
  id: string;
  status: number;
  ms: number;
}

Deno.test("a burst: some webhooks are stored, the others get 503 at once, and the stack stays up", async () => {
  await using stack = await startStack({
    args: ["--ephemeral", "--port", "0", ...(size(1, 0) ? ["--max-requests", "25"] : [])],
  });
  const { info } = stack;
  const sql = postgres(info.db_url, { max: 1, onnotice: () => {} });
  const url = `${info.api_url}/functions/v1/kapso-webhook`;

  const prepare = (count: number) =>
    Array.from({ length: count }, (_, index) => {
      const id = unique("wamid.");
      const phone = `55119${String(10_000_000 + index % CUSTOMERS)}`;
      const body = receivedText(info.demo.kapso_phone_number_id, "bom dia", { id, phone });
      return {
        id,
        request: delivery(JSON.stringify(body), { secret: info.demo.kapso_webhook_secret }),
      };
    });

  /** Sends at a steady rate, without waiting for answers. */
  async function sendAt(perSecond: number, seconds: number): Promise<Answer[]> {
    const webhooks = prepare(perSecond * seconds);
    const answers: Promise<Answer>[] = [];
    const startedAt = performance.now();
    while (answers.length < webhooks.length) {
      const due = (performance.now() - startedAt) / 1000 * perSecond;
      while (answers.length < Math.min(due, webhooks.length)) {
        answers.push(send(webhooks[answers.length]!));
      }
      await new Promise((resolve) => setTimeout(resolve, 5));
    }
    return await Promise.all(answers);
  }

  async function send({ id, request }: ReturnType<typeof prepare>[number]): Promise<Answer> {
    const startedAt = performance.now();
    const response = await fetch(url, request);
    await response.body?.cancel();
    if (response.status !== 200) {
      // Of the gateway, or of the function where the database has too much to do.
      assertEquals(response.status, 503);
      assertMatch(response.headers.get("retry-after") ?? "", /^[0-9]+$/);
    }
    return { id, status: response.status, ms: performance.now() - startedAt };
  }

  async function check(
    perSecond: number,
    seconds: number,
  ): Promise<{ accepted: Answer[]; refused: Answer[] }> {
    const answers = await sendAt(perSecond, seconds);
    const accepted = answers.filter(({ status }) => status === 200);
    const refused = answers.filter(({ status }) => status === 503);
    assert(accepted.length > 0, "some are stored");
    // Some were answered before they were processed.
    await untilProcessed(sql, [info.demo.kapso_phone_number_id]);
    const rows = await sql<{ id: string }[]>`
      select message.value ->> 'id' as id
      from public.conversation_export as thread
      cross join lateral jsonb_array_elements(thread.messages) as message
      where thread.external_conversation_id like ${`${info.demo.kapso_phone_number_id}:%`}`;
    const stored = new Set(rows.map(({ id }) => id));
    assertEquals(accepted.filter(({ id }) => !stored.has(id)), [], "every 200 is stored");
    const peak = await peakMemory(stack.pid!);
    report(
      `${perSecond}/s for ${seconds} s: ${accepted.length} stored, ${refused.length} refused; ` +
        `stored p50 ${quantile(accepted, 0.5)} ms, p99 ${quantile(accepted, 0.99)} ms; ` +
        `refused p50 ${quantile(refused, 0.5)} ms, p99 ${quantile(refused, 0.99)} ms; ` +
        `peak memory of the gateway ${Math.round(peak / MB)} MB`,
    );
    assert(peak < 1_000 * MB, `the stack used ${peak / MB} MB`);
    return { accepted, refused };
  }

  await send(prepare(1)[0]!);
  // More at once than it takes.
  const { refused } = await check(size(1500, 900), size(0.4, 10));
  assert(refused.length > 0, "others are refused");
  const { accepted } = await check(300, size(1, 15));
  assert(quantile(accepted, 0.99) < 10_000, "Kapso waits 10 s for an answer");
  assertEquals((await send(prepare(1)[0]!)).status, 200, "the stack is up");
  await sql.end();
});

function quantile(answers: Answer[], share: number): number {
  const sorted = answers.map(({ ms }) => ms).sort((one, other) => one - other);
  return Math.round(sorted[Math.floor((sorted.length - 1) * share)] ?? 0);
}

/** The most memory that a process has used, in bytes; 0 where the system does not say. */
async function peakMemory(pid: number): Promise<number> {
  const status = await Deno.readTextFile(`/proc/${pid}/status`).catch(() => "");
  return Number(/^VmHWM:\s+(\d+) kB$/m.exec(status)?.[1] ?? 0) * 1024;
}

function report(text: string): void {
  // deno-lint-ignore no-console -- the figures of a soak.
  if (Deno.env.get("SOAK") === "1") console.log(text);
}
