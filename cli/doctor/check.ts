/**
 * What a check of the doctor says, from the database or from outside.
 *
 * @module
 */

/** From best to worst, but for `unknown`: it could not be checked. */
export type CheckStatus = "ok" | "warning" | "problem" | "unknown";

/** A check, as a row of `public.installation_health` has it. */
export interface Check {
  name: string;
  status: CheckStatus;
  found: string;
  /** Null: nothing. */
  what_to_do: string | null;
}
