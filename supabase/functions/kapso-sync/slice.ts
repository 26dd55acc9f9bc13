/**
 * One slice of a run: it goes on where the one before stopped, stores page after page, and ends when the
 * run is done, asked to stop, out of budget, or in trouble. Every page is stored together with the place
 * where the next one begins, so a slice can be cut off anywhere.
 *
 * @module
 */
import { AppError } from "../_shared/http/errors.ts";
import { type KapsoClient, KapsoError } from "../_shared/kapso/api/client.ts";
import { readSessionRow } from "../_shared/kapso/webhook/normalize.ts";
import type { Log } from "../_shared/http/log.ts";
import { contactOf, type ReadPage, readPage, type Row } from "./history_page.ts";
import type { RunCounts, SyncEvent } from "./schema.ts";
import { LeaseLost, type Run, type RunStore, type WaitingConversation } from "./store.ts";

/** Rows of a page: the most Kapso gives. */
const PAGE_SIZE = 100;
/** Messages, and sessions, that are looked up in one run. Each costs a request, and keys allow as few as 100 a minute. */
const MAX_CHECKS = 30;
/**
 * Those that are looked up, at most and for at most so many milliseconds, before what was found is stored:
 * the lease is kept by storing.
 */
const CHECKS_AT_ONCE = 10;
const CHECKING_MS = 10_000;
/** Whatever Kapso asks for, a day later somebody looks again. */
const MAX_RETRY_SECONDS = 24 * 60 * 60;
/**
 * Messages that are older than this when a history run begins are history. What is newer may be on its
 * way as an event as well, and must count as unread whichever comes first: Kapso repeats an event for
 * about two minutes.
 */
const LIVE_MS = 2 * 60 * 1000;

/** What a slice may use up. */
export interface SliceBudget {
  /** Milliseconds. */
  duration: number;
  /** Pages that are read and stored: processor time, of which an Edge Function has little. */
  pages: number;
}

/** What a slice needs. */
export interface SliceDeps {
  kapso: KapsoClient;
  runs: RunStore;
  /** Called with the connection after each stored page, to copy the files of its messages. */
  onStored: (connectionId: string) => void;
  log: Log;
  /** Clock in milliseconds since 1970. */
  now: () => number;
  delay: (ms: number) => Promise<void>;
}

/** How to go about it. */
export interface SliceOptions {
  phoneNumberId: string;
  delayMs: number;
  budget: SliceBudget;
  /** Whoever reads the events has gone: stop at the next page. */
  signal: AbortSignal;
}

/**
 * Work on a run.
 *
 * @param run As `begin` returned it: the lease is the caller's.
 * @returns Events; the last one says how the slice ended. Throws {@linkcode LeaseLost} where another slice
 *   has taken the run over, and what the database throws while it is away.
 */
export async function* runSlice(
  deps: SliceDeps,
  run: Run,
  options: SliceOptions,
): AsyncGenerator<SyncEvent> {
  const slice = new Slice(deps, run, options);
  try {
    yield* slice.work();
    const { run } = slice;
    if (run.phase !== "finished" && slice.isStopAsked) {
      yield* slice.end("stopped", {});
    } else if (run.phase !== "finished") {
      yield* slice.end("paused", {});
    } else {
      const failed = run.conversations_failed;
      yield* slice.end(failed > 0 ? "partial" : "done", {
        ...(failed > 0 ? { error: `${failed} conversations could not be read or stored` } : {}),
      });
    }
  } catch (error) {
    if (error instanceof LeaseLost) {
      throw error;
    } else if (options.signal.aborted) {
      yield* slice.end("paused", {});
    } else if (error instanceof AppError && error.code === "connection_inactive") {
      yield* slice.end("paused", { error: error.message, code: error.code });
    } else if (error instanceof KapsoError && error.isRetryable) {
      const wait = error.retryAfterMs ?? Math.min(5_000 * 2 ** slice.run.failures, 300_000);
      yield* slice.end("paused", {
        ...(error.status === 429 ? { code: "kapso_rate_limited" } : { code: "kapso_unavailable" }),
        error: error.message,
        retrySeconds: Math.min(Math.ceil(wait / 1000), MAX_RETRY_SECONDS),
      });
    } else if (error instanceof KapsoError) {
      yield* slice.end("failed", { error: error.message, code: "kapso_refused" });
    } else {
      // The lease runs out by itself, and the next slice begins after the last stored page.
      throw error;
    }
  }
}

