/**
 * The text that `deno task start` prints when the stack is ready.
 *
 * @module
 */

import type { StackInfo } from "./stack.ts";

/** Formats the text for the terminal. Its last command can be pasted. */
export function banner(info: StackInfo): string {
  const { api_url, db_url, publishable_key, secret_key, app_url, demo, fake_kapso } = info;
  const body = JSON.stringify({
    platform: "whatsapp",
    connection_id: demo.connection_id,
    conversations: [{
      external_conversation_id: "chat_abc123",
      participant_identifier: "+1234567890",
      participant_name: "John Doe",
      messages: [{
        id: "msg_001",
        direction: "inbound",
        type: "text",
        content: "Hello!",
        sent_at: "2026-02-01T10:30:00Z",
      }],
    }],
  });
  return `
Supabase is running.

  API              ${api_url}
  Database         ${db_url}${app_url === null ? "" : `\n  Inbox            ${app_url}`}
  Publishable key  ${publishable_key}
  Secret key       ${secret_key}
  Demo sign-in     ${demo.email} / ${demo.password}${
    fake_kapso === undefined ? "" : `
  Fake Kapso       ${fake_kapso.api_url} (API key ${fake_kapso.api_key})

The fake Kapso's customers write to number ${demo.kapso_phone_number_id} every few seconds: ${
      app_url === null
        ? "look at\npublic.conversations"
        : "open the\ninbox, where the demo user's sign-in is filled in"
    }.`
  }

Send a message as a bridge does:

  curl ${api_url}/functions/v1/messaging-ingest \\
    -H 'content-type: application/json' -H 'x-api-key: ${demo.api_key}' \\
    -d '${body}'

Press Ctrl-C to stop.
`.replace(/\n$/, "");
}
