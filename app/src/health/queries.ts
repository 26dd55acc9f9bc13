/**
 * The query of the installation's health.
 *
 * @module
 */

import { queryOptions } from "@tanstack/react-query";
import { type ApiClient, unwrap } from "../api/client.ts";
import { type Check, checkClock } from "./checks.ts";

/** What the checks found, and when. */
export interface Health {
  /** In the order of the database. Empty for those who own no workspace. */
  checks: readonly Check[];
  /** The clock of the server; null without checks. */
  checkedAt: string | null;
}

/** All checks of the installation. They belong to the user and not to a workspace. */
export function healthQuery(api: ApiClient) {
  return queryOptions({
    queryKey: ["installation-health"],
    queryFn: async ({ signal }): Promise<Health> => {
      const askedAt = Date.now();
      const answer = await api.supabase.from("installation_health")
        .select("name, status, found, what_to_do, checked_at").abortSignal(signal);
      const checks = unwrap(answer);
      const checkedAt = checks[0]?.checked_at;
      if (checkedAt === undefined) return { checks, checkedAt: null };
      const clock = checkClock(checkedAt, askedAt, Date.now());
      return { checks: clock === undefined ? checks : [clock, ...checks], checkedAt };
    },
  });
}
