/**
 * Cuts a stream of messages into requests that stay within the ingest API's limits. Pure.
 *
 * @module
 */

import { fitToLimits, type ImportConversation, type ImportMessage } from "./import_item.ts";

/** Messages of one conversation within one request, in the order of time. */
export interface ConversationBatch {
  conversation: ImportConversation;
  messages: ImportMessage[];
}

/** One request. */
export interface Batch {
  conversations: ConversationBatch[];
  messageCount: number;
}

/** Options of {@linkcode makeBatches}. */
export interface BatchOptions {
  /** 1 to 5,000, the API's limit. */
  maxMessages: number;
  /** The API takes 5 MB; less means less to send again when a connection breaks. */
  maxBytes?: number;
  /** The API's limit is 500. */
  maxConversations?: number;
}

const DEFAULT_MAX_BYTES = 4 * 1024 * 1024;
const DEFAULT_MAX_CONVERSATIONS = 500;

/** More than the envelope and the field names of one conversation or message take, in bytes. */
const OVERHEAD_BYTES = 300;

/**
 * Collects messages into requests. Keeps their order, within a conversation and across requests.
 *
 * @param messages Messages with their conversations.
 * @param options See {@linkcode BatchOptions}.
 * @returns The requests, one at a time: only the current one is in memory.
 *
 * @example
 * ```ts
 * import { assert } from "@std/assert";
 *
 * const conversation = { externalId: "a", participantIdentifier: "a" };
 * const message = { id: "1", direction: "inbound", type: "text", content: "Hi", sentAt: "" } as const;
 * const batches = makeBatches([{ conversation, message }, { conversation, message }], { maxMessages: 1 });
 * assert((await Array.fromAsync(batches)).length === 2);
 * ```
 */
export async function* makeBatches(
  messages:
    | AsyncIterable<{ conversation: ImportConversation; message: ImportMessage }>
    | Iterable<{ conversation: ImportConversation; message: ImportMessage }>,
  options: BatchOptions,
): AsyncGenerator<Batch> {
  const {
    maxMessages,
    maxBytes = DEFAULT_MAX_BYTES,
    maxConversations = DEFAULT_MAX_CONVERSATIONS,
  } = options;
  let threads = new Map<string, ConversationBatch>();
  let messageCount = 0;
  let bytes = 0;
  const take = (): Batch => {
    const batch = { conversations: [...threads.values()], messageCount };
    threads = new Map();
    messageCount = 0;
    bytes = 0;
    return batch;
  };
  for await (const { conversation, message: whole } of messages) {
    for (const message of fitToLimits(whole)) {
      const isNewThread = !threads.has(conversation.externalId);
      const added = byteLength(message) + (isNewThread ? byteLength(conversation) : 0);
      const isFull = messageCount >= maxMessages || bytes + added > maxBytes ||
        (isNewThread && threads.size >= maxConversations);
      if (isFull && messageCount > 0) yield take();

      let thread = threads.get(conversation.externalId);
      if (!thread) {
        thread = { conversation, messages: [] };
        threads.set(conversation.externalId, thread);
      }
      thread.messages.push(message);
      messageCount++;
      bytes += added;
    }
  }
  if (messageCount > 0) yield take();
}

/** Cuts a batch of several messages in two, in its order. */
export function halve({ conversations, messageCount }: Batch): [Batch, Batch] {
  const half = Math.floor(messageCount / 2);
  const parts: [Batch, Batch] = [
    { conversations: [], messageCount: 0 },
    { conversations: [], messageCount: 0 },
  ];
  let before = 0;
  for (const { conversation, messages } of conversations) {
    const cut = Math.min(Math.max(half - before, 0), messages.length);
    for (
      const [part, taken] of [[parts[0], messages.slice(0, cut)], [
        parts[1],
        messages.slice(cut),
      ]] as const
    ) {
      if (taken.length === 0) continue;
      part.conversations.push({ conversation, messages: taken });
      part.messageCount += taken.length;
    }
    before += messages.length;
  }
  return parts;
}

function byteLength(value: unknown): number {
  return new TextEncoder().encode(JSON.stringify(value)).length + OVERHEAD_BYTES;
}
