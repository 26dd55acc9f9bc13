/**
 * The sync status of a setting, as a badge.
 *
 * @module
 */

import { texts } from "../texts.ts";
import type { SyncStatus } from "../api/rows.ts";

const TONES = {
  synced: "good",
  pending: "warning",
  conflict: "bad",
  manual_setup_required: "warning",
  error: "bad",
} as const;

/** The badge. Its title explains it. */
export function StatusTag({ status }: { status: SyncStatus }) {
  return (
    <span className="tag" data-tone={TONES[status]} title={texts.workflows.statusHints[status]}>
      {texts.workflows.status[status]}
    </span>
  );
}

/** Name of a type of workflow. */
export function workflowName(type: string): string {
  return texts.workflows.names[type] ?? type;
}
