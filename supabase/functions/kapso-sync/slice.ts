/**
 * One slice of a run: resumes where the previous slice ended, stores page after page, and ends when the run
 * is done, asked to stop or out of budget, or when an error occurs. Every page is stored together with the
 * cursor of the next one, so a slice can be cut off anywhere. Messages of conversations are read in rounds: the next
 * page of several conversations at once, which are then stored in one call.
 *
 * @module
 */
import type { SyncEnd, SyncEvent, SyncRun } from "../_shared/contracts/kapso_sync.ts";
import { AppError } from "../_shared/http/errors.ts";
import type { Log } from "../_shared/http/log.ts";
import {
  type KapsoClient,
  KapsoError,
  type Page,
  spareRequests,
} from "../_shared/kapso/api/client.ts";
import { readSessionRow } from "../_shared/kapso/webhook/normalize.ts";
import { countsOf, endOf, type EndReason } from "./events.ts";
import { contactOf, type ReadPage, readPage, type Row } from "./history_page.ts";
import {
  LeaseLost,
  type RunStore,
  type StorablePage,
  type StoredPage,
  type WaitingConversation,
} from "./run.ts";

/** Rows of a page: Kapso's maximum. */
const PAGE_SIZE = 100;
/** Conversations that are fetched from the database at once. */
const CONVERSATIONS_AT_ONCE = 25;
/** Conversations whose messages are read at the same time. */
const CONVERSATIONS_IN_PARALLEL = 5;
/** Messages, and sessions, looked up in one run. Each costs a request, and keys allow as few as 100 a minute. */
const MAX_CHECKS = 30;
/** Look-ups, and milliseconds of look-ups, before the results are stored: storing renews the lease. */
const CHECKS_AT_ONCE = 10;
const CHECKING_MS = 10_000;
/** The longest wait that Kapso can ask for. */
const MAX_RETRY_SECONDS = 24 * 60 * 60;
/**
 * Messages older than this when a history run begins are history. Newer ones may also arrive as events,
 * which Kapso repeats for about two minutes, and must count as unread whichever comes first.
 */
const LIVE_MS = 2 * 60 * 1000;
/** How far before its beginning a history run looks for recent messages: clocks differ, lists lag behind. */
const RECENT_MARGIN_MS = 10 * 60 * 1000;

/** How much a slice may use. */
export interface SliceBudget {
  /** Milliseconds. */
  duration: number;
  /**
   * Pages left to read and store: they cost processor time, of which an Edge Function has little. The slices of one call
   * of the schedule share a budget, and each counts it down.
   */
  pages: number;
}

/** What a slice needs. */
export interface SliceDeps {
  kapso: KapsoClient;
  runs: RunStore;
  /** Called with the connection after each stored page, to copy the files of its messages. */
  onStored: (connectionId: string) => void;
  log: Log;
  /** Monotonic clock in milliseconds. */
  monotonic: () => number;
  delay: (ms: number) => Promise<void>;
}

/** How a slice works. */
export interface SliceOptions {
  phoneNumberId: string;
  delayMs: number;
  budget: SliceBudget;
  /** Aborted once the reader of the events is gone: the slice stops at the next page. */
  signal: AbortSignal;
}

/**
 * Works on a run.
 *
 * @param run As `begin` returned it, with the caller's lease.
 * @returns Events; the last one says how the slice ended. Throws {@linkcode LeaseLost} where another slice
 *   has taken the run over, and `databaseError` while the database is not available.
 */
export async function* runSlice(
  deps: SliceDeps,
  run: SyncRun,
  options: SliceOptions,
): AsyncGenerator<SyncEvent> {
  const slice = new Slice(deps, run, options);
  let end: SyncEnd;
  try {
    yield* slice.work();
    end = await slice.end();
  } catch (error) {
    end = await slice.endAfter(error);
  }
  yield end;
}

