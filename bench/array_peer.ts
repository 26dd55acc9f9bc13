/**
 * A peer of messaging-ingest: keeps each conversation as one array of messages. For each conversation of a request it
 * reads the array, merges the new messages by their ids, and writes the whole array back. Takes the same requests.
 * A process of its own, on the Deno of the functions.
 *
 * @module
 */

import { createClient } from "@supabase/supabase-js";
import type { BenchConversation, BenchMessage } from "./messages.ts";

const TABLE = "bench_array_conversations";
const apiKey = Deno.env.get("API_KEY")!;
const client = createClient(Deno.env.get("SUPABASE_URL")!, Deno.env.get("SUPABASE_SECRET_KEY")!, {
  auth: { persistSession: false, autoRefreshToken: false, detectSessionInUrl: false },
});

Deno.serve(async (request) => {
  if (request.headers.get("x-api-key") !== apiKey) return new Response(null, { status: 401 });
  const { conversations }: { conversations: BenchConversation[] } = await request.json();
  for (const conversation of conversations) {
    const problem = await store(conversation);
    if (problem !== undefined) return Response.json({ problem }, { status: 500 });
  }
  return Response.json({ success: true, processed: conversations.length });
});

/** Stores the messages of a conversation. @returns What went wrong. */
async function store(conversation: BenchConversation): Promise<string | undefined> {
  const read = await client.from(TABLE).select("messages")
    .eq("external_conversation_id", conversation.external_conversation_id).maybeSingle();
  if (read.error) return read.error.message;
  const stored: BenchMessage[] = read.data?.messages ?? [];
  const byId = new Map([...stored, ...conversation.messages].map((each) => [each.id, each]));
  const messages = [...byId.values()]
    .sort((one, other) => Date.parse(one.sent_at) - Date.parse(other.sent_at));
  const { error } = await client.from(TABLE).upsert({
    external_conversation_id: conversation.external_conversation_id,
    participant_identifier: conversation.participant_identifier,
    participant_name: conversation.participant_name,
    messages,
    message_count: messages.length,
    last_message_at: messages.at(-1)?.sent_at ?? null,
    updated_at: new Date().toISOString(),
  }, { onConflict: "external_conversation_id" });
  return error?.message;
}
