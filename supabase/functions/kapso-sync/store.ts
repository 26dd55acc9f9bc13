/**
 * Runs in this project's database.
 *
 * @module
 */
import type { DatabaseClient } from "../_shared/database/clients.ts";
import type { Database, Json } from "../_shared/database/database.types.ts";
import { AppError, databaseError, type DatabaseFailure } from "../_shared/http/errors.ts";
import type { KapsoSession, NormalizedElement } from "../_shared/kapso/webhook/elements.ts";
import type { Row } from "./history_page.ts";

/** A row of `sync_runs`. */
export type Run = Database["public"]["Tables"]["sync_runs"]["Row"];

/** What a run is to do. */
export interface RunOptions {
  connectionId: string;
  mode: "history" | "repair";
  /** Null: all. */
  messagesPerConversation: number | null;
  since: string | null;
  isDryRun: boolean;
  requestedBy: string | null;
  /** The run that the caller goes on with: it is not taken up where somebody stopped it meanwhile. */
  runId?: string | undefined;
}

/** A conversation whose messages are to be read. */
export interface WaitingConversation {
  sessionId: string;
  position: number;
  conversation: Row;
  cursor: string | undefined;
  messagesRead: number;
  messagesAdded: number;
}

/** A page of messages for {@linkcode RunStore.storePage}. */
export interface StorablePage {
  elements: NormalizedElement[];
  messagesRead: number;
  /** Undefined in the phase `recent`. */
  sessionId?: string;
  cursor: string | undefined;
  isLast: boolean;
}

/** A run and who has it. */
export interface BegunRun {
  run: Run;
  /** False: another slice is at work on it, or it was stopped. */
  isMine: boolean;
  isResumed: boolean;
}

/** What Kapso says of the newest session of a thread. */
export interface SessionReport {
  conversationId: string;
  session: KapsoSession;
}

/** Another slice holds the run: whatever the caller was about to store was not stored. */
export class LeaseLost extends Error {
  override name = "LeaseLost";
}

/**
 * Where runs are kept. Every write keeps the lease, and fails with {@linkcode LeaseLost} without it; what
 * Kapso listed fails with {@linkcode AppError} connection_inactive once the connection is switched off.
 */
export interface RunStore {
  begin(options: RunOptions): Promise<BegunRun>;
  /** The same for the schedule; undefined where the run is not due any more. */
  beginDue(connectionId: string, mode: "history" | "repair"): Promise<BegunRun | undefined>;
  addConversations(
    run: Run,
    page: { conversations: Row[]; cursor: string | undefined; isLast: boolean },
  ): Promise<Run>;
  nextConversations(run: Run, max: number): Promise<WaitingConversation[]>;
  storePage(
    run: Run,
    page: StorablePage,
  ): Promise<{ run: Run; messagesAdded: number; errors: string[] }>;
  failConversation(run: Run, sessionId: string, error: string): Promise<Run>;
  advance(run: Run, phase: string): Promise<Run>;
  dueStatusChecks(run: Run, max: number): Promise<{ messageId: string; dueAt: string }[]>;
  noteStatusChecks(run: Run, checked: number, until: string): Promise<Run>;
  dueSessionChecks(
    run: Run,
    max: number,
  ): Promise<{ conversationId: string; sessionId: string; dueAt: string }[]>;
  storeSessionChecks(
    run: Run,
    reports: SessionReport[],
    checked: number,
    until: string,
  ): Promise<Run>;
  release(
    run: Run,
    end: { state: string; error?: string; retrySeconds?: number },
  ): Promise<Run>;
}

