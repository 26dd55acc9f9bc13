/**
 * Fetches the messages from before a number was connected, and shows the progress.
 *
 * @module
 */

import { CircleStop, History } from "lucide-react";
import { useState } from "react";
import { describeError } from "../api/api_error.ts";
import type { Connection } from "../api/rows.ts";
import { formatAgo } from "../format.ts";
import { texts } from "../texts.ts";
import { Button } from "../ui/button.tsx";
import { SelectField } from "../ui/select_field.tsx";
import { useCanWrite } from "../workspace/workspace.tsx";
import type { Backfill as BackfillRun } from "./queries.ts";
import { percentOf, useBackfill, useStartBackfill, useStopBackfill } from "./use_backfill.ts";

/** How many messages of each conversation are fetched. */
type Depth = "50" | "500" | "all";

const DEPTH_OPTIONS: readonly { value: Depth; label: string }[] = [
  { value: "50", label: texts.backfill.newest(50) },
  { value: "500", label: texts.backfill.newest(500) },
  { value: "all", label: texts.backfill.all },
];

/** Progress bar and buttons. */
export function Backfill({ connection }: { connection: Connection }) {
  const canWrite = useCanWrite();
  const query = useBackfill(connection);
  const start = useStartBackfill(connection);
  const stop = useStopBackfill(connection);
  const [depth, setDepth] = useState<Depth>("all");
  const run = query.data;
  const isRunning = start.isPending || run?.state === "running";
  const error = start.error ?? stop.error;
  return (
    <section className="connection-part">
      <h3>{texts.backfill.title}</h3>
      {!run && !isRunning && <p className="muted">{texts.backfill.startHint}</p>}
      {run && <Progress run={run} />}
      {error && <p className="form-error" role="alert">{describeError(error)}</p>}
      {canWrite && (
        <div className="button-row">
          {isRunning
            ? run && (
              <Button
                icon={CircleStop}
                isBusy={stop.isPending}
                onClick={() => stop.mutate(run.id)}
              >
                {texts.backfill.stop}
              </Button>
            )
            : (
              <>
                <SelectField
                  label={texts.backfill.depth}
                  isLabelHidden
                  options={DEPTH_OPTIONS}
                  value={depth}
                  onChange={setDepth}
                />
                <Button
                  icon={History}
                  onClick={() => start.mutate(depth === "all" ? "all" : Number(depth))}
                >
                  {run?.state === "stopped" || run?.state === "failed"
                    ? texts.backfill.resume
                    : run
                    ? texts.backfill.again
                    : texts.backfill.start}
                </Button>
              </>
            )}
        </div>
      )}
    </section>
  );
}

function Progress({ run }: { run: BackfillRun }) {
  const percent = percentOf(run);
  const title = {
    running: percent === undefined ? texts.backfill.counting : texts.backfill.running,
    done: texts.backfill.done,
    partial: texts.backfill.partial(run.conversations_failed),
    stopped: texts.backfill.stopped,
    failed: texts.backfill.failed,
  }[run.state];
  return (
    <div className="backfill">
      <p className="backfill-head">
        <span>{title}</span>
        {percent !== undefined && <span className="backfill-percent">{percent} %</span>}
      </p>
      <progress
        aria-label={texts.backfill.progress}
        max={100}
        {...(percent === undefined && run.state === "running" ? {} : { value: percent ?? 0 })}
        data-state={run.state}
      />
      <p className="muted" role="status">
        {texts.backfill.counts(
          run.conversations_done.toLocaleString(),
          run.conversations_total.toLocaleString(),
          run.messages_added.toLocaleString(),
        )}
        {run.finished_at && ` · ${formatAgo(run.finished_at)}`}
      </p>
      {run.error && <p className="form-error">{run.error}</p>}
    </div>
  );
}
