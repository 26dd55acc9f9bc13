/**
 * Runs in this project's database.
 *
 * @module
 */
import type { DatabaseClient } from "../_shared/clients.ts";
import type { Database, Json } from "../_shared/database.types.ts";
import { databaseError, type DatabaseFailure } from "../_shared/errors.ts";
import type { NormalizedElement } from "../_shared/kapso/elements.ts";
import type { Row } from "./elements.ts";

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

/** Another slice holds the run: whatever the caller was about to store was not stored. */
export class LeaseLost extends Error {
  override name = "LeaseLost";
}

/** Where runs are kept. Every write keeps the lease, and fails with {@linkcode LeaseLost} without it. */
export interface RunStore {
  begin(options: RunOptions): Promise<{ run: Run; isMine: boolean; isResumed: boolean }>;
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
        }),
      );
      return {
        run: begun!.run as unknown as Run,
        isMine: begun!.is_mine,
        isResumed: begun!.is_resumed,
      };
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

interface RpcAnswer<Data> {
  data: Data | null;
  error: DatabaseFailure | null;
  status: number;
}

/** @throws {LeaseLost} or as {@linkcode databaseError}. */
function unwrap<Data>({ data, error, status }: RpcAnswer<Data>): Data {
  if (error?.code === "55006") throw new LeaseLost(error.message);
  if (error) throw databaseError(error, status);
  return data!;
}
