/**
 * Works through the runs that are due, slice after slice.
 *
 * @module
 */
import { AppError } from "../_shared/http/errors.ts";
import { errorNames, type Log } from "../_shared/http/log.ts";
import type { NoteWriter, Slice } from "./notes.ts";
import type { RunRow, Scope, SummaryStore } from "./store.ts";

/** What {@linkcode summarizeDue} needs of the outside world. */
export interface SummarizeDeps {
  store: SummaryStore;
  /** A writer for one request. */
  createWriter: () => NoteWriter;
  /** Milliseconds after which no further slice is begun. */
  budgetMs: number;
  log: Log;
  /** Monotonic clock in milliseconds. */
  monotonic: () => number;
}

/** What one request did. */
export interface SummarizedRuns {
  /** The runs it wrote to. */
  runs: RunRow[];
  /** Whether the budget was used up before the work was done. */
  hasMore: boolean;
}

/**
 * Writes notes until no person is left or the budget is used up.
 *
 * @throws {AppError} as the store does while the database is not available.
 */
export async function summarizeDue(deps: SummarizeDeps, scope: Scope): Promise<SummarizedRuns> {
  const until = deps.monotonic() + deps.budgetMs;
  const writeNotes = deps.createWriter();
  const written = new Map<string, Slice>();
  let hasMore = false;
  while (true) {
    if (deps.monotonic() >= until) {
      hasMore = true;
      break;
    }
    const slice = await deps.store.claim(scope);
    if (!slice) break;
    if (await writeSlice(deps, slice, writeNotes)) {
      written.set(`${slice.workspaceId} ${slice.localDate}`, slice);
    }
  }
  const runs = await Promise.all(
    [...written.values()].map((slice) => deps.store.run(slice.workspaceId, slice.localDate)),
  );
  return { runs: runs.filter((run) => run !== undefined), hasMore };
}

/**
 * Writes the notes of a slice.
 *
 * @returns Whether it succeeded. After an error the lease keeps the slice away while others are worked on.
 * @throws {AppError} while the database is not available, which fails every slice.
 */
async function writeSlice(
  { store, log }: SummarizeDeps,
  slice: Slice,
  writeNotes: NoteWriter,
): Promise<boolean> {
  const about = { workspace_id: slice.workspaceId, local_date: slice.localDate };
  try {
    const notes = await writeNotes(slice);
    const isWritten = await store.write(slice, notes);
    log("info", "summaries", {
      ...about,
      people: slice.personIds.length,
      notes: notes.notes.length,
      ai_notes: notes.aiNotes,
      tokens: notes.tokens,
      is_written: isWritten,
    });
    return true;
  } catch (error) {
    if (error instanceof AppError && error.status === 503) throw error;
    log("error", "slice_failed", {
      ...about,
      code: error instanceof AppError ? error.code : "internal_error",
      cause: errorNames(error),
    });
    return false;
  }
}
