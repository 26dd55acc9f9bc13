/**
 * Sends the messages of the outbox through Kapso: one message of a conversation at a time, in the order of
 * the queue. Each is sent once, and its outcome is recorded.
 *
 * @module
 */
import type { OutboxMessage } from "../_shared/contracts/inbox/messages.ts";
import { outboundContent } from "../_shared/contracts/outbound_content.ts";
import { AppError } from "../_shared/http/errors.ts";
import { errorNames, type Log } from "../_shared/http/log.ts";
import { retry } from "../_shared/http/retry.ts";
import { type KapsoClient, KapsoError, type SentMessage } from "../_shared/kapso/api/client.ts";
import {
  type Outbound,
  outboundBody,
  outboundMessage,
  outboundReaction,
  outboundText,
} from "../_shared/kapso/api/outbound_message.ts";
import type { KapsoFor } from "./kapso_calls.ts";
import type { Claim, OutboxStore, RecordedMessage, SendOutcome } from "./store.ts";

/** What sending needs of the outside world. */
export interface SenderDeps {
  outbox: OutboxStore;
  kapsoFor: KapsoFor;
  log: Log;
  /** Milliseconds since 1970. */
  now: () => number;
  /** Monotonic clock in milliseconds, for time limits. */
  monotonic: () => number;
  delay: (ms: number) => Promise<unknown>;
}

/**
 * How long a message is retried while Kapso says that it was not sent. Together with the last attempt this
 * stays well below the lease of a claim, one minute.
 */
const RETRY_MS = 15_000;
const BACKOFF_MS = 300;
/** How long one caller sends messages that others have queued. Edge Functions end after 150 seconds. */
const DRAIN_MS = 90_000;
const RECORD_ATTEMPTS = 4;

/**
 * Sends the queued messages of conversations, one after the other. What fails, or is left when the time is
 * up, is for the next call: a function that is stopped while it sends leaves an unconfirmed message.
 */
export async function drainAll(deps: SenderDeps, conversationIds: string[]): Promise<void> {
  const deadline = deps.monotonic() + DRAIN_MS;
  for (const conversationId of conversationIds) {
    try {
      await drain(deps, conversationId, () => {}, deadline);
    } catch (error) {
      deps.log("error", "drain_failed", { cause: errorNames(error) });
    }
  }
}

/**
 * Sends the queued messages of a conversation until the queue is empty or another sender holds it.
 *
 * @param onDone Called with each message whose outcome was recorded.
 * @param deadline When no further message is begun, on the monotonic clock.
 */
export async function drain(
  deps: SenderDeps,
  conversationId: string,
  onDone: (message: OutboxMessage) => void = () => {},
  deadline: number = deps.monotonic() + DRAIN_MS,
): Promise<void> {
  while (deps.monotonic() < deadline) {
    const claim = await deps.outbox.claim(conversationId);
    if (claim === undefined) return;
    const outcome = await attempt(deps, claim);
    deps.log("info", "send", {
      outbox_id: claim.message.id,
      attempt: claim.message.attempts,
      outcome: outcome.outcome,
      error_code: outcome.errorCode,
    });
    const { message, hasMore } = await record(deps, claim, outcome);
    onDone(message);
    if (!hasMore) return;
  }
}

/** Sends a message. Retries only where Kapso has certainly not sent it. */
async function attempt(deps: SenderDeps, claim: Claim): Promise<SendOutcome> {
  const { recipient, phoneNumberId } = claim;
  // Members can call enqueue_message() themselves, which checks the type of the row but not its payload.
  const content = outboundContent.safeParse(claim.message.payload);
  if (!content.success || content.data.type !== claim.message.type) {
    return { outcome: "failed", errorCode: "invalid_message" };
  }
  if (recipient === null || phoneNumberId === null || claim.message.connection_id === null) {
    return { outcome: "failed", errorCode: "connection_not_ready" };
  }
  const outbound: Outbound = {
    content: content.data,
    recipient,
    replyTo: claim.message.reply_to,
    callbackData: claim.callbackData,
    fileName: claim.message.file_name,
    mimeType: claim.message.mime_type,
  };
  let kapso: KapsoClient;
  try {
    kapso = await deps.kapsoFor(claim.message.connection_id);
  } catch (error) {
    if (error instanceof AppError && error.status === 422) {
      return { outcome: "failed", errorCode: "connection_not_ready" };
    }
    // For example a key that cannot be decrypted. Nothing was sent, and the member learns that.
    deps.log("error", "kapso_not_ready", {
      outbox_id: claim.message.id,
      cause: errorNames(error),
    });
    return { outcome: "failed", errorCode: "not_attempted" };
  }
  try {
    const sent = await retry(() => kapso.sendMessage(phoneNumberId, outboundBody(outbound)), {
      retryAfterOf,
      backoffMs: BACKOFF_MS,
      maxElapsedMs: RETRY_MS,
      // The lease lets one sender at a time hold the conversation, so there is no crowd to spread out.
      random: () => 0,
      delay: deps.delay,
      now: deps.monotonic,
    });
    // From the payload, which was sent; the row only adds the rendering of a template.
    const text = outboundText(content.data, claim.message.content);
    return accepted(outbound, text, sent, new Date(deps.now()).toISOString());
  } catch (error) {
    if (!(error instanceof KapsoError)) throw error;
    if (error.isAmbiguous) return { outcome: "unconfirmed" };
    return { outcome: "failed", errorCode: errorCode(error) };
  }
}

/** Only if Kapso itself says "not now": 409 while another message is on its way, 429, and limits. */
function retryAfterOf(error: unknown): number | undefined {
  const isPassing = error instanceof KapsoError && error.isRetryable && !error.isAmbiguous &&
    error.status !== 0;
  return isPassing ? error.retryAfterMs ?? 0 : undefined;
}

function accepted(outbound: Outbound, text: string, sent: SentMessage, at: string): SendOutcome {
  return {
    outcome: "sent",
    message: outbound.content.type === "reaction"
      ? outboundReaction(outbound, sent.id, at)
      : outboundMessage(outbound, text, sent.id, at),
  };
}

/** The code whose meaning private.failure_reason() knows. */
function errorCode(error: KapsoError): string {
  if (error.metaCode !== undefined) return String(error.metaCode);
  if (error.code === "marketing_preference_stopped") return error.code;
  switch (error.status) {
    case 0:
      return "kapso_unreachable";
    case 401:
    case 403:
      return "unauthorized";
    case 402:
      return "insufficient_credits";
    case 404:
      return "number_not_found";
    case 409:
      return "conversation_busy";
    case 429:
      return "rate_limited";
    default:
      return "refused";
  }
}

/**
 * Records the outcome, with retries because nothing else holds Kapso's answer. Where it cannot be recorded,
 * the lease runs out and the message becomes unconfirmed.
 */
function record(deps: SenderDeps, claim: Claim, outcome: SendOutcome): Promise<RecordedMessage> {
  return retry(() => deps.outbox.record(claim, outcome), {
    retryAfterOf: () => 0,
    attempts: RECORD_ATTEMPTS,
    backoffMs: 2 * BACKOFF_MS,
    delay: deps.delay,
  });
}
