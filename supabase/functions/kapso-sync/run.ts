/**
 * A run and its store: what slices read and write, under a lease.
 *
 * @module
 */
import type { SyncMode, SyncPhase, SyncRun, SyncState } from "../_shared/contracts/kapso_sync.ts";
import type { KapsoSession, NormalizedElement } from "../_shared/kapso/webhook/elements.ts";
import type { Row } from "./history_page.ts";

/** What a run is to do. */
export interface RunOptions {
  connectionId: string;
  mode: SyncMode;
  /** Null: all. */
  messagesPerConversation: number | null;
  since: string | null;
  isDryRun: boolean;
  /** The user who asked for it; null for a program. */
  requestedBy: string | null;
  /** The run that the caller resumes: it is not resumed if it was stopped in the meantime. */
  runId: string | undefined;
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

/** A page of messages for {@linkcode RunStore.storePages}. */
export interface StorablePage {
  elements: NormalizedElement[];
  messagesRead: number;
  /** Undefined in the phase `recent`. */
  sessionId?: string;
  cursor: string | undefined;
  isLast: boolean;
}

/** What storing made of a page. */
export interface StoredPage {
  messagesAdded: number;
  /** SQLSTATEs of what could not be stored. */
  errors: string[];
}

/** A run and whether the caller holds it. */
export interface BegunRun {
  run: SyncRun;
  /** False: another slice works on it, or it was stopped. */
  isMine: boolean;
  isResumed: boolean;
}

/** What Kapso says about the newest session of a conversation. */
export interface SessionReport {
  conversationId: string;
  session: KapsoSession;
}

/** Another slice holds the run: nothing of the failed call was stored. */
export class LeaseLost extends Error {
  override name = "LeaseLost";
}

/**
 * Stores runs. Every write renews the lease and throws {@linkcode LeaseLost} without it. Writes of what Kapso
 * listed throw `AppError` connection_inactive (403) once the connection is switched off. Every call throws as
 * `databaseError`.
 */
export interface RunStore {
  /** Begins or resumes the run of a connection. */
  begin(options: RunOptions): Promise<BegunRun>;
  /** Begins or resumes a run for the schedule; undefined where it is no longer due. */
  beginDue(connectionId: string, mode: SyncMode): Promise<BegunRun | undefined>;
  addConversations(
    run: SyncRun,
    page: { conversations: Row[]; cursor: string | undefined; isLast: boolean },
  ): Promise<SyncRun>;
  nextConversations(run: SyncRun, max: number): Promise<WaitingConversation[]>;
  /** Stores pages of different conversations at once: all of them or, with an error, none. Results are in their order. */
  storePages(
    run: SyncRun,
    pages: StorablePage[],
  ): Promise<{ run: SyncRun; results: StoredPage[] }>;
  failConversation(run: SyncRun, sessionId: string, error: string): Promise<SyncRun>;
  advance(run: SyncRun, phase: SyncPhase): Promise<SyncRun>;
  /** Messages whose status is due for a look-up, the longest due first. */
  dueStatusChecks(run: SyncRun, max: number): Promise<{ messageId: string; dueAt: string }[]>;
  noteStatusChecks(run: SyncRun, checked: number, until: string): Promise<SyncRun>;
  /** Sessions that are due for a look-up, the longest due first. */
  dueSessionChecks(
    run: SyncRun,
    max: number,
  ): Promise<{ conversationId: string; sessionId: string; dueAt: string }[]>;
  storeSessionChecks(
    run: SyncRun,
    reports: SessionReport[],
    checked: number,
    until: string,
  ): Promise<SyncRun>;
  /** Ends the slice and gives the lease back. */
  release(run: SyncRun, end: RunEnd): Promise<SyncRun>;
}

/** How a slice leaves its run. */
export interface RunEnd {
  state: SyncState;
  error: string | undefined;
  /** Seconds until the schedule may resume it. */
  retrySeconds: number | undefined;
}
