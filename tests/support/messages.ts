/**
 * Messages and conversations for `ingest_conversations`, and what it stored.
 *
 * @module
 */

import { createHash } from "node:crypto";
import type { Json, Sql } from "./database.ts";
import type { Connection } from "./people.ts";
import { unique } from "./people.ts";

/** A message as `ingest_conversations` takes it. */
export interface TestMessage {
  id: string;
  direction: string;
  type: string;
  content: string;
  media_url: string | null;
  sent_at: string;
  [extra: string]: unknown;
}

/** An element of a batch. */
export interface TestConversation {
  external_conversation_id: string;
  participant_identifier: string;
  participant_name?: string;
  messages: TestMessage[];
  changes?: Record<string, unknown>[];
  is_history?: boolean;
}

/** The answer of `ingest_conversations` for an element of a batch. */
export interface IngestRow {
  id: string | null;
  external_conversation_id: string | null;
  outcome: string;
  messages_added: number;
  error: string | null;
}

/** A time: seconds after the first time of the tests. */
export function at(seconds: number): string {
  return new Date(Date.UTC(2026, 0, 1) + seconds * 1000).toISOString();
}

/** A message with an id of its own. */
export function message(overrides: Partial<TestMessage> = {}): TestMessage {
  const id = overrides.id ?? unique("m_");
  return {
    id,
    direction: "inbound",
    type: "text",
    content: `Text of ${id}`,
    media_url: null,
    sent_at: at(0),
    ...overrides,
  };
}

/** Messages, one a second, oldest first. */
export function messages(count: number, first = 0, prefix = unique("m_")): TestMessage[] {
  return Array.from(
    { length: count },
    (_, index) => message({ id: `${prefix}_${index}`, sent_at: at(first + index) }),
  );
}

/** A conversation with an id and a participant of its own. */
export function conversation(overrides: Partial<TestConversation> = {}): TestConversation {
  return {
    external_conversation_id: unique("x_"),
    participant_identifier: unique("someone_"),
    messages: [],
    ...overrides,
  };
}

/** Stores a batch with `ingest_conversations`. */
export async function ingest(
  sql: Sql,
  connection: Pick<Connection, "id">,
  batch: readonly unknown[],
): Promise<IngestRow[]> {
  return [
    ...await sql<IngestRow[]>`
      select * from public.ingest_conversations(${connection.id}, ${sql.json(batch as Json)})`,
  ];
}

/** Sends one conversation, and returns its id. */
export async function ingestOne(
  sql: Sql,
  connection: Pick<Connection, "id">,
  given: TestConversation,
): Promise<string> {
  const [row] = await ingest(sql, connection, [given]);
  if (!row?.id) throw new Error(`not stored: ${JSON.stringify(row)}`);
  return row.id;
}

/** A row of `conversations`. */
export interface StoredConversation {
  id: string;
  workspace_id: string;
  platform: string;
  connection_id: string | null;
  participant_identifier: string;
  participant_name: string | null;
  person_id: string | null;
  status: string;
  closed_at: Date | null;
  messages: TestMessage[];
  message_count: number;
  archived_message_count: number;
  unread_count: number;
  inbound_arrivals: number;
  activity_at: Date;
  head_started_at: Date | null;
  last_read_at: Date | null;
  last_message_at: Date | null;
  last_inbound_at: Date | null;
  last_message_preview: string | null;
  last_message_type: string | null;
  last_message_direction: string | null;
  last_message_id: string | null;
  updated_at: Date;
}

/** Reads the row of a conversation. */
export async function readConversation(sql: Sql, id: string): Promise<StoredConversation> {
  const [row] = await sql<StoredConversation[]>`
    select * from public.conversations where id = ${id}`;
  if (!row) throw new Error(`there is no conversation ${id}`);
  return row;
}

/** Reads a whole thread, oldest message first. */
export async function readThread(sql: Sql, id: string): Promise<TestMessage[]> {
  const [row] = await sql<{ messages: TestMessage[] }[]>`
    select messages from public.conversation_export where id = ${id}`;
  if (!row) throw new Error(`there is no conversation ${id}`);
  return row.messages;
}

/** A page of `conversation_archives`. */
export interface StoredPage {
  part: number;
  messages: TestMessage[];
  message_count: number;
  first_sent_at: Date;
  last_sent_at: Date;
}

