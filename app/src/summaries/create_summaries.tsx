/**
 * Creates the summaries of a day on demand, and shows the progress.
 *
 * @module
 */

import { Sparkles } from "lucide-react";
import { describeError } from "../api/api_error.ts";
import { formatAgo, formatDateTime } from "../format.ts";
import { texts } from "../texts.ts";
import { Button } from "../ui/button.tsx";
import { type useCreateSummaries, useRun } from "./use_summaries.ts";

/** The progress, the button that starts over, and the result. */
export function CreateSummaries({ day, creation, onStart }: {
  day: string;
  creation: ReturnType<typeof useCreateSummaries>;
  /** Starts over; undefined where the page has a button of its own. */
  onStart: (() => void) | undefined;
}) {
  const run = useRun(day).data;
  const isRunning = creation.isPending || run?.state === "running";
  return (
    <div className="create-summaries">
      {isRunning
        ? (
          <div className="backfill">
            <p className="backfill-head">{texts.summaries.creating}</p>
            <progress aria-label={texts.summaries.progress} />
          </div>
        )
        : onStart && <Button icon={Sparkles} onClick={onStart}>{texts.summaries.recreate}</Button>}
      {run && (
        <p className="muted" role="status">
          {isRunning
            ? texts.summaries.counts(
              run.people_done.toLocaleString(),
              run.notes_written.toLocaleString(),
            )
            : [
              run.finished_at && texts.summaries.runDone(formatAgo(run.finished_at)),
              texts.summaries.runNotes(
                run.notes_written.toLocaleString(),
                run.ai_notes.toLocaleString(),
              ),
              texts.summaries.runUntil(formatDateTime(run.covered_until)),
            ].filter(Boolean).join(" · ")}
        </p>
      )}
      {creation.isError && (
        <p className="form-error" role="alert">{describeError(creation.error)}</p>
      )}
    </div>
  );
}