/** A conversation whose messages are being read. */
interface Reading extends WaitingConversation {
  pages: AsyncIterator<Page>;
  /** Whether its event `conversation` was sent. */
  isAnnounced: boolean;
  /** Whether its last page was read, or Kapso refused it. */
  isOver: boolean;
}

/** A page of a round. */
interface ReadAnswer extends ReadPage, StorablePage {
  kind: "page";
  reading: Reading;
}

/** What a request of a round brought: a page, the refusal of one conversation, or an error that ends the slice. */
type Answer =
  | ReadAnswer
  | { kind: "refused"; reading: Reading; error: KapsoError }
  | { kind: "failed"; error: unknown };

class Slice {
  run: SyncRun;
  readonly #deps: SliceDeps;
  readonly #options: SliceOptions;
  readonly #until: number;
  readonly #historyBefore: number;
  readonly #startedAt: Date;

  constructor(deps: SliceDeps, run: SyncRun, options: SliceOptions) {
    this.#deps = deps;
    this.run = run;
    this.#options = options;
    this.#until = deps.monotonic() + options.budget.duration;
    this.#startedAt = new Date(run.started_at);
    this.#historyBefore = run.mode === "history" ? Date.parse(run.started_at) - LIVE_MS : 0;
  }

  get #isStopRequested(): boolean {
    return this.run.stop_requested_at !== null;
  }

  /** Whether another page may be read. */
  get #mayContinue(): boolean {
    return !this.#isStopRequested && !this.#options.signal.aborted &&
      this.#options.budget.pages > 0 &&
      this.#deps.monotonic() < this.#until;
  }

  async *work(): AsyncGenerator<SyncEvent> {
    while (this.#mayContinue && this.run.phase !== "finished") {
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

  /** Ends the slice after its work. */
  async end(): Promise<SyncEnd> {
    const { phase, conversations_failed: failed } = this.run;
    if (phase !== "finished") {
      return await this.#release(this.#isStopRequested ? "stopped" : "paused");
    }
    if (failed === 0) return await this.#release("done");
    const error = `${failed} conversations could not be read or stored`;
    return await this.#release("partial", { error });
  }

  /**
   * Ends the slice after an error.
   *
   * @throws the error, unless it is Kapso's or says that the connection is inactive: then the lease expires,
   *   and the next slice begins after the last stored page.
   */
  async endAfter(error: unknown): Promise<SyncEnd> {
    if (error instanceof LeaseLost) throw error;
    if (this.#options.signal.aborted) return await this.#release("paused");
    if (error instanceof AppError && error.code === "connection_inactive") {
      return await this.#release("paused", { error: error.message, code: error.code });
    }
    if (!(error instanceof KapsoError)) throw error;
    if (!error.isRetryable) {
      return await this.#release("failed", { error: error.message, code: "kapso_refused" });
    }
    const waitMs = error.retryAfterMs ?? Math.min(5_000 * 2 ** this.run.failures, 300_000);
    return await this.#release("paused", {
      ...(error.status === 429 ? { code: "kapso_rate_limited" } : { code: "kapso_unavailable" }),
      error: error.message,
      retrySeconds: Math.min(Math.ceil(waitMs / 1000), MAX_RETRY_SECONDS),
    });
  }

  /** Gives the lease back. */
  async #release(type: Exclude<SyncEnd["type"], "busy">, reason: EndReason = {}): Promise<SyncEnd> {
    this.run = await this.#deps.runs.release(this.run, {
      state: type === "paused" ? "running" : type,
      error: reason.error,
      retrySeconds: reason.retrySeconds,
    });
    // A member may have asked the run to stop while something failed.
    const isStopped = type === "paused" && this.run.state === "stopped";
    return endOf(this.run, isStopped ? "stopped" : type, reason);
  }

  /** Walks through the list of conversations once, as far as the budget allows. */
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
      this.#options.budget.pages--;
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
      if (!this.#mayContinue) return;
    }
  }

  /** Reads the messages of conversations in rounds, as far as the budget allows. */
  async *#readConversations(): AsyncGenerator<SyncEvent> {
    const { runs, delay } = this.#deps;
    let open: Reading[] = [];
    let areAllOpen = false;
    while (this.#mayContinue) {
      if (open.length < CONVERSATIONS_IN_PARALLEL && !areAllOpen) {
        const waiting = await runs.nextConversations(this.run, CONVERSATIONS_AT_ONCE);
        const known = new Set(open.map(({ sessionId }) => sessionId));
        const others = waiting.filter(({ sessionId }) => !known.has(sessionId));
        open.push(...others.map((conversation) => this.#open(conversation)));
        areAllOpen = waiting.length < CONVERSATIONS_AT_ONCE;
      }
      if (open.length === 0) {
        // A dry run ends after counting them.
        this.run = await runs.advance(this.run, this.run.is_dry_run ? "finished" : "recent");
        return;
      }
      yield* this.#readRound(open.slice(0, this.#roundSize));
      const rest = open.filter(({ isOver }) => !isOver);
      const { delayMs } = this.#options;
      if (delayMs > 0 && rest.length < open.length) await delay(delayMs);
      open = rest;
    }
  }

  /** How many conversations may be read at the same time. */
  get #roundSize(): number {
    if (this.#options.delayMs > 0) return 1;
    const rateLimit = this.#deps.kapso.rateLimit();
    return Math.min(
      CONVERSATIONS_IN_PARALLEL,
      this.#options.budget.pages,
      // Near its end the client sends one request after a pause.
      rateLimit === undefined ? Infinity : Math.max(spareRequests(rateLimit), 1),
    );
  }

  /** Prepares reading a conversation. Sends nothing before its first page is asked for. */
  #open(waiting: WaitingConversation): Reading {
    const left = (this.run.messages_per_conversation ?? Infinity) - waiting.messagesRead;
    const pages = this.#deps.kapso.listMessages(this.#options.phoneNumberId, {
      conversationId: waiting.sessionId,
      pageSize: Math.min(PAGE_SIZE, left),
      ...(this.run.since === null ? {} : { since: this.run.since }),
      ...(waiting.cursor === undefined ? {} : { after: waiting.cursor }),
      signal: this.#options.signal,
    });
    return {
      ...waiting,
      pages: pages[Symbol.asyncIterator](),
      isAnnounced: false,
      isOver: false,
    };
  }

  /**
   * Reads the next page of each conversation at the same time and stores them in one call. Its events are those of one
   * conversation after the other.
   *
   * @throws what ends the slice, after storing what the others brought.
   */
  async *#readRound(round: Reading[]): AsyncGenerator<SyncEvent> {
    yield* this.#announce(round[0]!);
    const answers = await Promise.all(round.map((reading) => this.#readNext(reading)));
    const pages = answers.filter((answer) => answer.kind === "page");
    const stored = pages.length === 0 ? [] : await this.#store(pages);
    for (const { reading, error } of answers.filter((answer) => answer.kind === "refused")) {
      this.run = await this.#deps.runs.failConversation(
        this.run,
        reading.sessionId,
        error.message,
      );
    }
    for (const answer of answers) {
      if (answer.kind === "failed") continue;
      yield* this.#announce(answer.reading);
      if (answer.kind === "page") yield* this.#report(answer, stored[pages.indexOf(answer)]!);
      else yield this.#failed(answer.reading, answer.error.message);
    }
    const failures = answers.filter((answer) => answer.kind === "failed");
    if (failures.length > 0) throw worstOf(failures.map(({ error }) => error));
  }

  /** Reads the next page of a conversation. Never throws. */
  async #readNext(reading: Reading): Promise<Answer> {
    try {
      const next: IteratorResult<Page, unknown> = await reading.pages.next();
      const { rows, after } = next.done ? { rows: [], after: undefined } : next.value;
      const left = (this.run.messages_per_conversation ?? Infinity) - reading.messagesRead;
      const messages = rows.slice(0, left);
      const { elements, unusable } = readPage({
        phoneNumberId: this.#options.phoneNumberId,
        messages,
        conversation: reading.conversation,
        historyBefore: this.#historyBefore,
        readAt: this.#startedAt,
      });
      reading.messagesRead += messages.length;
      reading.isOver = after === undefined || messages.length >= left;
      return {
        kind: "page",
        reading,
        elements,
        unusable,
        messagesRead: messages.length,
        sessionId: reading.sessionId,
        cursor: after,
        isLast: reading.isOver,
      };
    } catch (error) {
      // An error of this conversation alone is noted; one of the API key ends the run.
      if (!(error instanceof KapsoError) || error.isRetryable || isKeyRefused(error)) {
        return { kind: "failed", error };
      }
      reading.isOver = true;
      return { kind: "refused", reading, error };
    }
  }

  /** The first event of a conversation in a slice. */
  *#announce(reading: Reading): Generator<SyncEvent> {
    if (reading.isAnnounced) return;
    reading.isAnnounced = true;
    yield {
      type: "conversation",
      run_id: this.run.id,
      index: reading.position,
      total: this.run.conversations_total,
      ...contactOf(reading.conversation),
    };
  }

  /** The events of a stored page. */
  *#report({ reading }: ReadAnswer, stored: StoredPage): Generator<SyncEvent> {
    const ofConversation = { run_id: this.run.id, index: reading.position };
    const messages = reading.messagesRead;
    reading.messagesAdded += stored.messagesAdded;
    yield { type: "conversation_read", ...ofConversation, messages };
    const [error] = stored.errors;
    if (reading.isOver && error === undefined) {
      const { messagesAdded } = reading;
      yield {
        type: "conversation_done",
        ...ofConversation,
        messages,
        messages_added: messagesAdded,
      };
    } else if (reading.isOver) {
      yield this.#failed(reading, `could not be stored (${error})`);
    }
    yield { type: "progress", ...countsOf(this.run) };
  }

  #failed({ position: index }: Reading, error: string): SyncEvent {
    return { type: "conversation_failed", run_id: this.run.id, index, error };
  }

  /** Reads what Kapso stored since the run began; for a repair, since the previous one. */
  async *#readRecent(): AsyncGenerator<SyncEvent> {
    const since = this.run.mode === "repair"
      ? this.run.since!
      : new Date(Date.parse(this.run.started_at) - RECENT_MARGIN_MS).toISOString();
    const pages = this.#deps.kapso.listMessages(this.#options.phoneNumberId, {
      pageSize: PAGE_SIZE,
      since,
      ...(this.run.cursor === null ? {} : { after: this.run.cursor }),
      signal: this.#options.signal,
    });
    for await (const { rows, after } of pages) {
      const page = readPage({
        phoneNumberId: this.#options.phoneNumberId,
        messages: rows,
        historyBefore: this.#historyBefore,
        readAt: this.#startedAt,
      });
      await this.#store([
        { ...page, messagesRead: rows.length, cursor: after, isLast: after === undefined },
      ]);
      yield { type: "progress", ...countsOf(this.run) };
      if (!this.#mayContinue) return;
    }
  }

  /** Looks up what Kapso's lists do not contain: statuses of messages, and whether sessions are open. */
  async *#checkStatuses(): AsyncGenerator<SyncEvent> {
    if (this.run.mode === "repair" && !this.run.is_dry_run) {
      yield* this.#checkMessages();
      yield* this.#checkSessions();
      if (!this.#mayContinue) return;
    }
    this.run = await this.#deps.runs.advance(this.run, "finished");
  }

  async *#checkMessages(): AsyncGenerator<SyncEvent> {
    const { runs, kapso } = this.#deps;
    const { phoneNumberId, signal } = this.#options;
    while (this.#mayContinue && this.run.statuses_checked < MAX_CHECKS) {
      const due = await runs.dueStatusChecks(this.run, CHECKS_AT_ONCE);
      if (due.length === 0) return;
      const looked = await this.#lookUp(
        due,
        ({ messageId }) => kapso.getMessage(phoneNumberId, messageId, { signal }),
      );
      const messages = looked.found.map(({ row }) => row);
      if (messages.length > 0) {
        const page = { phoneNumberId, messages, historyBefore: 0, readAt: this.#startedAt };
        await this.#store([
          { ...readPage(page), messagesRead: 0, cursor: undefined, isLast: true },
        ]);
      }
      const last = due[looked.checked - 1];
      if (last) this.run = await runs.noteStatusChecks(this.run, looked.checked, last.dueAt);
      yield { type: "progress", ...countsOf(this.run) };
      if (looked.failure) throw looked.failure;
      if (due.length < CHECKS_AT_ONCE && looked.checked === due.length) return;
    }
  }

  async *#checkSessions(): AsyncGenerator<SyncEvent> {
    const { runs, kapso } = this.#deps;
    const { phoneNumberId, signal } = this.#options;
    while (this.#mayContinue && this.run.sessions_checked < MAX_CHECKS) {
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
      yield { type: "progress", ...countsOf(this.run) };
      if (looked.failure) throw looked.failure;
      if (due.length < CHECKS_AT_ONCE && looked.checked === due.length) return;
    }
  }

  /**
   * Looks up items one by one, for at most {@linkcode CHECKING_MS}.
   *
   * @returns The rows found, the number of items that are done, and the error to throw once the rows are stored.
   *   An item that Kapso refuses is done as well, so that it does not block the others.
   */
  async #lookUp<Item>(
    items: readonly Item[],
    read: (item: Item) => Promise<Row>,
  ): Promise<{ found: { item: Item; row: Row }[]; checked: number; failure?: unknown }> {
    const until = this.#deps.monotonic() + CHECKING_MS;
    const found: { item: Item; row: Row }[] = [];
    let checked = 0;
    for (const item of items) {
      if (checked > 0 && (!this.#mayContinue || this.#deps.monotonic() >= until)) break;
      try {
        found.push({ item, row: await read(item) });
      } catch (error) {
        if (!(error instanceof KapsoError)) return { found, checked, failure: error };
        const isOfItem = error.status !== 429 && !isKeyRefused(error);
        if (isOfItem) checked++;
        if (error.isRetryable || !isOfItem) return { found, checked, failure: error };
        continue;
      }
      checked++;
    }
    return { found, checked };
  }

  /** Stores pages of different conversations in one call. */
  async #store(pages: (ReadPage & StorablePage)[]): Promise<StoredPage[]> {
    this.#options.budget.pages -= pages.length;
    const { run, results } = await this.#deps.runs.storePages(this.run, pages);
    this.run = run;
    if (!this.run.is_dry_run) this.#deps.onStored(this.run.connection_id);
    const unusable = pages.reduce((sum, page) => sum + page.unusable, 0);
    const errors = results.flatMap((result) => result.errors);
    if (unusable > 0 || errors.length > 0) {
      this.#deps.log("error", "rows_not_stored", {
        run_id: this.run.id,
        unusable,
        errors: errors.join(","),
      });
    }
    return results;
  }
}

/** The error of several that ends the slice: what is not Kapso's, a refused key, else the one that asks for the longest wait. */
function worstOf(errors: unknown[]): unknown {
  const weightOf = (error: unknown) =>
    error instanceof KapsoError && error.isRetryable ? error.retryAfterMs ?? 0 : Infinity;
  return errors.reduce((worst, error) => weightOf(error) > weightOf(worst) ? error : worst);
}

/** Whether Kapso refused the API key itself, so that other requests would fail as well. */
function isKeyRefused(error: KapsoError): boolean {
  return error.status === 401 || error.status === 402 || error.status === 403;
}
