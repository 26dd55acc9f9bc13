/**
 * Makes the summaries of a day by hand, and shows how far they are.
 *
 * @module
 */

import { Sparkles } from "lucide-react";
import { describeError } from "../api/api_error.ts";
import { formatAgo, formatDateTime } from "../format.ts";
import { texts } from "../texts.ts";
import { Button } from "../ui/button.tsx";
import { type useMakeSummaries, useRun } from "./use_summaries.ts";

/** The bar, the button where there is something already, and what came of it. */
export function MakeSummaries({ day, make, onStart }: {
  day: string;
  make: ReturnType<typeof useMakeSummaries>;
  /** Undefined where the button stands elsewhere. */
  onStart: (() => void) | undefined;
}) {
  const run = useRun(day).data;
  const isRunning = make.isPending || run?.state === "running";
  return (
    <div className="make-summaries">
      {isRunning
        ? (
          <div className="backfill">
            <p className="backfill-head">{texts.summaries.making}</p>
            <progress aria-label={texts.summaries.progress} />
          </div>
        )
        : onStart && <Button icon={Sparkles} onClick={onStart}>{texts.summaries.remake}</Button>}
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
      {make.isError && <p className="form-error" role="alert">{describeError(make.error)}</p>}
    </div>
  );
}
