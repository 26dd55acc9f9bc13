/**
 * Proof that a phone number belongs to the workspace that connects it: with the Kapso key of the connection, Kapso finds
 * the number. Only then the connection gets the number, and with it its webhook events.
 *
 * @module
 */
import type { KapsoProblem } from "../_shared/contracts/inbox/connections.ts";
import { refused } from "../_shared/database/errors.ts";
import { AppError } from "../_shared/http/errors.ts";
import { errorNames, type Log } from "../_shared/http/log.ts";
import { KapsoError } from "../_shared/kapso/api/client.ts";
import { kapsoFailure, type KapsoFor } from "./kapso_calls.ts";
import type { NumberStore } from "./store.ts";

/** What the proof of a number needs of the outside world. */
export interface NumberProofDeps {
  kapsoFor: KapsoFor;
  numbers: NumberStore;
  log: Log;
}

/**
 * Proves a number and gives it to the connection that requests it. A connection that holds the number without being
 * able to prove it loses it.
 *
 * @param connectionId Primary key of the connection. The caller has checked that the member may manage it.
 * @param givenKey A key to prove it with, instead of the connection's.
 * @returns Why the connection does not get it; null where it has it.
 */
export async function claimNumber(
  deps: NumberProofDeps,
  connectionId: string,
  phoneNumberId: string,
  givenKey?: string,
): Promise<KapsoProblem | null> {
  try {
    await findNumber(deps, connectionId, phoneNumberId, givenKey);
    const first = await deps.numbers.claim(connectionId, phoneNumberId);
    if (first.outcome !== "taken") return null;
    if (first.holderId !== null && !await hasLapsed(deps, first.holderId, phoneNumberId)) {
      return "number_taken";
    }
    const second = await deps.numbers.claim(connectionId, phoneNumberId, first.holderId);
    return second.outcome === "taken" ? "number_taken" : null;
  } catch (error) {
    return problemOf(deps, error);
  }
}

/**
 * Checks a key for a connection that has no number.
 *
 * @returns Why it cannot be used; null where it can.
 */
export async function checkKey(
  deps: NumberProofDeps,
  connectionId: string,
  givenKey: string,
): Promise<KapsoProblem | null> {
  try {
    await (await deps.kapsoFor(connectionId, givenKey)).listPhoneNumbers();
    return null;
  } catch (error) {
    return problemOf(deps, error);
  }
}

/** The error of a request that cannot be done because of a problem. */
export function problemError(problem: KapsoProblem): AppError {
  switch (problem) {
    case "no_key":
      return new AppError(
        422,
        "kapso_api_key_missing",
        "This connection has no Kapso API key: enter it in the settings of the connection",
      );
    case "key_rejected":
      return kapsoFailure({ status: 401 });
    case "number_not_found":
      return new AppError(
        422,
        "kapso_number_not_found",
        "Kapso has no such phone number in the project of this API key. Check the phone_number_id and the key",
      );
    case "number_taken":
      return refused("phone_number_taken");
    case "unavailable":
      return kapsoFailure({ status: 503 });
  }
}

/** What of a failed call to Kapso the member learns. Everything else is logged, and counts as passing. */
export function problemOf({ log }: Pick<NumberProofDeps, "log">, error: unknown): KapsoProblem {
  if (error instanceof AppError && error.code === "kapso_api_key_missing") return "no_key";
  if (error instanceof KapsoError) {
    if (error.status === 401 || error.status === 403) return "key_rejected";
    if (error.status === 404) return "number_not_found";
  }
  log("error", "kapso_not_checked", {
    code: error instanceof KapsoError ? error.code : errorNames(error),
    status: error instanceof KapsoError ? error.status : undefined,
  });
  return "unavailable";
}

/** Resolves if Kapso finds the number with the key of the connection, and throws otherwise. */
async function findNumber(
  { kapsoFor }: NumberProofDeps,
  connectionId: string,
  phoneNumberId: string,
  givenKey?: string,
): Promise<void> {
  const kapso = await kapsoFor(connectionId, givenKey);
  const found = await kapso.getPhoneNumber(phoneNumberId);
  // Kapso could know a number by other ids too; events come with this one.
  if (found.phone_number_id === phoneNumberId) return;
  throw new KapsoError({
    status: 404,
    code: "not_found",
    message: "Kapso found another number",
    isRetryable: false,
  });
}

/** Whether the holder of a number can certainly not prove it any more. */
async function hasLapsed(
  deps: NumberProofDeps,
  holderId: string,
  phoneNumberId: string,
): Promise<boolean> {
  try {
    await findNumber(deps, holderId, phoneNumberId);
    return false;
  } catch (error) {
    return problemOf(deps, error) !== "unavailable";
  }
}
