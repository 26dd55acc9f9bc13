/**
 * One call of `deno task kapso:sync`, without the process around it: finds the workspace and syncs its phone
 * numbers one after the other.
 *
 * @module
 */

import { createServiceClient } from "../../../supabase/functions/_shared/database/clients.ts";
import { CommandError } from "../../command_error.ts";
import type { SyncOptions } from "./options.ts";
import type { Project } from "../../project.ts";
import type { Report } from "./report.ts";
import { type Outcome, syncNumber } from "./run.ts";
import { createSyncClient } from "./sync_client.ts";
import { findTarget, type Target } from "./sync_target.ts";

/** What the command needs of the outside world. */
export interface CommandDeps {
  project: Project;
  report: Report;
  delay: (ms: number, signal: AbortSignal) => Promise<void>;
  /** Aborted by the first Ctrl-C. */
  stop: AbortSignal;
}

/**
 * Runs the command.
 *
 * @returns The exit code: 0 all done, 1 failed, 3 some of it failed, 130 stopped.
 * @throws {CommandError} if it could not begin.
 */
export async function syncKapso(deps: CommandDeps, options: SyncOptions): Promise<number> {
  const { project, report, delay, stop } = deps;
  const about = { url: project.url, options };
  let target: Target;
  try {
    target = await findTarget(
      createServiceClient({ supabaseUrl: project.url, secretKey: project.serviceKey }),
      options,
    );
  } catch (error) {
    report.begin({ ...about, slug: undefined, numbers: [] });
    throw error;
  }
  report.begin({ ...about, slug: target.slug, numbers: target.numbers });
  report.workspaceFound(target.workspaceId);

  const numbers = target.numbers.filter(({ isActive }) => isActive);
  for (const { connectionId, phoneNumberId, isActive } of target.numbers) {
    if (isActive) continue;
    report.note(
      `Connection ${connectionId} (${phoneNumberId}) is inactive and left out. Activate it first.`,
    );
  }
  if (numbers.length === 0) throw new CommandError("No selected connection is active.");

  const client = createSyncClient({
    ...project,
    ...(options.kapsoApiKey === undefined ? {} : { kapsoApiKey: options.kapsoApiKey }),
  });
  const outcomes: Outcome[] = [];
  for (const [index, number] of numbers.entries()) {
    if (stop.aborted) break;
    report.beginNumber(number, index + 1, numbers.length);
    const outcome = await syncNumber({
      client,
      delay,
      stop,
      onEvent: (line) => report.event(line),
      onNote: (text) => report.note(text),
    }, {
      connection_id: number.id,
      messages_per_conversation: options.messages,
      delay_ms: options.delayMs,
      dry_run: options.isDryRun,
      ...(options.since === undefined ? {} : { since: options.since }),
    });
    outcomes.push(outcome);
    report.endNumber(number, outcome);
  }
  report.end(outcomes);
  const isOver = outcomes.length === numbers.length && outcomes.every(isFinished);
  return stop.aborted && !isOver ? 130 : exitCodeOf(outcomes, numbers.length);
}

function isFinished({ kind }: Outcome): boolean {
  return kind === "done" || kind === "partial";
}

function exitCodeOf(outcomes: Outcome[], count: number): 0 | 1 | 3 {
  const done = outcomes.filter(({ kind }) => kind === "done").length;
  if (done === count) return 0;
  return outcomes.some(isFinished) ? 3 : 1;
}
