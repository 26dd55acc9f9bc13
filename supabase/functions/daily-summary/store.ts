/**
 * Runs and notes in this project's database.
 *
 * @module
 */
import type { DatabaseClient } from "../_shared/database/clients.ts";
import type { Database } from "../_shared/database/database.types.ts";
import { rows, rpc } from "../_shared/database/rpc.ts";
import type { Slice, SliceNotes } from "./notes.ts";

/** A row of `summary_runs`. */
export type RunRow = Database["public"]["Tables"]["summary_runs"]["Row"];

/** Which runs are worked on; undefined: all that are due. */
export interface Scope {
  workspaceId: string | undefined;
  localDate: string | undefined;
}

/** What the function does with the service key. Every call throws as `databaseError`. */
export interface SummaryStore {
  /** Leases the next people; undefined where none are left, or other calls hold them. */
  claim(scope: Scope): Promise<Slice | undefined>;
  /** Stores notes. @returns false where the lease was lost: then nothing was written. */
  write(slice: Slice, notes: SliceNotes): Promise<boolean>;
  run(workspaceId: string, localDate: string): Promise<RunRow | undefined>;
}

/** People of a slice: three rounds of four must be done long before the lease ends. */
const MAX_PEOPLE = 10;
const LEASE_SECONDS = 180;

/** {@linkcode SummaryStore} on a service client. Every call carries its workspace, or is for all. */
export function createSummaryStore(client: DatabaseClient): SummaryStore {
  return {
    async claim({ workspaceId, localDate }) {
      const [row] = await rpc(client, "claim_summary_slice", {
        max_people: MAX_PEOPLE,
        lease_seconds: LEASE_SECONDS,
        only_workspace: workspaceId,
        only_date: localDate,
      });
      return row && {
        workspaceId: row.workspace_id,
        localDate: row.local_date,
        leaseToken: row.lease_token,
        coveredUntil: new Date(row.covered_until).toISOString(),
        language: row.language,
        allowExternalAi: row.allow_external_ai,
        tokensUsed: row.tokens_used,
        messagesSent: row.messages_sent,
        personIds: row.person_ids,
        keptIds: row.kept_ids,
        days: row.days,
      };
    },
    async write(slice, { notes, aiNotes, tokens, messages }) {
      return await rpc(client, "write_daily_summaries", {
        workspace_id: slice.workspaceId,
        local_date: slice.localDate,
        lease_token: slice.leaseToken,
        person_ids: slice.personIds,
        kept_ids: slice.keptIds,
        notes,
        ai_notes: aiNotes,
        tokens,
        messages,
      });
    },
    async run(workspaceId, localDate) {
      const [run] = await rows(
        client,
        client.from("summary_runs").select()
          .eq("workspace_id", workspaceId).eq("local_date", localDate),
      );
      return run;
    },
  };
}

/**
 * Starts a day of a workspace from its beginning, as a member.
 *
 * @param date Today in the workspace's time zone by default.
 * @throws {AppError} date_out_of_range (400), or as `databaseError`.
 */
export async function startRun(
  client: DatabaseClient,
  workspaceId: string,
  date: string | undefined,
): Promise<RunRow> {
  const [run] = await rpc(client, "start_summary_run", {
    workspace_id: workspaceId,
    local_date: date,
  });
  return run!;
}

/**
 * The run of a day, as a member sees it.
 *
 * @param date Today in the workspace's time zone by default.
 */
export async function findRun(
  client: DatabaseClient,
  workspaceId: string,
  date: string | undefined,
): Promise<RunRow | undefined> {
  const args = { workspace_id: workspaceId, local_date: date };
  const [run] = await rpc(client, "summary_run", args, { get: true });
  return run;
}
