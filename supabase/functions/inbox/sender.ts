/**
 * From the outbox to Kapso. One message of a thread at a time, in the order in which they were queued;
 * each is handed over once, and what became of it is recorded.
 *
 * @module
 */
import { AppError } from "../_shared/http/errors.ts";
import { type KapsoClient, KapsoError, type SentMessage } from "../_shared/kapso/api/client.ts";
import {
  type Outbound,
  outboundBody,
  outboundContent,
  outboundMessage,
  outboundReaction,
  outboundRecipient,
  outboundText,
} from "../_shared/kapso/api/outbound_message.ts";
import type { Log } from "../_shared/http/log.ts";
import { retry } from "../_shared/http/retry.ts";
import type { Claim, Outbox, OutboxMessage, SendOutcome } from "./store.ts";

/** What sending needs of the outside world. */
export interface SenderDeps {
  outbox: Outbox;
  /** @throws {AppError} kapso_api_key_missing (422). */
  kapsoFor: (connectionId: string) => Promise<KapsoClient>;
  log: Log;
  /** Milliseconds since 1970. */
  now: () => number;
  delay: (ms: number) => Promise<unknown>;
}

/**
 * How long a message is tried again while Kapso says that it was not sent. With the time a last attempt
 * may take it stays well below the lease of a claim, which is a minute.
 */
const RETRY_MS = 15_000;
const BACKOFF_MS = 300;
/** How long one caller goes on sending what others have queued. Edge Functions end after 150 seconds. */
const DRAIN_MS = 90_000;
const RECORD_ATTEMPTS = 4;

/**
 * Send what waits in threads, one after the other. What fails, or is left when the time is up, is for the
 * next call: a function that is ended in the middle of a message leaves it unconfirmed.
 */
export async function drainAll(deps: SenderDeps, conversationIds: string[]): Promise<void> {
  const deadline = deps.now() + DRAIN_MS;
  for (const conversationId of conversationIds) {
    try {
      await drain(deps, conversationId, () => {}, deadline);
    } catch (error) {
      deps.log("error", "drain_failed", { cause: error instanceof Error ? error.name : "unknown" });
    }
  }
}

/**
 * Send what is queued in a thread, until nothing is left or somebody else is at it.
 *
 * @param onDone Called with each message whose outcome was recorded.
 * @param deadline When no further message is begun, in milliseconds since 1970.
 */
export async function drain(
  deps: SenderDeps,
  conversationId: string,
  onDone: (message: OutboxMessage) => void = () => {},
  deadline: number = deps.now() + DRAIN_MS,
): Promise<void> {
  while (deps.now() < deadline) {
    const claim = await deps.outbox.claim(conversationId);
    if (claim === undefined) return;
    const outcome = await attempt(deps, claim);
    deps.log("info", "send", {
      outbox_id: claim.message.id,
      attempt: claim.message.attempts,
      outcome: outcome.outcome,
      error_code: outcome.errorCode,
    });
    onDone(await record(deps, claim, outcome));
  }
}

/** Hand a message to Kapso. Repeated only where it is certain that it was not sent. */
async function attempt(deps: SenderDeps, claim: Claim): Promise<SendOutcome> {
  const content = outboundContent.safeParse(claim.message.payload);
  const recipient = outboundRecipient.safeParse(claim.recipient);
  // Also where somebody has queued it past this function: the checks before were for the type of the row.
  if (!content.success || content.data.type !== claim.message.type) {
    return { outcome: "failed", errorCode: "invalid_message" };
  }
  if (!recipient.success || claim.phoneNumberId === null || claim.message.connection_id === null) {
    return { outcome: "failed", errorCode: "connection_not_ready" };
  }
  const outbound: Outbound = {
    content: content.data,
    recipient: recipient.data,
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
    // Whatever it is, such as a key that cannot be decrypted: nothing has left, and that is worth saying.
    deps.log("error", "kapso_not_ready", {
      outbox_id: claim.message.id,
      cause: error instanceof Error ? error.name : "unknown",
    });
    return { outcome: "failed", errorCode: "not_attempted" };
  }
  const { phoneNumberId } = claim;
  try {
    const sent = await retry(() => kapso.sendMessage(phoneNumberId, outboundBody(outbound)), {
      retryAfterOf,
      backoffMs: BACKOFF_MS,
      maxElapsedMs: RETRY_MS,
      // The lease lets one sender at a time hold the thread, so there is no crowd to spread out.
      random: () => 0,
      delay: deps.delay,
      now: deps.now,
    });
    // Of the payload, which is what was sent; the row is read for a template's rendering alone.
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
 * Keep the outcome. Tried more than once, because what Kapso has said is said only here; where it cannot be
 * kept, the lease runs out and the message becomes unconfirmed.
 */
function record(deps: SenderDeps, claim: Claim, outcome: SendOutcome): Promise<OutboxMessage> {
  return retry(() => deps.outbox.record(claim, outcome), {
    retryAfterOf: () => 0,
    attempts: RECORD_ATTEMPTS,
    backoffMs: 2 * BACKOFF_MS,
    delay: deps.delay,
  });
}
