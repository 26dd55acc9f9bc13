/**
 * The history of a setting: who changed what, and when.
 *
 * @module
 */

import { useState } from "react";
import { formatDateTime } from "../format.ts";
import { texts } from "../texts.ts";
import { Button } from "../ui/button.tsx";
import { LoadFailed } from "../ui/load_failed.tsx";
import { Spinner } from "../ui/spinner.tsx";
import { memberName, useMembers } from "../workspace/workspace.tsx";
import { BothSides } from "./comparison.tsx";
import { StatusTag } from "./status_tag.tsx";
import type { WorkflowHistoryEntry, WorkflowValues } from "../api/rows.ts";
import { WORKFLOW_FIELDS } from "./draft.ts";
import { useHistory } from "./use_workflows.ts";

/** The changes, newest first. */
export function History({ type }: { type: string }) {
  const query = useHistory(type);
  const entries = query.data?.pages.flat() ?? [];
  return (
    <section className="panel history" aria-labelledby="workflow-history">
      <h2 id="workflow-history">{texts.workflows.history}</h2>
      {query.isPending && (
        <p role="status">
          <Spinner /> <span className="visually-hidden">{texts.app.loading}</span>
        </p>
      )}
      {query.isError && entries.length === 0 && (
        <LoadFailed
          title={texts.workflows.historyFailed}
          error={query.error}
          onRetry={() => query.refetch()}
        />
      )}
      {query.isSuccess && entries.length === 0 && (
        <p className="muted">{texts.workflows.historyEmpty}</p>
      )}
      <ol className="history-list">
        {entries.map((entry, index) => (
          <li key={entry.id}>
            <Entry entry={entry} before={valuesBefore(entries, index)} />
          </li>
        ))}
      </ol>
      {query.hasNextPage && (
        <Button
          isBusy={query.isFetchingNextPage}
          onClick={() => query.fetchNextPage()}
        >
          {texts.workflows.showMore}
        </Button>
      )}
    </section>
  );
}

/** The values before a change; null before the first one; undefined where they are not loaded. */
function valuesBefore(
  entries: WorkflowHistoryEntry[],
  index: number,
): WorkflowValues | null | undefined {
  const { action } = entries[index]!;
  if (action === "created") return null;
  if (action !== "updated" && action !== "adopted") return undefined;
  return entries[index + 1]?.values;
}

function Entry({ entry, before }: {
  entry: WorkflowHistoryEntry;
  before: WorkflowValues | null | undefined;
}) {
  const members = useMembers();
  const [isOpen, setIsOpen] = useState(false);
  const author = entry.changed_by === null
    ? texts.workflows.byProgram
    : memberName(members.find(({ user_id }) => user_id === entry.changed_by));
  const changed = before === undefined
    ? []
    : WORKFLOW_FIELDS.filter((field) => textOf(before?.[field]) !== textOf(entry.values[field]));
  return (
    <>
      <p className="history-head">
        <strong>{texts.workflows.actions[entry.action]}</strong>
        {entry.action !== "deleted" && <StatusTag status={entry.sync_status} />}
      </p>
      <p className="muted history-meta">
        {author} · <time dateTime={entry.changed_at}>{formatDateTime(entry.changed_at)}</time>
      </p>
      {changed.length > 0 && (
        <details onToggle={({ currentTarget }) => setIsOpen(currentTarget.open)}>
          <summary>
            {changed.map((field) =>
              texts.workflows.fields[field]
            ).join(", ")}
          </summary>
          {isOpen &&
            changed.map((field) => (
              <section
                key={field}
                className="history-field"
                aria-label={texts.workflows.fields[field]}
              >
                <h3>{texts.workflows.fields[field]}</h3>
                <BothSides
                  one={textOf(before?.[field])}
                  other={textOf(entry.values[field])}
                  names={[texts.workflows.before, texts.workflows.after]}
                />
              </section>
            ))}
        </details>
      )}
    </>
  );
}

/** A value as text; null where it is empty. */
function textOf(value: WorkflowValues[keyof WorkflowValues] | undefined): string | null {
  if (value === null || value === undefined) return null;
  if (Array.isArray(value)) return value.length === 0 ? null : value.join(", ");
  if (typeof value !== "object") return String(value);
  const lists = Object.values(value).filter((each) => each.length > 0);
  return lists.length === 0 ? null : JSON.stringify(value, null, 2);
}
