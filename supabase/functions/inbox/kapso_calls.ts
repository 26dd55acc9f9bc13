/**
 * Calls to Kapso on behalf of a member: questions whose failure the member gets as an answer, and changes
 * that are mirrored with best effort.
 *
 * @module
 */
import type { KapsoResult } from "../_shared/contracts/inbox/conversations.ts";
import { AppError } from "../_shared/http/errors.ts";
import { errorNames, type Log } from "../_shared/http/log.ts";
import { type KapsoClient, KapsoError } from "../_shared/kapso/api/client.ts";

/** A client for a connection, with its key or the given one. @throws {AppError} kapso_api_key_missing (422). */
export type KapsoFor = (connectionId: string, givenKey?: string) => Promise<KapsoClient>;

/**
 * Asks Kapso something a member waits for.
 *
 * @throws {AppError} kapso_key_rejected (422), kapso_unavailable (503) or kapso_refused (422).
 */
export async function askKapso<T>(question: () => Promise<T>): Promise<T> {
  try {
    return await question();
  } catch (error) {
    throw error instanceof KapsoError ? kapsoFailure(error) : error;
  }
}

/** The answer to a member where Kapso failed or refused. */
export function kapsoFailure(error: KapsoError | Pick<KapsoError, "status">): AppError {
  if (error.status === 401 || error.status === 403) {
    return new AppError(
      422,
      "kapso_key_rejected",
      "Kapso rejected the API key of this connection. An admin has to enter a new one",
      { cause: error },
    );
  }
  const isRefusal = error instanceof KapsoError && !error.isRetryable && !error.isAmbiguous &&
    error.status !== 0 && error.status < 500;
  if (!isRefusal) {
    const retryAfterMs = error instanceof KapsoError ? error.retryAfterMs : undefined;
    return new AppError(503, "kapso_unavailable", "Couldn't reach Kapso. Try again in a moment", {
      cause: error,
      retryAfterSeconds: Math.ceil((retryAfterMs ?? 5000) / 1000),
    });
  }
  return new AppError(422, "kapso_refused", `Kapso refused this: ${error.message}`, {
    cause: error,
  });
}

/**
 * Mirrors a change to Kapso. A failure does not undo what the database has already stored.
 *
 * @param connectionId The connection of the conversation; without one there is nothing to mirror to.
 * @param change Makes the change; undefined where Kapso has nothing to change.
 */
export async function mirrorToKapso(
  deps: { kapsoFor: KapsoFor; log: Log },
  connectionId: string | null | undefined,
  change: (kapso: KapsoClient) => Promise<unknown> | undefined,
): Promise<KapsoResult> {
  if (!connectionId) return "not_connected";
  try {
    const mirrored = change(await deps.kapsoFor(connectionId));
    if (mirrored === undefined) return "not_connected";
    await mirrored;
    return "done";
  } catch (error) {
    if (error instanceof AppError && error.code === "kapso_api_key_missing") return "not_connected";
    // Also where the key cannot be decrypted: an error would deny the change that is stored.
    deps.log("error", "kapso_not_told", {
      code: error instanceof KapsoError ? error.code : errorNames(error),
      status: error instanceof KapsoError ? error.status : undefined,
    });
    return "failed";
  }
}
