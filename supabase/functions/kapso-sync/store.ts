/**
 * Runs and phone numbers in this project's database.
 *
 * @module
 */
import * as z from "zod";
import type { Caller } from "../_shared/auth/caller.ts";
import type { SyncMode, SyncRequest, SyncRun } from "../_shared/contracts/kapso_sync.ts";
import type { DatabaseClient } from "../_shared/database/clients.ts";
import {
  type Arguments,
  type FunctionName,
  type Returned,
  rows,
  rpc,
} from "../_shared/database/rpc.ts";
import { AppError } from "../_shared/http/errors.ts";
import { LeaseLost, type RunStore } from "./run.ts";

/** A Kapso phone number that the caller may sync. */
export interface KapsoNumber {
  /** Primary key of the connection. */
  id: string;
  connectionId: string;
  workspaceSlug: string;
  phoneNumberId: string;
  isActive: boolean;
  /** The signed-in user; null for the service key. */
  requestedBy: string | null;
}

/** A run that the schedule has to begin or resume. */
export interface DueRun {
  connectionId: string;
  phoneNumberId: string;
  mode: SyncMode;
}

/** What callers and the schedule may work on. Every call throws as `databaseError`. */
export interface SyncStore {
  findNumbers(
    caller: Caller,
    request: Pick<SyncRequest, "workspace" | "connection_id">,
  ): Promise<KapsoNumber[]>;
  /** The newest runs that the caller may see. */
  listRuns(
    caller: Caller,
    filter: { workspace: string | undefined; connection: string | undefined; max: number },
  ): Promise<SyncRun[]>;
  /** Asks a run to stop; undefined where the caller has no such open run. */
  stopRun(caller: Caller, runId: string): Promise<SyncRun | undefined>;
  dueRuns(): Promise<DueRun[]>;
  /** How many of these are the ids of workspaces. */
  countWorkspaces(ids: string[]): Promise<number>;
  /** Keeps the schedule from a connection, in seconds. */
  postpone(connectionId: string, seconds: number): Promise<void>;
}

/** More due runs than a scheduled call has time for. */
const MAX_DUE = 100;

/** {@linkcode SyncStore} on a service client. */
export function createSyncStore(service: DatabaseClient): SyncStore {
  // A user's client sees what row level security lets it see.
  const clientOf = (caller: Caller) => caller.kind === "service" ? service : caller.client;
  return {
    async findNumbers(caller, request) {
      const found = await rpc(clientOf(caller), "connections_to_sync", {
        workspace: request.workspace,
        connection: request.connection_id,
      });
      return found.map((row) => ({
        id: row.id,
        connectionId: row.connection_id,
        workspaceSlug: row.workspace_slug,
        phoneNumberId: row.phone_number_id,
        isActive: row.is_active,
        requestedBy: row.requested_by,
      }));
    },
    async listRuns(caller, { workspace, connection, max }) {
      const client = clientOf(caller);
      let query = client.from("sync_runs").select("*").order("started_at", { ascending: false })
        .limit(max);
      if (workspace !== undefined) query = query.eq("workspace_id", workspace);
      if (connection !== undefined) query = query.eq("connection_id", connection);
      return await rows(client, query);
    },
    async stopRun(caller, runId) {
      // Text that is no id is the id of no run.
      if (!z.guid().safeParse(runId).success) return undefined;
      const [run] = await rpc(clientOf(caller), "stop_sync_run", { run_id: runId });
      return run;
    },
    async dueRuns() {
      const due = await rpc(service, "due_sync_runs", { max_runs: MAX_DUE });
      return due.map((row) => ({
        connectionId: row.connection_id,
        phoneNumberId: row.phone_number_id,
        mode: row.mode,
      }));
    },
    async countWorkspaces(ids) {
      if (ids.length === 0) return 0;
      const found = await rows(service, service.from("workspaces").select("id").in("id", ids));
      return found.length;
    },
    async postpone(connectionId, seconds) {
      await rpc(service, "postpone_sync", { connection_id: connectionId, seconds });
    },
  };
}