/** {@linkcode RunStore} on a service client. */
export function supabaseRuns(client: DatabaseClient): RunStore {
  const held = (run: Run) => ({ run_id: run.id, lease: run.lease! });
  return {
    async begin(options) {
      const [begun] = unwrap(
        await client.rpc("begin_sync_run", {
          connection_id: options.connectionId,
          mode: options.mode,
          messages_per_conversation: options.messagesPerConversation as number,
          since: options.since as string,
          is_dry_run: options.isDryRun,
          requested_by: options.requestedBy as string,
          ...(options.runId === undefined ? {} : { run_id: options.runId }),
        }),
      );
      return readBegun(begun!);
    },
    async beginDue(connectionId, mode) {
      const [begun] = unwrap(
        await client.rpc("begin_due_sync_run", { connection_id: connectionId, mode }),
      );
      return begun && readBegun(begun);
    },
    async addConversations(run, { conversations, cursor, isLast }) {
      return unwrap(
        await client.rpc("add_sync_conversations", {
          ...held(run),
          conversations: conversations as Json,
          cursor: (cursor ?? null) as string,
          is_last: isLast,
        }),
      )[0]!;
    },
    async nextConversations(run, max) {
      return unwrap(
        await client.rpc("next_sync_conversations", { run_id: run.id, max_conversations: max }),
      ).map((row) => ({
        sessionId: row.session_id,
        position: row.position,
        conversation: row.conversation as Row,
        // The generated type does not know that it can be null.
        cursor: (row.cursor as string | null) ?? undefined,
        messagesRead: row.messages_read,
        messagesAdded: row.messages_added,
      }));
    },
    async storePage(run, page) {
      const [stored] = unwrap(
        await client.rpc("store_sync_page", {
          ...held(run),
          elements: page.elements as unknown as Json,
          messages_read: page.messagesRead,
          session_id: (page.sessionId ?? null) as string,
          cursor: (page.cursor ?? null) as string,
          is_last: page.isLast,
        }),
      );
      return {
        run: stored!.run as unknown as Run,
        messagesAdded: stored!.messages_added,
        errors: stored!.errors,
      };
    },
    async failConversation(run, sessionId, error) {
      return unwrap(
        await client.rpc("fail_sync_conversation", { ...held(run), session_id: sessionId, error }),
      )[0]!;
    },
    async advance(run, phase) {
      return unwrap(await client.rpc("advance_sync_run", { ...held(run), phase }))[0]!;
    },
    async dueStatusChecks(run, max) {
      return unwrap(
        await client.rpc("due_status_checks", {
          connection_id: run.connection_id,
          max_messages: max,
        }),
      ).map((row) => ({ messageId: row.message_id, dueAt: row.due_at }));
    },
    async noteStatusChecks(run, checked, until) {
      return unwrap(
        await client.rpc("note_status_checks", {
          ...held(run),
          statuses_checked: checked,
          checked_until: until,
        }),
      )[0]!;
    },
    async dueSessionChecks(run, max) {
      return unwrap(
        await client.rpc("due_session_checks", {
          connection_id: run.connection_id,
          max_sessions: max,
        }),
      ).map((row) => ({
        conversationId: row.conversation_id,
        sessionId: row.session_id,
        dueAt: row.due_at,
      }));
    },
    async storeSessionChecks(run, reports, checked, until) {
      return unwrap(
        await client.rpc("store_session_checks", {
          ...held(run),
          reports: reports.map(({ conversationId, session }) => ({
            conversation_id: conversationId,
            session,
          })) as unknown as Json,
          sessions_checked: checked,
          checked_until: until,
        }),
      )[0]!;
    },
    async release(run, { state, error, retrySeconds }) {
      return unwrap(
        await client.rpc("release_sync_run", {
          ...held(run),
          state,
          ...(error === undefined ? {} : { error }),
          ...(retrySeconds === undefined ? {} : { retry_seconds: retrySeconds }),
        }),
      )[0]!;
    },
  };
}

function readBegun(row: { run: Json; is_mine: boolean; is_resumed: boolean }): BegunRun {
  return { run: row.run as unknown as Run, isMine: row.is_mine, isResumed: row.is_resumed };
}

interface RpcAnswer<Data> {
  data: Data | null;
  error: DatabaseFailure | null;
  status: number;
}

/** @throws {LeaseLost}, {AppError} connection_inactive (403), or as {@linkcode databaseError}. */
function unwrap<Data>({ data, error, status }: RpcAnswer<Data>): Data {
  if (error?.code === "55006") throw new LeaseLost(error.message);
  if (error?.code === "55000") {
    throw new AppError(403, "connection_inactive", "Connection is inactive");
  }
  if (error) throw databaseError(error, status);
  return data!;
}
