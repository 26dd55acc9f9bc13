/**
 * A peer of kapso-webhook: checks the signature of an event, and inserts the event by the REST API. A process of its own,
 * on the Deno of the functions.
 *
 * @module
 */

const url = `${Deno.env.get("SUPABASE_URL")}/rest/v1/bench_webhook_events`;
const apiKey = Deno.env.get("SUPABASE_SECRET_KEY")!;
const key = await crypto.subtle.importKey(
  "raw",
  new TextEncoder().encode(Deno.env.get("KAPSO_WEBHOOK_SECRET")!),
  { name: "HMAC", hash: "SHA-256" },
  false,
  ["verify"],
);

Deno.serve(async (request) => {
  const body = new Uint8Array(await request.arrayBuffer());
  const hex = request.headers.get("x-webhook-signature") ?? "";
  const signature = Uint8Array.from(hex.match(/../g) ?? [], (pair) => parseInt(pair, 16));
  if (!await crypto.subtle.verify("HMAC", key, signature, body)) {
    return new Response(null, { status: 401 });
  }
  const response = await fetch(url, {
    method: "POST",
    headers: {
      "content-type": "application/json",
      apikey: apiKey,
      authorization: `Bearer ${apiKey}`,
      prefer: "return=minimal",
    },
    body: JSON.stringify({
      event: request.headers.get("x-webhook-event"),
      body: JSON.parse(new TextDecoder().decode(body)),
    }),
  });
  await response.body?.cancel();
  return Response.json({ received: response.ok }, { status: response.ok ? 200 : 503 });
});
