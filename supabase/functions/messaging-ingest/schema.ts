/**
 * Checks the parts of a batch. The order of the checks, the codes and the texts are a contract:
 * docs/api/messaging-ingest.md.
 *
 * @module
 */
import * as z from "zod";
import { ingestRequest, MAX_CONVERSATIONS } from "../_shared/contracts/messaging_ingest.ts";
import { AppError } from "../_shared/http/errors.ts";
import { readInput } from "../_shared/http/validation.ts";

/** The body of a request, in bytes. */
export const MAX_BODY_BYTES = 5 * 1024 * 1024;
/** Messages and changes in a request, over all conversations. */
export const MAX_MESSAGES = 5000;

/** The fields that a request must have. */
const REQUIRED = ["platform", "connection_id", "conversations"];

const connection = ingestRequest.pick({ platform: true, connection_id: true });
const batch = z.object({
  conversations: z.array(z.unknown(), { error: "must be an array" }),
  changes: z.array(z.unknown(), { error: "must be an array" }).nullish(),
});

/**
 * Reads which connection a request comes from.
 *
 * @throws {AppError} missing_fields or invalid_envelope (400).
 */
export function readConnection(body: unknown): z.output<typeof connection> {
  return readPart(connection, body);
}

/**
 * Reads the conversations and changes of a request, each of them still unchecked.
 *
 * @throws {AppError} missing_fields, invalid_envelope, too_many_conversations or too_many_messages (400).
 */
export function readBatch(
  body: unknown,
): { conversations: unknown[]; changes: unknown[] | undefined } {
  const { conversations, changes } = readPart(batch, body);
  if (conversations.length > MAX_CONVERSATIONS) {
    throw new AppError(
      400,
      "too_many_conversations",
      `Too many conversations: at most ${MAX_CONVERSATIONS} in a request, this one has ${conversations.length}`,
    );
  }
  const messageCount = conversations.reduce((sum: number, item) => sum + countMessages(item), 0) +
    (changes?.length ?? 0);
  if (messageCount > MAX_MESSAGES) {
    throw new AppError(
      400,
      "too_many_messages",
      `Too many messages: at most ${MAX_MESSAGES} in a request, this one has ${messageCount}`,
    );
  }
  return { conversations, changes: changes ?? undefined };
}

function readPart<Part extends z.ZodObject>(part: Part, body: unknown): z.output<Part> {
  const given: Record<string, unknown> =
    typeof body === "object" && body !== null && !Array.isArray(body)
      ? body as Record<string, unknown>
      : {};
  const isMissing = (value: unknown) => value === undefined || value === null || value === "";
  const missing = REQUIRED.filter((name) => name in part.shape && isMissing(given[name]));
  if (missing.length > 0) {
    throw new AppError(400, "missing_fields", `Missing required fields: ${REQUIRED.join(", ")}`);
  }
  return readInput(part, given, { code: "invalid_envelope" });
}

function countMessages(conversation: unknown): number {
  const { messages, changes } = (conversation ?? {}) as { messages?: unknown; changes?: unknown };
  return (Array.isArray(messages) ? messages.length : 0) +
    (Array.isArray(changes) ? changes.length : 0);
}
