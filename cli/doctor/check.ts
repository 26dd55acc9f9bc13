/**
 * What a check of the doctor says, from the database or from outside.
 *
 * @module
 */

import type { HealthCheck } from "../../supabase/functions/_shared/contracts/inbox/views.ts";

/** A check, as a row of `public.installation_health` has it. */
export type Check = Omit<HealthCheck, "checked_at">;