/** What `private.message_digest` makes of the id of a message of a conversation. */
function messageDigest(of: { workspace_id: string; platform: string }, id: string): string {
  const hex = createHash("sha256").update(`${of.workspace_id}${of.platform}:${id}`).digest("hex");
  return hex.slice(0, 32).replace(/^(.{8})(.{4})(.{4})(.{4})/, "$1-$2-$3-$4-");
}

/** A page has 50 messages, and more only where messages of one instant were not torn apart. */
function isTooLong(page: readonly TestMessage[]): boolean {
  const instants = Map.groupBy(page, (each) => Date.parse(each.sent_at));
  const longest = Math.max(0, ...[...instants.values()].map((each) => each.length));
  return page.length > 50 && page.length >= 50 + longest;
}

/**
 * Looks for what must never be: a thread whose counts, order, pages or ledger do not agree.
 *
 * @returns a sentence for each fault; nothing where the thread is in order.
 */
export async function threadFaults(sql: Sql, id: string): Promise<string[]> {
  const row = await readConversation(sql, id);
  const pages = await sql<StoredPage[]>`
    select part, messages, message_count, first_sent_at, last_sent_at
    from public.conversation_archives where conversation_id = ${id} order by first_sent_at, part`;
  // Compared here and not by a join, which may be planned as a loop over all pairs.
  const keys = await sql<{ digest: string; sent_at: Date }[]>`
    select message_digest as digest, sent_at from private.message_keys where conversation_id = ${id}`;
  const thread = [...pages.flatMap((page) => page.messages), ...row.messages];
  const times = thread.map((each) => Date.parse(each.sent_at));
  const faults: string[] = [];
  const expect = (name: string, actual: unknown, expected: unknown) => {
    if (JSON.stringify(actual) !== JSON.stringify(expected)) {
      faults.push(`${name} is ${JSON.stringify(actual)}, not ${JSON.stringify(expected)}`);
    }
  };
  expect("number of different ids", new Set(thread.map((each) => each.id)).size, thread.length);
  expect("message_count", row.message_count, thread.length);
  expect("archived_message_count", row.archived_message_count, thread.length - row.messages.length);
  expect("number of keys", keys.length, thread.length);
  const filed = new Set(keys.map((key) => `${key.digest} ${key.sent_at.getTime()}`));
  const isFiled = ({ id, sent_at }: TestMessage) =>
    filed.has(`${messageDigest(row, id)} ${Date.parse(sent_at)}`);
  expect("ids without a key", thread.filter((each) => !isFiled(each)).map(({ id }) => id), []);
  if (times.some((time, index) => index > 0 && time < times[index - 1]!)) {
    faults.push("the thread is not sorted");
  }
  if (isTooLong(row.messages)) faults.push(`the head has ${row.messages.length} messages`);
  if (thread.length > 0 && row.messages.length === 0) faults.push("the head is empty");
  expect(
    "head_started_at",
    row.head_started_at?.getTime(),
    row.messages[0] ? Date.parse(row.messages[0].sent_at) : undefined,
  );
  // Never in the future, though a message may be by a few minutes.
  const newest = times.at(-1);
  const last = row.last_message_at?.getTime();
  const isAhead = newest !== undefined && last !== undefined && last < newest &&
    newest - last <= 5 * 60_000 && newest > Date.now() - 10 * 60_000;
  expect("last_message_at", last, isAhead ? last : newest);
  for (const [index, page] of pages.entries()) {
    const name = `page ${index}`;
    const next = pages[index + 1]?.first_sent_at ?? row.head_started_at!;
    // Only an instant with more than a page of messages has several pages.
    if (page.last_sent_at >= next && page.first_sent_at < page.last_sent_at) {
      faults.push(`${name} ends where the next one begins`);
    }
    if (isTooLong(page.messages)) faults.push(`${name} has ${page.message_count} messages`);
    expect(`${name}: message_count`, page.message_count, page.messages.length);
    expect(
      `${name}: first_sent_at`,
      page.first_sent_at.getTime(),
      Date.parse(page.messages[0]!.sent_at),
    );
    expect(
      `${name}: last_sent_at`,
      page.last_sent_at.getTime(),
      Date.parse(page.messages.at(-1)!.sent_at),
    );
  }
  return faults;
}
