/**
 * What the function inbox sends to Kapso, and what it makes of Kapso's answers, without a network.
 *
 * @module
 */

import { assertEquals } from "@std/assert";
import { message as messageSchema } from "../../../supabase/functions/_shared/contracts/message.ts";
import { outboundContent } from "../../../supabase/functions/_shared/contracts/outbound_content.ts";
import {
  type KapsoClient,
  KapsoError,
} from "../../../supabase/functions/_shared/kapso/api/client.ts";
import {
  type Outbound,
  outboundBody,
  outboundMessage,
  outboundText,
} from "../../../supabase/functions/_shared/kapso/api/outbound_message.ts";
import { drain, drainAll } from "../../../supabase/functions/inbox/sender.ts";
import type { Claim, OutboxStore, SendOutcome } from "../../../supabase/functions/inbox/store.ts";

const CALLBACK = "6f1f1c52-5b3c-4d4e-9d46-0d2f6a6f0a01";
/** A connection whose key cannot be decrypted. */
const UNREADABLE = "6f1f1c52-5b3c-4d4e-9d46-0d2f6a6f0a09";

function outbound(payload: unknown, more: Partial<Outbound> = {}): Outbound {
  return {
    content: outboundContent.parse(payload),
    recipient: { to: "5511988887777" },
    replyTo: null,
    callbackData: CALLBACK,
    fileName: null,
    mimeType: null,
    ...more,
  };
}

Deno.test("the body of each type is what Meta's API takes", () => {
  const common = { to: "5511988887777", biz_opaque_callback_data: CALLBACK };
  assertEquals(outboundBody(outbound({ type: "text", text: "Hi" }, { replyTo: "wamid.A" })), {
    ...common,
    type: "text",
    text: { body: "Hi", preview_url: false },
    context: { message_id: "wamid.A" },
  });
  assertEquals(
    outboundBody(
      outbound({ type: "document", media_id: "1", caption: "Yours" }, { fileName: "a.pdf" }),
    ),
    { ...common, type: "document", document: { id: "1", caption: "Yours", filename: "a.pdf" } },
  );
  assertEquals(outboundBody(outbound({ type: "audio", media_id: "1" }, { fileName: "a.ogg" })), {
    ...common,
    type: "audio",
    audio: { id: "1" },
  });
  assertEquals(
    outboundBody(outbound({ type: "template", template: { name: "hello", language: "pt_BR" } })),
    { ...common, type: "template", template: { name: "hello", language: { code: "pt_BR" } } },
  );
  assertEquals(outboundBody(outbound({ type: "reaction", emoji: "" }, { replyTo: "wamid.A" })), {
    ...common,
    type: "reaction",
    reaction: { message_id: "wamid.A", emoji: "" },
  });
  assertEquals(
    outboundBody(outbound({ type: "text", text: "Hi" }, { recipient: { recipient: "BR.1" } })).to,
    undefined,
  );
});

Deno.test("lengths are counted in characters, as people see them", () => {
  const isValid = (payload: unknown) => outboundContent.safeParse(payload).success;
  assertEquals(isValid({ type: "text", text: "👍".repeat(4096) }), true);
  assertEquals(isValid({ type: "text", text: "👍".repeat(4097) }), false);
  assertEquals(isValid({ type: "image", media_id: "1", caption: "x".repeat(1025) }), false);
  assertEquals(isValid({ type: "image", media_id: "../1" }), false);
});

Deno.test("a sent message is one that ingest_conversations takes", () => {
  for (
    const payload of [
      { type: "text", text: "Hi" },
      { type: "sticker", media_id: "1" },
      { type: "template", template: { name: "hello", language: "en" } },
    ]
  ) {
    const given = outbound(payload, { fileName: "a", mimeType: "image/webp", replyTo: "wamid.A" });
    const text = outboundText(given.content, undefined);
    const made = outboundMessage(given, text, "wamid.B", "2026-03-02T09:00:00.000Z");
    assertEquals(messageSchema.parse(made), made);
  }
});

/** Sends one message through a Kapso that answers as told, and returns what was recorded. */
async function sendThrough(
  ...answers: (KapsoError | string)[]
): Promise<{ calls: number; waits: number[]; outcome: SendOutcome }> {
  return await sendRow({}, ...answers);
}

