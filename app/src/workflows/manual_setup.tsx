/**
 * Guides through Kapso's dashboard, where a sync is impossible.
 *
 * @module
 */

import { CheckCheck } from "lucide-react";
import { texts } from "../texts.ts";
import { Button } from "../ui/button.tsx";
import { CopyButton } from "../ui/copy_button.tsx";
import { LoadFailed } from "../ui/load_failed.tsx";
import { Spinner } from "../ui/spinner.tsx";
import { showError, showToast } from "../ui/toast.ts";
import type { WorkflowSetting } from "../api/rows.ts";
import { useConfirm, useManual } from "./use_workflows.ts";

/** The steps, the workflow as JSON, and a button that confirms the update. */
export function ManualSetup({ setting, isDirty, onConfirmed }: {
  setting: WorkflowSetting;
  isDirty: boolean;
  onConfirmed: () => void;
}) {
  const query = useManual(setting);
  const confirm = useConfirm(setting);
  if (query.isPending) {
    return (
      <p role="status">
        <Spinner /> <span className="visually-hidden">{texts.app.loading}</span>
      </p>
    );
  }
  if (!query.data) {
    return (
      <LoadFailed
        title={texts.workflows.manualFailed}
        error={query.error}
        onRetry={() => query.refetch()}
      />
    );
  }
  const json = JSON.stringify(query.data.workflow_json, null, 2);
  return (
    <section className="manual" aria-labelledby="manual-setup">
      <div>
        <h3 id="manual-setup">{texts.workflows.manualTitle}</h3>
        <p className="muted">{texts.workflows.manualHint}</p>
      </div>
      <ol className="steps">
        {query.data.steps.map(({ number, text, value }) => (
          <li key={number}>
            <p>{text}</p>
            {value !== null && (
              <div className="step-value">
                <pre
                  className="side-text"
                  tabIndex={0}
                  role="region"
                  aria-label={texts.workflows.stepValue(number)}
                >{value}</pre>
                <CopyButton text={value} what={texts.workflows.stepValue(number)} />
              </div>
            )}
          </li>
        ))}
      </ol>
      <details>
        <summary>{texts.workflows.json}</summary>
        <div className="manual-json">
          <p className="muted">{texts.workflows.jsonHint}</p>
          <pre
            className="side-text"
            tabIndex={0}
            role="region"
            aria-label={texts.workflows.json}
          >{json}</pre>
        </div>
      </details>
      <div className="button-row">
        <CopyButton
          text={json}
          what={texts.workflows.json}
          label={texts.workflows.copyJson}
        />
        <Button
          icon={CheckCheck}
          variant="primary"
          disabled={isDirty}
          isBusy={confirm.isPending}
          onClick={() =>
            confirm.mutate(undefined, {
              onSuccess() {
                showToast(texts.workflows.confirmed);
                onConfirmed();
              },
              onError: showError,
            })}
        >
          {texts.workflows.confirm}
        </Button>
      </div>
    </section>
  );
}
