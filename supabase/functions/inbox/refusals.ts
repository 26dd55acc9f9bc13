/**
 * What the database and Kapso refuse, as answers for people.
 *
 * @module
 */
import { userCallError } from "../_shared/auth/caller.ts";
import { AppError, type DatabaseFailure } from "../_shared/http/errors.ts";
import type { KapsoError } from "../_shared/kapso/api/client.ts";

/** The error of a supabase-js call. */
export interface CallFailure extends DatabaseFailure {
  details?: string | null;
}

/** SQL functions raise PTxyz with one of these codes as message; xyz is the HTTP status. */
const REFUSALS: Readonly<Record<string, (failure: CallFailure) => AppError>> = {
  workspace_not_found: () =>
    new AppError(404, "workspace_not_found", "There is no such workspace, or you are no member"),
  conversation_not_found: () =>
    new AppError(404, "conversation_not_found", "There is no such conversation"),
  message_not_found: () => new AppError(404, "message_not_found", "There is no such message"),
  person_not_found: () => new AppError(404, "person_not_found", "There is no such person"),
  merge_not_found: () => new AppError(404, "merge_not_found", "There is no such merge"),
  connection_not_found: () =>
    new AppError(404, "connection_not_found", "There is no such connection"),
  upload_not_found: () =>
    new AppError(
      404,
      "upload_not_found",
      "This file was not uploaded for this conversation and type, or too long ago. Upload it again",
    ),
  role_too_low: () =>
    new AppError(403, "role_too_low", "Your role in this workspace does not allow this"),
  platform_without_sending: () =>
    new AppError(
      422,
      "platform_without_sending",
      "There is no way to send on this platform from here. Answer in its own app",
    ),
  connection_not_ready: () =>
    new AppError(
      422,
      "connection_not_ready",
      "The number this conversation came in by is switched off, was removed, or is not connected to Kapso",
    ),
  no_recipient: () =>
    new AppError(
      422,
      "no_recipient",
      "Neither a number nor an id of this customer is known, so nothing can be sent to them",
    ),
  window_closed: (failure) =>
    new AppError(
      422,
      "window_closed",
      "The customer last wrote more than 24 hours ago, so WhatsApp takes only a template. Choose one",
      { details: { last_inbound_at: toIso(failure.details) } },
    ),
  invalid_message: () =>
    new AppError(422, "invalid_message", "This message cannot be sent as it is"),
  idempotency_key_reused: () =>
    new AppError(
      409,
      "idempotency_key_reused",
      "This idempotency_key belongs to another message. Make a new one for each message",
    ),
  possible_double: () =>
    new AppError(
      409,
      "possible_double",
      "Nobody knows whether this message was sent. Repeat with confirm_possible_double if the customer may get it twice",
    ),
  nothing_to_retry: () =>
    new AppError(
      409,
      "nothing_to_retry",
      "This message was sent, is on its way, or was put away",
    ),
  nothing_to_discard: () =>
    new AppError(
      409,
      "nothing_to_discard",
      "Only a message that failed or is unconfirmed can be put away",
    ),
  not_a_member: () =>
    new AppError(
      422,
      "not_a_member",
      "Only a member of the workspace who may answer can be assigned",
    ),
  same_person: () => new AppError(422, "same_person", "These are the same person"),
  phone_taken: () =>
    new AppError(409, "phone_taken", "Another person of this workspace has this number"),
  merge_undone: () => new AppError(409, "merge_undone", "This merge was undone already"),
  merge_not_last: () =>
    new AppError(
      409,
      "merge_not_last",
      "This person was merged again since. Undo the later merge first",
    ),
  phone_number_taken: () =>
    new AppError(409, "phone_number_taken", "Another connection has this phone_number_id"),
  invalid_connection_settings: () => invalidConnectionSettings(),
};

/** A connection with a name, id or number that cannot be stored. */
export function invalidConnectionSettings(): AppError {
  return new AppError(
    422,
    "invalid_connection_settings",
    "connection_id, name, platform or phone_number_id is not valid",
  );
}

/**
 * What a failed call with a user's token means.
 *
 * @param httpStatus The HTTP status that came with it; 0 where there was no answer.
 */
export function refusal(failure: CallFailure, httpStatus: number): AppError {
  const refused = /^PT4\d\d$/.test(failure.code ?? "") ? REFUSALS[failure.message] : undefined;
  // An id that is no uuid belongs to nothing.
  if (failure.code === "22P02") {
    return new AppError(404, "not_found", "There is nothing with this id");
  }
  return refused?.(failure) ?? userCallError(failure, httpStatus);
}

/** What it means when Kapso fails at something that is asked for directly, other than sending. */
export function kapsoFailure(error: KapsoError): AppError {
  if (error.status === 401 || error.status === 403) {
    return new AppError(
      422,
      "kapso_key_rejected",
      "Kapso did not accept the API key of this connection. An admin has to set it again",
      { cause: error },
    );
  }
  if (error.isRetryable || error.isAmbiguous || error.status === 0 || error.status >= 500) {
    return new AppError(503, "kapso_unavailable", "Kapso does not answer. Try again in a moment", {
      cause: error,
      retryAfterSeconds: Math.ceil((error.retryAfterMs ?? 5000) / 1000),
    });
  }
  return new AppError(422, "kapso_refused", `Kapso refused this: ${error.message}`, {
    cause: error,
  });
}

function toIso(text: string | null | undefined): string | null {
  const time = text ? new Date(text) : undefined;
  return time === undefined || Number.isNaN(time.getTime()) ? null : time.toISOString();
}
