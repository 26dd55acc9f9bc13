/**
 * Phone numbers with a connection for the tests of kapso-webhook, deliveries signed like those of Kapso, and
 * everything that they stored.
 *
 * @module
 */

import { assertEquals } from "@std/assert";
import type postgres from "postgres";
import type { StackInfo } from "../../local/stack.ts";
import { deliveryHeaders } from "../../fakes/kapso/deliveries.ts";
import { eventually } from "./eventually.ts";
import { unique } from "./people.ts";
import { type Answer, call, rows, serviceClient, type User } from "./users.ts";

/** The number in every fixture. Each test has its own in its place. */
export const FIXTURE_PHONE_NUMBER_ID = "100000000000123";

/** A connection for a Kapso number. */
export interface PhoneNumber {
  id: string;
  phoneNumberId: string;
}

/** Fifteen digits that no other test has. */
export function uniquePhoneNumberId(): string {
  return `2${
    String(crypto.getRandomValues(new BigUint64Array(1))[0]! % 10n ** 14n).padStart(14, "0")
  }`;
}

/** Creates a connection for a number as its owner does, and gives it the number as after its proof. */
export async function createPhoneNumber(
  user: User,
  phoneNumberId = uniquePhoneNumberId(),
): Promise<PhoneNumber> {
  const [created] = await rows(user.client.rpc("create_connection", {
    workspace_id: user.workspaceId,
    platform: "whatsapp",
    connection_id: unique("kapso_"),
    phone_number_id: phoneNumberId,
  }));
  const [claim] = await rows(
    serviceClient(user.info).rpc("claim_phone_number", {
      connection_id: created!.id,
      phone_number_id: phoneNumberId,
    }),
  );
  assertEquals(claim!.outcome, "claimed");
  return { id: created!.id, phoneNumberId };
}

/** What is sent, besides the body. */
export interface DeliveryOptions {
  event?: string;
  secret: string;
  key?: string;
  headers?: Record<string, string>;
}

/** A signed delivery, as a request. */
export function delivery(body: string, options: DeliveryOptions): RequestInit {
  return {
    method: "POST",
    headers: {
      ...deliveryHeaders({
        event: options.event ?? "whatsapp.message.received",
        body,
        secretKey: options.secret,
        idempotencyKey: options.key ?? crypto.randomUUID(),
      }),
      ...options.headers,
    },
    body,
  };
}

/** Posts a body with the stack's project-wide secret. */
export function deliver(
  info: StackInfo,
  body: unknown,
  options: Partial<DeliveryOptions> = {},
): Promise<Answer> {
  return call(
    info,
    "kapso-webhook",
    delivery(typeof body === "string" ? body : JSON.stringify(body), {
      secret: info.demo.kapso_webhook_secret,
      ...options,
    }),
  );
}

/** Posts a body that must be taken, and returns the event's id and state. */
export async function deliverAll(
  info: StackInfo,
  body: unknown,
  options: Partial<DeliveryOptions> = {},
): Promise<{ id: number; state: string }> {
  const { status, body: answer } = await deliver(info, body, options);
  assertEquals(status, 200, JSON.stringify(answer));
  return answer;
}

/** The body of a received text. */
export function receivedText(
  phoneNumberId: string,
  text = "bom dia",
  given: { id?: string; phone?: string; timestamp?: number } = {},
): Record<string, unknown> {
  const phone = given.phone ?? "5511988887777";
  return {
    message: {
      id: given.id ?? unique("wamid."),
      timestamp: String(given.timestamp ?? 1772442000),
      type: "text",
      from: phone,
      text: { body: text },
      kapso: { direction: "inbound", status: "received", origin: "cloud_api", has_media: false },
    },
    conversation: {
      id: "3f2b6a52-6c0e-4b55-9d0f-0b6f1c2d7a10",
      phone_number: `+${phone}`,
      status: "active",
      created_at: "2026-03-02T09:00:00Z",
      updated_at: "2026-03-02T09:00:00Z",
      phone_number_id: phoneNumberId,
    },
    phone_number_id: phoneNumberId,
  };
}

/** A recorded event. */
export interface RecordedEvent {
  id: number;
  state: string;
  error: string | null;
  attempts: number;
}

/** Looks a recorded event up. */
export async function eventOf(sql: postgres.Sql, id: number): Promise<RecordedEvent | undefined> {
  const [row] = await sql<RecordedEvent[]>`
    select id::integer, state, error, attempts from private.webhook_events where id = ${id}`;
  return row;
}

