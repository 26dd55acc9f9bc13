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
import { useToast } from "../ui/toast.tsx";
import { type useMakeSummaries, useRun } from "./use_summaries.ts";

/** The button, the bar, and what came of it. */
export function MakeSummaries({ day, hasNotes, make }: {
  day: string;
  hasNotes: boolean;
  make: ReturnType<typeof useMakeSummaries>;
}) {
  const showToast = useToast();
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
        : (
          <Button
            icon={Sparkles}
            variant={hasNotes ? "secondary" : "primary"}
            onClick={() =>
              make.mutate(undefined, {
                onSuccess: ({ notes_written: notes }) => showToast(texts.summaries.made(notes)),
              })}
          >
            {hasNotes ? texts.summaries.remake : texts.summaries.make}
          </Button>
        )}
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