/** The counts of a run, as events have them. */
export function counts(run: Run): RunCounts {
  return {
    run_id: run.id,
    phase: run.phase,
    conversations_total: run.conversations_total,
    conversations_done: run.conversations_done,
    conversations_failed: run.conversations_failed,
    messages_read: run.messages_read,
    messages_added: run.messages_added,
    people_created: run.people_created,
    conversations_created: run.conversations_created,
    statuses_checked: run.statuses_checked,
    sessions_checked: run.sessions_checked,
  };
}

class Slice {
  run: Run;
  readonly #deps: SliceDeps;
  readonly #options: SliceOptions;
  readonly #until: number;
  readonly #historyBefore: number;
  #pagesLeft: number;

  constructor(deps: SliceDeps, run: Run, options: SliceOptions) {
    this.#deps = deps;
    this.run = run;
    this.#options = options;
    this.#until = deps.now() + options.budget.duration;
    this.#pagesLeft = options.budget.pages;
    this.#historyBefore = run.mode === "history" ? Date.parse(run.started_at) - LIVE_MS : 0;
  }

  get isStopAsked(): boolean {
    return this.run.stop_requested_at !== null;
  }

  /** Whether another page may be read. */
  get #mayGoOn(): boolean {
    return !this.isStopAsked && !this.#options.signal.aborted && this.#pagesLeft > 0 &&
      this.#deps.now() < this.#until;
  }

  async *work(): AsyncGenerator<SyncEvent> {
    while (this.#mayGoOn && this.run.phase !== "finished") {
      switch (this.run.phase) {
        case "conversations":
          yield* this.#listConversations();
          break;
        case "messages":
          yield* this.#readConversations();
          break;
        case "recent":
          yield* this.#readRecent();
          break;
        default:
          yield* this.#checkStatuses();
      }
    }
  }

  /** Ends the slice, and says so. */
  async *end(
    type: "paused" | "stopped" | "failed" | "partial" | "done",
    end: { error?: string; code?: string; retrySeconds?: number },
  ): AsyncGenerator<SyncEvent> {
    this.run = await this.#deps.runs.release(this.run, {
      state: type === "paused" ? "running" : type,
      ...(end.error === undefined ? {} : { error: end.error }),
      ...(end.retrySeconds === undefined ? {} : { retrySeconds: end.retrySeconds }),
    });
    yield {
      // A member asked for it while something failed.
      type: type === "paused" && this.run.state === "stopped" ? "stopped" : type,
      ...counts(this.run),
      error: end.error ?? null,
      code: end.code ?? null,
      retry_after_seconds: end.retrySeconds ?? null,
    };
  }

  /** One walk through the list of conversations, or what the budget allows of it. */
  async *#listConversations(): AsyncGenerator<SyncEvent> {
    const { runs, kapso } = this.#deps;
    const pages = kapso.listConversations(this.#options.phoneNumberId, {
      pageSize: PAGE_SIZE,
      ...(this.run.walk_since === null ? {} : { lastActiveSince: this.run.walk_since }),
      ...(this.run.cursor === null ? {} : { after: this.run.cursor }),
      signal: this.#options.signal,
    });
    let number = 0;
    for await (const { rows, after } of pages) {
      this.#pagesLeft--;
      const known = this.run.conversations_total;
      this.run = await runs.addConversations(this.run, {
        conversations: rows,
        cursor: after,
        isLast: after === undefined,
      });
      yield {
        type: "conversations_page",
        run_id: this.run.id,
        page: ++number,
        conversations: this.run.conversations_total - known,
      };
      if (this.run.phase !== "conversations") {
        yield { type: "conversations", run_id: this.run.id, total: this.run.conversations_total };
      }
      if (!this.#mayGoOn) return;
    }
  }

  async *#readConversations(): AsyncGenerator<SyncEvent> {
    const waiting = await this.#deps.runs.nextConversations(this.run, 25);
    if (waiting.length === 0) {
      // A dry run has counted them.
      this.run = await this.#deps.runs.advance(
        this.run,
        this.run.is_dry_run ? "finished" : "recent",
      );
      return;
    }
    for (const conversation of waiting) {
      if (!this.#mayGoOn) return;
      yield* this.#readConversation(conversation);
      if (this.#options.delayMs > 0) await this.#deps.delay(this.#options.delayMs);
    }
  }

  async *#readConversation(waiting: WaitingConversation): AsyncGenerator<SyncEvent> {
    const { sessionId, position: index } = waiting;
    yield {
      type: "conversation",
      run_id: this.run.id,
      index,
      total: this.run.conversations_total,
      ...contactOf(waiting.conversation),
    };
    try {
      yield* this.#readMessages(waiting);
    } catch (error) {
      // Something is wrong with this conversation alone. What concerns the key ends the run.
      if (!(error instanceof KapsoError) || error.isRetryable || isAboutTheKey(error)) throw error;
      this.run = await this.#deps.runs.failConversation(this.run, sessionId, error.message);
      yield { type: "conversation_failed", run_id: this.run.id, index, error: error.message };
    }
  }

  async *#readMessages(waiting: WaitingConversation): AsyncGenerator<SyncEvent> {
    const { sessionId, position: index } = waiting;
    const limit = this.run.messages_per_conversation ?? Infinity;
    let { messagesRead, messagesAdded } = waiting;
    const pages = this.#deps.kapso.listMessages(this.#options.phoneNumberId, {
      conversationId: sessionId,
      pageSize: Math.min(PAGE_SIZE, limit - messagesRead),
      ...(this.run.since === null ? {} : { since: this.run.since }),
      ...(waiting.cursor === undefined ? {} : { after: waiting.cursor }),
      signal: this.#options.signal,
    });
    for await (const { rows, after } of pages) {
      const messages = rows.slice(0, limit - messagesRead);
      messagesRead += messages.length;
      yield { type: "conversation_read", run_id: this.run.id, index, messages: messagesRead };
      const isLast = after === undefined || messagesRead >= limit;
      const { messagesAdded: added, errors } = await this.#store(
        readPage({
          phoneNumberId: this.#options.phoneNumberId,
          messages,
          conversation: waiting.conversation,
          historyBefore: this.#historyBefore,
        }),
        { messagesRead: messages.length, sessionId, cursor: after, isLast },
      );
      messagesAdded += added;
      if (!isLast) {
        yield { type: "progress", ...counts(this.run) };
        if (!this.#mayGoOn) return;
        continue;
      }
      yield errors.length === 0
        ? {
          type: "conversation_done",
          run_id: this.run.id,
          index,
          messages: messagesRead,
          messages_added: messagesAdded,
        }
        : { type: "conversation_failed", run_id: this.run.id, index, error: errors[0]! };
      yield { type: "progress", ...counts(this.run) };
      return;
    }
  }

  /** Whatever Kapso stored since the run began; for a repair, since the last one. */
  async *#readRecent(): AsyncGenerator<SyncEvent> {
    const since = this.run.mode === "repair"
      ? this.run.since!
      // The clocks may differ, and what was stored a moment before may become visible a moment after.
      : new Date(Date.parse(this.run.started_at) - 10 * 60 * 1000).toISOString();
    const pages = this.#deps.kapso.listMessages(this.#options.phoneNumberId, {
      pageSize: PAGE_SIZE,
      since,
      ...(this.run.cursor === null ? {} : { after: this.run.cursor }),
      signal: this.#options.signal,
    });
    for await (const { rows, after } of pages) {
      await this.#store(
        readPage({
          phoneNumberId: this.#options.phoneNumberId,
          messages: rows,
          historyBefore: this.#historyBefore,
        }),
        { messagesRead: rows.length, cursor: after, isLast: after === undefined },
      );
      yield { type: "progress", ...counts(this.run) };
      if (!this.#mayGoOn) return;
    }
  }

  /** Looks up what no list tells: how messages fared, and whether sessions go on. */
  async *#checkStatuses(): AsyncGenerator<SyncEvent> {
    if (this.run.mode === "repair" && !this.run.is_dry_run) {
      yield* this.#checkMessages();
      yield* this.#checkSessions();
      if (!this.#mayGoOn) return;
    }
    this.run = await this.#deps.runs.advance(this.run, "finished");
  }

  async *#checkMessages(): AsyncGenerator<SyncEvent> {
    const { runs, kapso } = this.#deps;
    const { phoneNumberId, signal } = this.#options;
    while (this.#mayGoOn && this.run.statuses_checked < MAX_CHECKS) {
      const due = await runs.dueStatusChecks(this.run, CHECKS_AT_ONCE);
      if (due.length === 0) return;
      const looked = await this.#lookUp(
        due,
        ({ messageId }) => kapso.getMessage(phoneNumberId, messageId, { signal }),
      );
      const messages = looked.found.map(({ row }) => row);
      if (messages.length > 0) {
        await this.#store(
          readPage({ phoneNumberId, messages, historyBefore: 0 }),
          { messagesRead: 0, cursor: undefined, isLast: true },
        );
      }
      const last = due[looked.checked - 1];
      if (last) this.run = await runs.noteStatusChecks(this.run, looked.checked, last.dueAt);
      yield { type: "progress", ...counts(this.run) };
      if (looked.failure) throw looked.failure;
      if (due.length < CHECKS_AT_ONCE && looked.checked === due.length) return;
    }
  }

  async *#checkSessions(): AsyncGenerator<SyncEvent> {
    const { runs, kapso } = this.#deps;
    const { phoneNumberId, signal } = this.#options;
    while (this.#mayGoOn && this.run.sessions_checked < MAX_CHECKS) {
      const due = await runs.dueSessionChecks(this.run, CHECKS_AT_ONCE);
      if (due.length === 0) return;
      const looked = await this.#lookUp(
        due,
        ({ sessionId }) => kapso.getConversation(sessionId, { signal }),
      );
      const last = due[looked.checked - 1];
      if (last) {
        const reports = looked.found.flatMap(({ item, row }) => {
          const session = readSessionRow(row, phoneNumberId);
          return session?.id === item.sessionId
            ? [{ conversationId: item.conversationId, session }]
            : [];
        });
        this.run = await runs.storeSessionChecks(this.run, reports, looked.checked, last.dueAt);
      }
      yield { type: "progress", ...counts(this.run) };
      if (looked.failure) throw looked.failure;
      if (due.length < CHECKS_AT_ONCE && looked.checked === due.length) return;
    }
  }

  /**
   * Looks up one after the other, for a while.
   *
   * @returns What was found; how many are done with; and what to throw once they are stored. One that Kapso
   *   cannot give is done with as well: it must not keep the others from their turn.
   */
  async #lookUp<Item>(
    items: readonly Item[],
    read: (item: Item) => Promise<Row>,
  ): Promise<{ found: { item: Item; row: Row }[]; checked: number; failure?: unknown }> {
    const until = this.#deps.now() + CHECKING_MS;
    const found: { item: Item; row: Row }[] = [];
    let checked = 0;
    for (const item of items) {
      if (checked > 0 && (!this.#mayGoOn || this.#deps.now() >= until)) break;
      try {
        found.push({ item, row: await read(item) });
      } catch (error) {
        if (!(error instanceof KapsoError)) return { found, checked, failure: error };
        const isItsOwn = error.status !== 429 && !isAboutTheKey(error);
        if (isItsOwn) checked++;
        if (error.isRetryable || !isItsOwn) return { found, checked, failure: error };
        continue;
      }
      checked++;
    }
    return { found, checked };
  }

  async #store(
    { elements, unusable }: ReadPage,
    at: { messagesRead: number; sessionId?: string; cursor: string | undefined; isLast: boolean },
  ): Promise<{ messagesAdded: number; errors: string[] }> {
    this.#pagesLeft--;
    const stored = await this.#deps.runs.storePage(this.run, { elements, ...at });
    this.run = stored.run;
    if (!this.run.is_dry_run) this.#deps.onStored(this.run.connection_id);
    if (unusable > 0 || stored.errors.length > 0) {
      this.#deps.log("error", "rows_not_stored", {
        run_id: this.run.id,
        unusable,
        errors: stored.errors.join(","),
      });
    }
    return {
      messagesAdded: stored.messagesAdded,
      errors: stored.errors.map((code) => `could not be stored (${code})`),
    };
  }
}

/** No other request will fare better. */
function isAboutTheKey(error: KapsoError): boolean {
  return error.status === 401 || error.status === 402 || error.status === 403;
}

/** What a thrown error is to whoever reads the events: the database's, in this project's words. */
export function failureEvent(run: Run, error: unknown): SyncEvent {
  const failure = error instanceof AppError
    ? error
    : new AppError(500, "internal_error", "Internal server error", { cause: error });
  return {
    type: "paused",
    ...counts(run),
    error: failure.message,
    code: failure.code,
    retry_after_seconds: failure.retryAfterSeconds ?? 60,
  };
}
