/**
 * The schedule of summaries, in a line.
 *
 * @module
 */

import { texts } from "../texts.ts";
import { useWorkspace } from "../workspace/workspace.tsx";
import { useSummarySettings } from "./use_summaries.ts";

const clock = new Intl.DateTimeFormat(undefined, {
  hour: "numeric",
  minute: "2-digit",
  timeZone: "UTC",
});

/** Formats an hour of the day in the language of the browser. */
export function formatHour(hour: number): string {
  return clock.format(Date.UTC(2026, 0, 1, hour));
}

/** The line. */
export function Schedule() {
  const workspace = useWorkspace();
  const settings = useSummarySettings().data;
  if (!settings) return null;
  return (
    <p className="muted">
      {settings.is_enabled
        ? texts.summaries.scheduleOn(formatHour(settings.hour), workspace.time_zone)
        : texts.summaries.scheduleOff}
      {", "}
      {settings.allow_external_ai ? texts.summaries.withAi : texts.summaries.withoutAi}
    </p>
  );
}
