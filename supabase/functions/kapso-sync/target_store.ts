/**
 * What callers of kapso-sync may work on, in this project's database.
 *
 * @module
 */
import { type Caller, userCallError } from "../_shared/auth/caller.ts";
import type { DatabaseClient } from "../_shared/database/clients.ts";
import { databaseError } from "../_shared/http/errors.ts";
import type { HandlerDeps } from "./handler.ts";

/** More than a call of the schedule has time for. */
const MAX_DUE = 100;
const UUID = /^[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}$/i;

/** The parts of {@linkcode HandlerDeps} that look up connections and runs, on a service client. */
export function supabaseTargets(
  service: DatabaseClient,
): Pick<HandlerDeps, "findTargets" | "listRuns" | "stopRun" | "dueRuns" | "postpone"> {
  // A user's client sees what row level security lets it see.
  const of = (caller: Caller) =>
    caller.kind === "service"
      ? { client: service, fail: databaseError }
      : { client: caller.client, fail: userCallError };
  return {
    async findTargets(caller, request) {
      const { client, fail } = of(caller);
      const data = await rpc(client, "connections_to_sync", {
        ...(request.workspace === undefined ? {} : { workspace: request.workspace }),
        ...(request.connection_id === undefined ? {} : { connection: request.connection_id }),
      });
      if (error) throw fail(error, status);
      return data.map((row) => ({
        id: row.id,
        connectionId: row.connection_id,
        workspaceSlug: row.workspace_slug,
        phoneNumberId: row.phone_number_id,
        isActive: row.is_active,
        requestedBy: row.requested_by as string | null,
      }));
    },
    async listRuns(caller, { workspace, connection, max }) {
      const { client, fail } = of(caller);
      let query = client.from("sync_runs").select("*").order("started_at", { ascending: false })
        .limit(max);
      if (workspace !== undefined) query = query.eq("workspace_id", workspace);
      if (connection !== undefined) query = query.eq("connection_id", connection);
      const { data, error, status } = await query;
      if (error) throw fail(error, status);
      return data;
    },
    async stopRun(caller, runId) {
      if (!UUID.test(runId)) return undefined;
      const { client, fail } = of(caller);
      const data = await rpc(client, "stop_sync_run", { run_id: runId });
      if (error) throw fail(error, status);
      return data[0];
    },
    async dueRuns() {
      const { data, error, status } = await service.rpc("due_sync_runs", { max_runs: MAX_DUE });
      return data.map((row) => ({
        connectionId: row.connection_id,
        phoneNumberId: row.phone_number_id,
        mode: row.mode as "history" | "repair",
      }));
    },
    async postpone(connectionId, seconds) {
      const { error, status } = await service.rpc("postpone_sync", {
        connection_id: connectionId,
        seconds,
      });
    },
  };
}
