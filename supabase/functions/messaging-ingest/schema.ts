/**
 * The request of the messaging ingest API.
 *
 * @module
 */
import * as z from "zod";
import { type IngestConversation, ingestConversation } from "../_shared/contracts/ingest.ts";
import { storableText } from "../_shared/contracts/text.ts";
import { AppError } from "../_shared/http/errors.ts";
import { describeIssue } from "../_shared/http/validation.ts";

/** The body of a request, in bytes. */
export const MAX_BODY_BYTES = 10 * 1024 * 1024;
/** Conversations in a request. */
export const MAX_CONVERSATIONS = 500;
/** Messages in a request, over all conversations. */
export const MAX_MESSAGES = 5000;

const PLATFORMS = ["whatsapp", "signal", "telegram", "wechat"] as const;

/** The body of a request, its conversations apart: each of them is checked on its own. */
export const envelope = z.object({
  platform: z.enum(PLATFORMS, { error: `must be one of ${PLATFORMS.join(", ")}` }),
  connection_id: storableText.pipe(
    z.string().max(128, { error: "must be at most 128 characters" }),
  ),
  conversations: z.array(z.unknown(), { error: "must be an array" }),
});

const connection = envelope.pick({ platform: true, connection_id: true });
const content = envelope.pick({ conversations: true });

/** A conversation that was checked: what to store, or what is wrong with it. */
export type CheckedConversation =
  | { externalId: string; conversation: IngestConversation }
  | { externalId: string; problem: string };

/**
 * Read from which connection a request comes.
 *
 * @throws {AppError} missing_fields or invalid_envelope (400).
 */
export function parseConnection(body: unknown): z.output<typeof connection> {
  return parsePart(connection, body);
}

/**
 * Read the conversations of a request, which are not checked yet.
 *
 * @throws {AppError} missing_fields, invalid_envelope, too_many_conversations or too_many_messages (400).
 */
export function parseConversations(body: unknown): unknown[] {
  const { conversations } = parsePart(content, body);
  if (conversations.length > MAX_CONVERSATIONS) {
    throw new AppError(
      400,
      "too_many_conversations",
      `Too many conversations: at most ${MAX_CONVERSATIONS} in a request, this one has ${conversations.length}`,
    );
  }
  const messageCount = conversations.reduce((sum: number, item) => sum + countMessages(item), 0);
  if (messageCount > MAX_MESSAGES) {
    throw new AppError(
      400,
      "too_many_messages",
      `Too many messages: at most ${MAX_MESSAGES} in a request, this one has ${messageCount}`,
    );
  }
  return conversations;
}

function parsePart<Shape extends z.ZodRawShape>(
  part: z.ZodObject<Shape>,
  body: unknown,
): z.output<z.ZodObject<Shape>> {
  const given: Record<string, unknown> =
    typeof body === "object" && body !== null && !Array.isArray(body)
      ? body as Record<string, unknown>
      : {};
  const isMissing = (value: unknown) => value === undefined || value === null || value === "";
  if (Object.keys(part.shape).some((name) => isMissing(given[name]))) {
    const required = Object.keys(envelope.shape).join(", ");
    throw new AppError(400, "missing_fields", `Missing required fields: ${required}`);
  }
  const parsed = part.safeParse(given);
  if (parsed.success) return parsed.data;
  throw new AppError(400, "invalid_envelope", describeIssue(parsed.error, "conversation"));
}

function countMessages(conversation: unknown): number {
  const { messages, changes } = (conversation ?? {}) as { messages?: unknown; changes?: unknown };
  return (Array.isArray(messages) ? messages.length : 0) +
    (Array.isArray(changes) ? changes.length : 0);
}

/** Check one conversation. A fault in it is a value, because the others are stored all the same. */
export function checkConversation(value: unknown): CheckedConversation {
  const id = (value as { external_conversation_id?: unknown } | null)?.external_conversation_id;
  const externalId = typeof id === "string" ? id.slice(0, 512) : "";
  const parsed = ingestConversation.safeParse(value);
  return parsed.success
    ? { externalId, conversation: parsed.data }
    : { externalId, problem: describeIssue(parsed.error, "conversation") };
}
