/**
 * Runs and notes in this project's database.
 *
 * @module
 */
import { userCallError } from "../_shared/auth/caller.ts";
import type { DatabaseClient } from "../_shared/database/clients.ts";
import type { Database, Json } from "../_shared/database/database.types.ts";
import { AppError, databaseError } from "../_shared/http/errors.ts";
import type { Slice, SliceNotes } from "./notes.ts";
import type { PersonDay } from "./schema.ts";

/** A row of `summary_runs`. */
export type RunRow = Database["public"]["Tables"]["summary_runs"]["Row"];

/** Which runs are worked on; undefined: all that are due. */
export interface Scope {
  workspaceId: string | undefined;
  localDate: string | undefined;
}

/** What the function does with the service key. */
export interface SummaryStore {
  /** The next people; undefined where there is nobody left, or others are at it. */
  claim(scope: Scope): Promise<Slice | undefined>;
  /** @returns false where somebody else has the lease by now: nothing was written. */
  write(slice: Slice, notes: SliceNotes): Promise<boolean>;
  run(workspaceId: string, localDate: string): Promise<RunRow | undefined>;
}

/** People of a slice: three rounds of four must be done long before the lease ends. */
const MAX_PEOPLE = 10;
const LEASE_SECONDS = 180;

/** {@linkcode SummaryStore} on a service client. Every call carries its workspace, or is for all. */
export function summaryStore(client: DatabaseClient): SummaryStore {
  return {
    async claim({ workspaceId, localDate }) {
      const data = await rpc(client, "claim_summary_slice", {
        max_people: MAX_PEOPLE,
        lease_seconds: LEASE_SECONDS,
        ...(workspaceId === undefined ? {} : { only_workspace: workspaceId }),
        ...(localDate === undefined ? {} : { only_date: localDate }),
      });
      const [row] = data;
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
        // Ours, from the same migration: nothing that could fail for one customer alone.
        days: row.days as unknown as PersonDay[],
      };
    },
    async write(slice, { notes, aiNotes, tokens, messages }) {
      const data = await rpc(client, "write_daily_summaries", {
        workspace_id: slice.workspaceId,
        local_date: slice.localDate,
        lease_token: slice.leaseToken,
        person_ids: slice.personIds,
        kept_ids: slice.keptIds,
        notes: notes as unknown as Json,
        ai_notes: aiNotes,
        tokens,
        messages,
      });
      return data;
    },
    async run(workspaceId, localDate) {
      const { data, error, status } = await client.from("summary_runs").select()
        .eq("workspace_id", workspaceId).eq("local_date", localDate);
      if (error) throw databaseError(error, status);
      return data[0];
    },
  };
}

/** Begin a day of a workspace from the start, as a member. */
export async function startRun(
  client: DatabaseClient,
  workspaceId: string,
  date: string | undefined,
): Promise<RunRow> {
  const data = await rpc(client, "start_summary_run", {
    workspace_id: workspaceId,
    ...(date === undefined ? {} : { local_date: date }),
  });
  if (error?.code === "22023") {
    throw new AppError(
      400,
      "invalid_request",
      "date must be within the last 366 days, and not in the future",
    );
  }
  if (error) throw userCallError(error, status);
  return data[0]!;
}

/** The run of a day, as a member sees it. */
export async function findRun(
  client: DatabaseClient,
  workspaceId: string,
  date: string | undefined,
): Promise<RunRow | undefined> {
  const { data, error, status } = await client.rpc("summary_run", {
    workspace_id: workspaceId,
    ...(date === undefined ? {} : { local_date: date }),
  });
  return data[0];
}