/** The same, of a row with these fields. */
async function sendRow(
  fields: Partial<Claim["message"]>,
  ...answers: (KapsoError | string)[]
): Promise<{ calls: number; waits: number[]; outcome: SendOutcome }> {
  let calls = 0;
  const waits: number[] = [];
  let clock = 0;
  const outcomes: SendOutcome[] = [];
  const row = {
    id: CALLBACK,
    attempts: 1,
    connection_id: CALLBACK,
    type: "text",
    content: "Hi",
    payload: { type: "text", text: "Hi" },
    ...fields,
  } as unknown as Claim["message"];
  const claims = [
    { message: row, phoneNumberId: "1", recipient: { to: "55" }, callbackData: CALLBACK },
  ];
  await drain({
    outbox: {
      claim: () => Promise.resolve(claims.pop()),
      record: (_, outcome) => {
        outcomes.push(outcome);
        return Promise.resolve({ message: row, hasMore: true });
      },
    } as Partial<OutboxStore> as OutboxStore,
    kapsoFor: (connection) =>
      connection === UNREADABLE ? Promise.reject(new Error("bad decrypt")) : Promise.resolve({
        sendMessage: () => {
          const answer = answers[Math.min(calls++, answers.length - 1)]!;
          if (answer instanceof KapsoError) return Promise.reject(answer);
          return Promise.resolve({
            id: answer,
            waId: undefined,
            userId: undefined,
            status: undefined,
          });
        },
      } as Partial<KapsoClient> as KapsoClient),
    log: () => {},
    now: () => clock,
    monotonic: () => clock,
    delay: (ms) => {
      waits.push(ms);
      clock += ms;
      return Promise.resolve();
    },
  }, "thread");
  return { calls, waits, outcome: outcomes[0]! };
}

function failure(status: number, more: Partial<ConstructorParameters<typeof KapsoError>[0]> = {}) {
  return new KapsoError({
    status,
    code: "x",
    message: "x",
    isRetryable: status === 409 || status === 429,
    isAmbiguous: status >= 500,
    ...more,
  });
}

Deno.test("an answer that was lost is never sent again", async () => {
  for (
    const error of [
      failure(502),
      failure(0, { code: "timeout", isAmbiguous: true }),
      failure(200, { code: "unreadable_answer", isAmbiguous: true }),
    ]
  ) {
    const { calls, outcome } = await sendThrough(error);
    assertEquals([calls, outcome], [1, { outcome: "unconfirmed" }]);
  }
});

Deno.test("certainly not sent: retried for 15 seconds, after the wait that Kapso asks for", async () => {
  const sent = await sendThrough(failure(409), failure(429, { retryAfterMs: 4000 }), "wamid.A");
  assertEquals([sent.calls, sent.waits, sent.outcome.outcome], [3, [300, 4000], "sent"]);
  const never = await sendThrough(failure(409));
  assertEquals(never.outcome, { outcome: "failed", errorCode: "conversation_busy" });
  assertEquals(never.waits.reduce((sum, ms) => sum + ms, 0) <= 15_000, true);
  const late = await sendThrough(failure(429, { retryAfterMs: 60_000 }));
  assertEquals([late.calls, late.outcome.errorCode], [1, "rate_limited"]);
});

Deno.test("a refusal has a documented code", async () => {
  for (
    const [error, code] of [
      [failure(400, { metaCode: 131026 }), "131026"],
      [failure(401), "unauthorized"],
      [failure(402), "insufficient_credits"],
      [failure(404), "number_not_found"],
      [failure(422, { code: "marketing_preference_stopped" }), "marketing_preference_stopped"],
      [failure(422), "refused"],
      [failure(0, { code: "network", isRetryable: true }), "kapso_unreachable"],
    ] as const
  ) {
    const { calls, outcome } = await sendThrough(error);
    assertEquals([calls, outcome], [1, { outcome: "failed", errorCode: code }]);
  }
});

Deno.test("a message that never left has failed, and is not unconfirmed", async () => {
  const { calls, outcome } = await sendRow({ connection_id: UNREADABLE }, "wamid.A");
  assertEquals([calls, outcome], [0, { outcome: "failed", errorCode: "not_attempted" }]);
});

Deno.test("the conversation gets the sent text, not the text of the row", async () => {
  const { outcome } = await sendRow({ content: "Something else" }, "wamid.A");
  assertEquals((outcome.message as { content: string }).content, "Hi");
  const template = { name: "hello", language: "en", components: [] };
  const rendered = await sendRow({
    type: "template",
    content: "Hello Rita",
    payload: { type: "template", template },
  }, "wamid.A");
  assertEquals((rendered.outcome.message as { content: string }).content, "Hello Rita");
});

Deno.test("sending stops before the function must end, for any number of waiting conversations", async () => {
  let clock = 0;
  let sent = 0;
  const row = {
    id: CALLBACK,
    connection_id: CALLBACK,
    type: "text",
    payload: { type: "text", text: "Hi" },
  } as unknown as Claim["message"];
  await drainAll({
    outbox: {
      // Each thread has ten.
      claim: () =>
        Promise.resolve(
          sent % 11 === 10
            ? void sent++
            : { message: row, phoneNumberId: "1", recipient: { to: "55" }, callbackData: CALLBACK },
        ),
      record: () => Promise.resolve({ message: row, hasMore: true }),
    } as Partial<OutboxStore> as OutboxStore,
    kapsoFor: () =>
      Promise.resolve({
        sendMessage: () => {
          clock += 1000;
          sent++;
          return Promise.resolve({ id: "wamid.A" });
        },
      } as unknown as KapsoClient),
    log: () => {},
    now: () => clock,
    monotonic: () => clock,
    delay: () => Promise.resolve(),
  }, Array.from({ length: 500 }, String));
  assertEquals(clock, 90_000);
});