/**
 * Waits until no event of these numbers, or of any number, waits to be processed: one that finds a queue is answered
 * before.
 */
export async function untilProcessed(
  sql: postgres.Sql,
  phoneNumberIds: string[] | null = null,
): Promise<void> {
  await eventually("the queues are empty", async () => {
    const [{ waiting }] = await sql`
      select count(*)::integer as waiting from private.webhook_events
      where state = 'received'
        and (${phoneNumberIds}::text[] is null or phone_number_id = any (${phoneNumberIds}::text[]))` as [
      { waiting: number },
    ];
    return waiting === 0;
  });
}

/** Message ids of a number's threads, oldest first, with the texts. */
export async function messagesOf(
  sql: postgres.Sql,
  phoneNumberId: string,
): Promise<{ id: string; content: string; status?: string }[]> {
  return [
    ...await sql<{ id: string; content: string; status?: string }[]>`
      select message.value ->> 'id' as id, message.value ->> 'content' as content,
        message.value ->> 'status' as status
      from public.conversation_export as thread
      cross join lateral jsonb_array_elements(thread.messages) with ordinality as message (value, ordinal)
      where thread.external_conversation_id like ${`${phoneNumberId}:%`}
      order by thread.external_conversation_id collate "C", message.ordinal`,
  ];
}

/** Rows of a workspace. */
export interface Snapshot {
  conversations: Record<string, unknown>[];
  people: Record<string, unknown>[];
}

/**
 * Everything a workspace holds, without what differs from run to run: ids and times of our own. The
 * same events must always leave the same behind.
 *
 * @param phoneNumbers The numbers of the workspace; each is written as its place in this list.
 */
export async function snapshot(
  sql: postgres.Sql,
  workspaceId: string,
  phoneNumbers: readonly string[],
): Promise<Snapshot> {
  const conversations = await sql`
    select thread.external_conversation_id, thread.participant_identifier, thread.participant_name,
      thread.status, thread.closed_at, thread.message_count, thread.unread_count, thread.last_message_at,
      thread.last_inbound_at, thread.last_message_preview, thread.last_message_type,
      thread.last_message_direction,
      -- Copies of files are made when there is time, so what became of them is not always there yet.
      (
        select coalesce(jsonb_agg(stored.value #- '{metadata,media}' order by stored.ordinal), '[]')
        from jsonb_array_elements(export.messages) with ordinality as stored (value, ordinal)
      ) as messages,
      jsonb_array_length(export.messages) as exported,
      person.phone as person_phone, person.name as person_name,
      (
        select jsonb_agg(jsonb_build_array(session.session_id, session.started_at, session.ended_at,
          session.inactive_since) order by session.session_id collate "C")
        from public.conversation_sessions as session where session.conversation_id = thread.id
      ) as sessions,
      (
        -- Connections differ from run to run.
        select jsonb_agg(regexp_replace(alias.alias, '^phone:[^:]+', 'phone') order by alias.alias collate "C")
        from private.thread_aliases as alias where alias.conversation_id = thread.id
      ) as aliases,
      (select count(*)::integer from private.message_keys as key where key.conversation_id = thread.id) as keys,
      (
        select jsonb_agg(waiting.change order by waiting.message_id, waiting.change::text)
        from private.waiting_updates as waiting where waiting.conversation_id = thread.id
      ) as waiting
    from public.conversations as thread
    join public.conversation_export as export on export.id = thread.id
    left join public.people as person on person.id = thread.person_id
    where thread.workspace_id = ${workspaceId}
    order by thread.external_conversation_id collate "C"`;
  const people = await sql`
    select person.phone, person.name, person.kapso_name, person.last_activity_at, person.marketing_status,
      person.marketing_sequence::integer, person.marketing_changed_at,
      (
        select jsonb_agg(identity.identifier order by identity.identifier collate "C")
        from public.person_identities as identity where identity.person_id = person.id
      ) as identities
    from public.people as person
    where person.workspace_id = ${workspaceId}
    order by person.phone collate "C", person.name collate "C"`;
  let text = JSON.stringify({ conversations, people });
  for (const [place, phoneNumber] of phoneNumbers.entries()) {
    text = text.replaceAll(phoneNumber, `line ${place}`);
  }
  const everything: Snapshot = JSON.parse(text);
  // The order of the numbers differs from run to run as they do.
  const key = (row: Record<string, unknown>) => String(row.external_conversation_id);
  everything.conversations.sort((one, other) => key(one) < key(other) ? -1 : 1);
  return everything;
}
