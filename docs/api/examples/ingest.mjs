// Sends conversations, and retries while that can help. For Node 18 or later, and Deno.
import process from "node:process";
import { setTimeout as sleep } from "node:timers/promises";

const { SUPABASE_URL, MESSAGING_API_KEY, MESSAGING_CONNECTION_ID } = process.env;

async function post(body) {
  try {
    const response = await fetch(`${SUPABASE_URL}/functions/v1/messaging-ingest`, {
      method: "POST",
      headers: { "Content-Type": "application/json", "x-api-key": MESSAGING_API_KEY },
      body,
      signal: AbortSignal.timeout(120_000),
    });
    const retryAfter = Number(response.headers.get("retry-after")) || 0;
    return { status: response.status, retryAfter, answer: await response.json() };
  } catch (error) {
    // No answer, or half of one. It may have been stored or not: sending it again is safe.
    return { status: 0, retryAfter: 0, answer: { error: String(error) } };
  }
}

/** Up to 500 conversations with up to 5,000 messages together. */
async function ingest(conversations) {
  const body = JSON.stringify({
    platform: "whatsapp",
    connection_id: MESSAGING_CONNECTION_ID,
    conversations,
  });
  for (let attempt = 0;; attempt++) {
    const { status, retryAfter, answer } = await post(body);
    if (status === 200) return answer.results;
    const canPass = status === 0 || status === 429 || status >= 500;
    if (!canPass || attempt === 8) throw new Error(`${status}: ${answer.error ?? answer.message}`);
    await sleep(1000 * Math.max(retryAfter, Math.random() * Math.min(30, 2 ** attempt)));
  }
}

const results = await ingest([
  {
    external_conversation_id: "example_javascript",
    participant_identifier: "+1234567890",
    participant_name: "John Doe",
    messages: [
      {
        id: "msg_001", // The platform's own id, never one made for the request.
        direction: "inbound",
        type: "text",
        content: "Hello!",
        sent_at: new Date(1769941800_000).toISOString(),
      },
    ],
  },
]);
for (const { conversation_id, status, messages_added } of results) {
  // "error: …" here is about this conversation alone, and is the same for every repeat.
  process.stdout.write(`${conversation_id}: ${status}, ${messages_added} added\n`);
}
