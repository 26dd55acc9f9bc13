/**
 * Sends batches to the messaging-ingest API, and retries what may pass.
 *
 * Sending a batch twice is harmless: the API stores every message id once. So the client retries 429, 408,
 * 5xx, broken connections and cut answers, and gives up at any other 4xx.
 *
 * @module
 */

import * as z from "zod";

import { parseJson } from "../../supabase/functions/_shared/http/json.ts";
import { readRetryAfter, retry } from "../../supabase/functions/_shared/http/retry.ts";
import { CommandError, usageError } from "../command_error.ts";
import { type Batch, halve } from "./batches.ts";
import { type ImportMessage, type Platform } from "./import_item.ts";

/** The result of one conversation of a batch, or of one of its messages that was rejected. */
export type ConversationOutcome =
  | { externalId: string; kind: "stored"; messagesSent: number; messagesAdded: number }
  | { externalId: string; kind: "failed"; messagesSent: number; reason: string };

/** Options of {@linkcode createIngestClient}. */
export interface IngestClientOptions {
  /** Address of the project, or of the function itself. */
  url: string;
  apiKey: string;
  connectionId: string;
  platform: Platform;
  signal?: AbortSignal;
  /** Called before each wait. `attempt` counts from 1. */
  onRetry?: (retry: { reason: string; attempt: number; retries: number }) => void;
  retries?: number;
  /** The first wait; each further one is twice as long, plus up to as much again at random. */
  minWaitMs?: number;
  maxWaitMs?: number;
  /** A server that asks for a longer wait than this ends the import. */
  maxRetryAfterMs?: number;
  timeoutMs?: number;
  fetch?: typeof fetch;
}

/** Sends batches; see {@linkcode createIngestClient}. */
export interface IngestClient {
  /**
   * Sends one batch, in smaller ones where the server asks for that.
   *
   * @returns One outcome per conversation and request, in the order of the batch, and one per rejected message.
   * @throws {IngestRefusal} When the server refuses the request.
   * @throws {IngestUnavailable} When each attempt failed.
   */
  send(batch: Batch): Promise<ConversationOutcome[]>;
}

/** The server refused a request, and would refuse it again. */
export class IngestRefusal extends CommandError {
  override name = "IngestRefusal";
  readonly status: number;
  /** The code of the answer, if it has one. */
  readonly code: string | undefined;

  constructor(status: number, message: string, code?: string) {
    super(message);
    this.status = status;
    this.code = code;
  }
}

/** The server could not be reached or failed, at each attempt. */
export class IngestUnavailable extends CommandError {
  override name = "IngestUnavailable";
  readonly retryAfterMs: number;

  constructor(message: string, retryAfterMs = 0) {
    super(message);
    this.retryAfterMs = retryAfterMs;
  }
}

const PATH = "/functions/v1/messaging-ingest";

const AnswerSchema = z.object({
  results: z.array(z.object({
    status: z.string(),
    messages_added: z.number().int().nonnegative().default(0),
    code: z.string().nullish(),
    rejected: z.array(z.object({ message: z.string(), code: z.string() })).default([]),
  })),
});

const ErrorSchema = z.object({
  error: z.string(),
  code: z.string().nullish(),
  request_id: z.string().nullish(),
});

/**
 * Creates a client for one connection.
 *
 * @param options See {@linkcode IngestClientOptions}.
 * @returns The client.
 */
export function createIngestClient(options: IngestClientOptions): IngestClient {
  const {
    retries = 8,
    minWaitMs = 500,
    maxWaitMs = 30_000,
    maxRetryAfterMs = 600_000,
    timeoutMs = 120_000,
    signal,
    onRetry,
  } = options;
  const endpoint = ingestUrl(options.url);

  const attempt = async (body: string): Promise<string> => {
    let response: Response;
    let answer: string;
    try {
      const timeout = AbortSignal.timeout(timeoutMs);
      response = await (options.fetch ?? fetch)(endpoint, {
        method: "POST",
        headers: { "content-type": "application/json", "x-api-key": options.apiKey },
        body,
        // A redirect would carry the key to another address.
        redirect: "manual",
        signal: signal ? AbortSignal.any([signal, timeout]) : timeout,
      });
      // Inside the try, because a connection can also break in the middle of the answer.
      answer = await response.text();
    } catch (error) {
      signal?.throwIfAborted();
      const isTimeout = error instanceof DOMException && error.name === "TimeoutError";
      throw new IngestUnavailable(
        isTimeout
          ? `${new URL(endpoint).origin} did not answer within ${timeoutMs / 1000} seconds`
          : `The connection to ${new URL(endpoint).origin} failed`,
      );
    }
    if (response.ok) return answer;
    const { status } = response;
    const reason = describeError(status, answer, options.apiKey);
    if (status === 429 || status === 408 || status >= 500) {
      throw new IngestUnavailable(reason, readRetryAfter(response.headers.get("retry-after")) ?? 0);
    }
    throw new IngestRefusal(status, reason + hint(status), readCode(answer));
  };

  const client: IngestClient = {
    async send(batch) {
      try {
        return await sendWhole(batch);
      } catch (error) {
        const isTooSlow = error instanceof IngestRefusal && error.code === "batch_too_slow";
        if (!isTooSlow || batch.messageCount < 2) throw error;
        const [first, second] = halve(batch);
        return [...await client.send(first), ...await client.send(second)];
      }
    },
  };
  return client;

  async function sendWhole(batch: Batch): Promise<ConversationOutcome[]> {
    const body = JSON.stringify(toWire(batch, options));
    const answer = await retry(() => attempt(body), {
      retryAfterOf: (error) => error instanceof IngestUnavailable ? error.retryAfterMs : undefined,
      attempts: retries + 1,
      backoffMs: minWaitMs,
      maxBackoffMs: maxWaitMs,
      maxRetryAfterMs,
      signal,
      onRetry: ({ error, attempt }) =>
        onRetry?.({ reason: (error as IngestUnavailable).message, attempt, retries }),
    });
    return readOutcomes(batch, answer, endpoint);
  }
}

