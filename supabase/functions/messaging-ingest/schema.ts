/**
 * Checks the parts of a batch. The order of the checks, the codes and the texts are a contract:
 * docs/api/messaging-ingest.md.
 *
 * @module
 */
import * as z from "zod";
import {
  type IngestConversation,
  ingestConversation,
} from "../_shared/contracts/ingest_conversation.ts";
import { ingestRequest, MAX_CONVERSATIONS } from "../_shared/contracts/messaging_ingest.ts";
import { AppError } from "../_shared/http/errors.ts";
import { describeIssue, readInput } from "../_shared/http/validation.ts";

/** The body of a request, in bytes. */
export const MAX_BODY_BYTES = 5 * 1024 * 1024;
/** Messages and changes in a request, over all conversations. */
export const MAX_MESSAGES = 5000;

const connection = ingestRequest.pick({ platform: true, connection_id: true });
const batch = z.object({ conversations: z.array(z.unknown(), { error: "must be an array" }) });

/** A checked conversation: what to store, or what is wrong with it. */
export type CheckedConversation =
  | { externalId: string; conversation: IngestConversation }
  | { externalId: string; problem: string };

/**
 * Reads which connection a request comes from.
 *
 * @throws {AppError} missing_fields or invalid_envelope (400).
 */
export function readConnection(body: unknown): z.output<typeof connection> {
  return readPart(connection, body);
}

/**
 * Reads the conversations of a request, each of them still unchecked.
 *
 * @throws {AppError} missing_fields, invalid_envelope, too_many_conversations or too_many_messages (400).
 */
export function readConversations(body: unknown): unknown[] {
  const { conversations } = readPart(batch, body);
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

function readPart<Part extends z.ZodObject>(part: Part, body: unknown): z.output<Part> {
  const given: Record<string, unknown> =
    typeof body === "object" && body !== null && !Array.isArray(body)
      ? body as Record<string, unknown>
      : {};
  const isMissing = (value: unknown) => value === undefined || value === null || value === "";
  if (Object.keys(part.shape).some((name) => isMissing(given[name]))) {
    const required = Object.keys(ingestRequest.shape).join(", ");
    throw new AppError(400, "missing_fields", `Missing required fields: ${required}`);
  }
  return readInput(part, given, { code: "invalid_envelope" });
}

function countMessages(conversation: unknown): number {
  const { messages, changes } = (conversation ?? {}) as { messages?: unknown; changes?: unknown };
  return (Array.isArray(messages) ? messages.length : 0) +
    (Array.isArray(changes) ? changes.length : 0);
}

/** Checks one conversation. A fault is a value and not an error, so that the others are stored. */
export function checkConversation(value: unknown): CheckedConversation {
  const id = (value as { external_conversation_id?: unknown } | null)?.external_conversation_id;
  const externalId = typeof id === "string" ? id.slice(0, 512) : "";
  const parsed = ingestConversation.safeParse(value);
  return parsed.success
    ? { externalId, conversation: parsed.data }
    : { externalId, problem: describeIssue(parsed.error, "conversation") };
}
