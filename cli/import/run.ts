/**
 * Runs an import: reads files, sends requests, counts the results. Prints nothing.
 *
 * @module
 */

import { CommandError } from "../command_error.ts";
import { makeBatches } from "./batches.ts";
import { type IngestClient, IngestRefusal } from "./ingest_client.ts";
import { type ImportConversation, type ImportMessage } from "./import_item.ts";
import type { Progress } from "./progress.ts";
import type { Source } from "./source_files.ts";

/** What an import did. */
export interface ImportSummary {
  conversations: number;
  messagesRead: number;
  messagesAdded: number;
  messagesAlreadyThere: number;
  /** Reason to number. */
  skipped: Map<string, number>;
  messagesFailed: number;
  /** What went wrong, with how many messages it cost. */
  failures: Map<string, number>;
  /** Why the import ended early. The rest was not sent. */
  stopped?: string;
}

/** Options of {@linkcode runImport}. */
export interface RunOptions {
  /** Absent in a dry run. */
  client?: IngestClient;
  batch: number;
  /** Leaves out messages from this instant on. */
  until?: string;
  progress: Progress;
  signal?: AbortSignal;
}

/** Refusals that concern one request and not all of them. */
const REFUSALS_OF_ONE_REQUEST = new Set([400, 413, 422]);

/**
 * Imports sources one after the other, each in the order of time, one request at a time.
 *
 * @param sources What to import.
 * @param options See {@linkcode RunOptions}.
 * @returns The summary, also when the import stopped early.
 */
export async function runImport(
  sources: readonly Source[],
  options: RunOptions,
): Promise<ImportSummary> {
  const { client, progress, signal, until } = options;
  const summary: ImportSummary = {
    conversations: 0,
    messagesRead: 0,
    messagesAdded: 0,
    messagesAlreadyThere: 0,
    skipped: new Map(),
    messagesFailed: 0,
    failures: new Map(),
  };
  const conversations = new Set<string>();
  let pending = 0;

  async function* messages(): AsyncGenerator<
    { conversation: ImportConversation; message: ImportMessage }
  > {
    for (const source of sources) {
      for await (const item of source.items()) {
        pending++;
        const isLater = item.kind === "message" && until !== undefined &&
          item.message.sentAt >= until;
        if (item.kind === "skipped" || isLater) {
          add(summary.skipped, item.kind === "skipped" ? item.reason : "not before --until", 1);
          continue;
        }
        conversations.add(item.conversation.externalId);
        yield item;
      }
    }
  }

  progress.start(sources.reduce((sum, source) => sum + source.itemCount, 0));
  let hasStored = false;
  try {
    for await (const batch of makeBatches(messages(), { maxMessages: options.batch })) {
      signal?.throwIfAborted();
      summary.messagesRead += batch.messageCount;
      if (client) {
        try {
          for (const outcome of await client.send(batch)) {
            if (outcome.kind === "failed") {
              summary.messagesFailed += outcome.messagesSent;
              add(
                summary.failures,
                `conversation ${outcome.externalId}: ${outcome.reason}`,
                outcome.messagesSent,
              );
            } else {
              hasStored = true;
              summary.messagesAdded += outcome.messagesAdded;
              summary.messagesAlreadyThere += outcome.messagesSent - outcome.messagesAdded;
            }
          }
        } catch (error) {
          if (!(error instanceof CommandError)) throw error;
          summary.messagesFailed += batch.messageCount;
          add(summary.failures, error.message, batch.messageCount);
          const isOfOneRequest = error instanceof IngestRefusal &&
            REFUSALS_OF_ONE_REQUEST.has(error.status);
          // When the first request is refused, the others would be refused too.
          if (!isOfOneRequest || !hasStored) {
            summary.stopped = error.message;
            break;
          }
        }
      }
      progress.advance(pending);
      pending = 0;
    }
    if (summary.stopped === undefined) progress.advance(pending);
  } catch (error) {
    if (!signal?.aborted) throw error;
    summary.stopped = "Interrupted";
  } finally {
    progress.stop();
  }
  summary.conversations = conversations.size;
  return summary;
}

/**
 * Determines the exit code of an import that has begun.
 *
 * @returns 0 all stored, 1 nothing stored, 3 partly stored.
 */
export function exitCodeOf(summary: ImportSummary): 0 | 1 | 3 {
  const stored = summary.messagesAdded + summary.messagesAlreadyThere;
  if (summary.messagesFailed === 0 && summary.stopped === undefined) {
    return summary.messagesRead > 0 ? 0 : 1;
  }
  return stored > 0 ? 3 : 1;
}

/** Writes the summary for people. */
export function formatSummary(summary: ImportSummary, isDryRun: boolean): string {
  const skipped = [...summary.skipped.values()].reduce((sum, count) => sum + count, 0);
  const rows: [string, number][] = [
    ["Conversations", summary.conversations],
    ["Messages read", summary.messagesRead],
  ];
  if (!isDryRun) {
    rows.push(
      ["Added", summary.messagesAdded],
      ["Already there", summary.messagesAlreadyThere],
    );
  }
  rows.push(["Skipped", skipped]);
  if (!isDryRun) rows.push(["Failed", summary.messagesFailed]);
  const lines = rows.map(([label, count]) => `${label.padEnd(15)}${String(count).padStart(9)}`);
  const detail = (counts: Map<string, number>) =>
    [...counts].map(([reason, count]) => `  ${count} × ${reason}`);
  const at = lines.findIndex((line) => line.startsWith("Skipped"));
  lines.splice(at + 1, 0, ...detail(summary.skipped));
  lines.push(...detail(summary.failures));
  if (summary.stopped !== undefined) {
    lines.push("", "The import stopped early. Run it again to resume: nothing is added twice.");
  } else if (summary.messagesFailed > 0) {
    lines.push("", "Run it again to retry the failed ones: nothing is added twice.");
  }
  if (isDryRun) lines.push("", "This was a dry run: nothing was sent.");
  return lines.join("\n");
}

/** Writes the summary for programs. */
export function summaryToJson(summary: ImportSummary, isDryRun: boolean): string {
  return JSON.stringify({
    success: exitCodeOf(summary) === 0,
    dry_run: isDryRun,
    conversations: summary.conversations,
    messages_read: summary.messagesRead,
    messages_added: summary.messagesAdded,
    messages_already_there: summary.messagesAlreadyThere,
    messages_skipped: Object.fromEntries(summary.skipped),
    messages_failed: summary.messagesFailed,
    failures: [...summary.failures].map(([reason, messages]) => ({ reason, messages })),
    stopped: summary.stopped ?? null,
  });
}

function add(counts: Map<string, number>, reason: string, count: number): void {
  counts.set(reason, (counts.get(reason) ?? 0) + count);
}