/**
 * Completes the address of a project to that of the ingest function.
 *
 * @throws {CommandError} When it is not an http(s) address.
 */
export function ingestUrl(url: string): string {
  if (!URL.canParse(url) || !/^https?:$/u.test(new URL(url).protocol)) {
    throw usageError(
      "The address is not valid. Give --url like http://127.0.0.1:54321 or https://<project>.supabase.co.",
    );
  }
  const parsed = new URL(url);
  parsed.search = "";
  parsed.hash = "";
  const path = parsed.pathname.replace(/\/+$/u, "");
  parsed.pathname = path.endsWith(PATH) ? path : path.replace(/\/functions\/v1$/u, "") + PATH;
  return parsed.href;
}

function toWire(batch: Batch, options: IngestClientOptions): unknown {
  return {
    platform: options.platform,
    connection_id: options.connectionId,
    conversations: batch.conversations.map(({ conversation, messages }) => ({
      external_conversation_id: conversation.externalId,
      participant_identifier: conversation.participantIdentifier,
      participant_name: conversation.participantName,
      // Stored without raising the unread count or starting an automation.
      is_history: true,
      messages: messages.map(toWireMessage),
    })),
  };
}

function toWireMessage(message: ImportMessage): unknown {
  return {
    id: message.id,
    direction: message.direction,
    type: message.type,
    content: message.content,
    sent_at: message.sentAt,
    sender_name: message.senderName,
    reply_to: message.replyTo,
    metadata: message.metadata,
  };
}

function readOutcomes(batch: Batch, answer: string, endpoint: string): ConversationOutcome[] {
  const parsed = AnswerSchema.safeParse(parseJson(answer));
  if (!parsed.success || parsed.data.results.length !== batch.conversations.length) {
    throw new IngestRefusal(
      200,
      `The answer of ${endpoint} is not that of messaging-ingest. Check --url.`,
    );
  }
  return batch.conversations.flatMap(({ conversation, messages }, index) => {
    const result = parsed.data.results[index]!;
    const { externalId } = conversation;
    if (["created", "updated", "no_new_messages"].includes(result.status)) {
      return [
        {
          externalId,
          kind: "stored",
          messagesSent: messages.length - result.rejected.length,
          messagesAdded: result.messages_added,
        },
        ...result.rejected.map((rejected): ConversationOutcome => ({
          externalId,
          kind: "failed",
          messagesSent: 1,
          reason: reasonOf(rejected.message, rejected.code),
        })),
      ];
    }
    const reason = reasonOf(result.status.replace(/^error:\s*/u, ""), result.code);
    return { externalId, kind: "failed", messagesSent: messages.length, reason };
  });
}

function reasonOf(text: string, code: string | null | undefined): string {
  return [text.slice(0, 300), code].filter(Boolean).join(" · ");
}

function describeError(status: number, answer: string, apiKey: string): string {
  const parsed = ErrorSchema.safeParse(parseJson(answer));
  // A proxy's page of HTML says nothing about the cause.
  if (!parsed.success) return `The server answered ${status}`;
  const { error, code, request_id: requestId } = parsed.data;
  const details = [code, requestId && `request ${requestId}`].filter(Boolean).join(", ");
  return `The server answered ${status}: ${error.slice(0, 300).replaceAll(apiKey, "…")}${
    details && ` (${details})`
  }`;
}

function readCode(answer: string): string | undefined {
  return ErrorSchema.safeParse(parseJson(answer)).data?.code ?? undefined;
}

function hint(status: number): string {
  switch (status) {
    case 401:
      return ". Check MESSAGING_API_KEY, --connection and --platform.";
    case 403:
      return ". Activate the connection, or give another --connection.";
    case 404:
      return ". Check --url: the function messaging-ingest was not found.";
    default:
      return status >= 300 && status < 400 ? ". Check --url: it points to another address." : "";
  }
}