/** {@linkcode RunStore} on a service client. */
export function createRunStore(client: DatabaseClient): RunStore {
  /** Calls a function that holds the run. */
  async function hold<Name extends FunctionName>(
    name: Name,
    args: Arguments<Name>,
  ): Promise<Returned<Name>> {
    try {
      return await rpc(client, name, args);
    } catch (error) {
      if (error instanceof AppError && error.code === "sync_run_lost") throw new LeaseLost();
      throw error;
    }
  }
  const held = (run: SyncRun) => ({ run_id: run.id, lease: run.lease! });

  return {
    async begin(options) {
      const [begun] = await rpc(client, "begin_sync_run", {
        connection_id: options.connectionId,
        mode: options.mode,
        messages_per_conversation: options.messagesPerConversation,
        since: options.since,
        is_dry_run: options.isDryRun,
        requested_by: options.requestedBy,
        run_id: options.runId,
      });
      const { run, is_mine: isMine, is_resumed: isResumed } = begun!;
      return { run, isMine, isResumed };
    },
    async beginDue(connectionId, mode) {
      const [begun] = await rpc(client, "begin_due_sync_run", {
        connection_id: connectionId,
        mode,
      });
      return begun && { run: begun.run, isMine: begun.is_mine, isResumed: begun.is_resumed };
    },
    async addConversations(run, { conversations, cursor, isLast }) {
      const [stored] = await hold("add_sync_conversations", {
        ...held(run),
        conversations,
        cursor: cursor ?? null,
        is_last: isLast,
      });
      return stored!;
    },
    async nextConversations(run, max) {
      const waiting = await rpc(client, "next_sync_conversations", {
        run_id: run.id,
        max_conversations: max,
      });
      return waiting.map((row) => ({
        sessionId: row.session_id,
        position: row.position,
        conversation: row.conversation,
        cursor: row.cursor ?? undefined,
        messagesRead: row.messages_read,
        messagesAdded: row.messages_added,
      }));
    },
    async storePages(run, pages) {
      const [stored] = await hold("store_sync_pages", {
        ...held(run),
        pages: pages.map((page) => ({
          elements: page.elements,
          messages_read: page.messagesRead,
          session_id: page.sessionId ?? null,
          cursor: page.cursor ?? null,
          is_last: page.isLast,
        })),
      });
      const { run: after, results } = stored!;
      return {
        run: after,
        results: results.map((result) => ({
          messagesAdded: result.messages_added,
          errors: result.errors,
        })),
      };
    },
    async failConversation(run, sessionId, error) {
      const [stored] = await hold("fail_sync_conversation", {
        ...held(run),
        session_id: sessionId,
        error,
      });
      return stored!;
    },
    async advance(run, phase) {
      const [stored] = await hold("advance_sync_run", { ...held(run), phase });
      return stored!;
    },
    async dueStatusChecks(run, max) {
      const due = await rpc(client, "due_status_checks", {
        connection_id: run.connection_id,
        max_messages: max,
      });
      return due.map((row) => ({ messageId: row.message_id, dueAt: row.due_at }));
    },
    async noteStatusChecks(run, checked, until) {
      const [stored] = await hold("note_status_checks", {
        ...held(run),
        statuses_checked: checked,
        checked_until: until,
      });
      return stored!;
    },
    async dueSessionChecks(run, max) {
      const due = await rpc(client, "due_session_checks", {
        connection_id: run.connection_id,
        max_sessions: max,
      });
      return due.map((row) => ({
        conversationId: row.conversation_id,
        sessionId: row.session_id,
        dueAt: row.due_at,
      }));
    },
    async storeSessionChecks(run, reports, checked, until) {
      const [stored] = await hold("store_session_checks", {
        ...held(run),
        reports: reports.map(({ conversationId, session }) => ({
          conversation_id: conversationId,
          session,
        })),
        sessions_checked: checked,
        checked_until: until,
      });
      return stored!;
    },
    async release(run, { state, error, retrySeconds }) {
      const [stored] = await hold("release_sync_run", {
        ...held(run),
        state,
        error,
        retry_seconds: retrySeconds,
      });
      return stored!;
    },
  };
}
