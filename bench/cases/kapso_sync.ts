/**
 * Measures how fast kapso-sync imports history, against the same messages sent to messaging-ingest. The fake
 * Kapso answers without delay, so the figures show reading, translating and storing.
 *
 * @module
 */

import { seedHistory } from "../../fakes/kapso/history.ts";
import { median, takeTurns } from "../measure.ts";
import { figure } from "../report.ts";
import { type BenchCase, openDatabase, repeat } from "./case.ts";

const CONVERSATIONS = 100;
const MESSAGES = 5_000;
/** Conversations per request to messaging-ingest: 500 messages. */
const CONVERSATIONS_PER_REQUEST = 10;

/** Measures a history run of kapso-sync. */
export const measureKapsoSync: BenchCase = async (context) => {
  const { info, kapso } = context;
  const sql = openDatabase(context);
  const post = async (path: string, headers: Record<string, string>, body: unknown) => {
    const response = await fetch(`${info.api_url}/functions/v1/${path}`, {
      method: "POST",
      headers: { "content-type": "application/json", ...headers },
      body: JSON.stringify(body),
    });
    const text = await response.text();
    if (response.status !== 200) throw new Error(`${response.status}: ${text}`);
    return text;
  };
  /** Creates a number with history, and its connection. */
  const makeLine = async (round: number) => {
    const phoneNumberId = `3000000000${String(round).padStart(5, "0")}`;
    const phoneNumber = kapso.addPhoneNumber(phoneNumberId, "+1 555 0100");
    const messages = seedHistory(kapso, {
      phoneNumber,
      conversations: CONVERSATIONS,
      messages: MESSAGES,
      picturesEvery: 0,
    });
    await sql`
      insert into public.connections (connection_id, workspace_id, user_id, platform, name, phone_number_id)
      select ${phoneNumberId}, workspace_id, user_id, 'whatsapp', 'Measured', ${phoneNumberId}
      from public.connections where connection_id = ${info.demo.connection_id}`;
    return { phoneNumberId, messages };
  };
  try {
    const rounds = repeat(context, 5);
    const phoneNumbers: Awaited<ReturnType<typeof makeLine>>[] = [];
    for (let round = 0; round < rounds + 1; round++) phoneNumbers.push(await makeLine(round));
    const { sync, ingest } = await takeTurns(
      {
        sync: async (round) => {
          let text: string;
          do {
            text = await post("kapso-sync", { apikey: info.secret_key }, {
              connection_id: phoneNumbers[round]!.phoneNumberId,
              messages_per_conversation: "all",
            });
          } while (text.includes('"type":"paused"'));
          if (!text.includes('"type":"done"')) throw new Error(text.slice(-500));
        },
        ingest: async (round) => {
          const threads = Map.groupBy(
            phoneNumbers[round]!.messages,
            ({ conversation }) => conversation,
          );
          const conversations = [...threads].map(([{ contact, id }, messages]) => ({
            external_conversation_id: `${round}:${id}`,
            participant_identifier: `+${contact.phone}`,
            participant_name: contact.name,
            is_history: true,
            messages: messages.map((message) => ({
              id: message.id,
              direction: message.direction,
              type: "text",
              content: (message.content.text as { body: string }).body,
              sent_at: new Date(message.sentAt).toISOString(),
            })),
          }));
          for (let start = 0; start < conversations.length; start += CONVERSATIONS_PER_REQUEST) {
            await post("messaging-ingest", { "x-api-key": info.demo.api_key }, {
              platform: "whatsapp",
              connection_id: info.demo.connection_id,
              conversations: conversations.slice(start, start + CONVERSATIONS_PER_REQUEST),
            });
          }
        },
      },
      rounds,
      1,
    );
    const rate = (samples: number[]) => MESSAGES / median(samples) * 1000;
    const title = `${MESSAGES} messages of ${CONVERSATIONS} conversations`;
    return [
      figure("kapso_sync.rate", `${title}: kapso-sync`, rate(sync), "messages/s"),
      figure("kapso_sync.ingest.rate", `${title}: messaging-ingest`, rate(ingest), "messages/s"),
      figure("kapso_sync.ratio", `${title}: sync / ingest`, rate(sync) / rate(ingest), "×"),
    ];
  } finally {
    await sql.end();
  }
};
