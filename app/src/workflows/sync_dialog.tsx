/**
 * Shows what a sync will write, and writes it.
 *
 * @module
 */

import { describeError } from "../api/api_error.ts";
import { texts } from "../texts.ts";
import { Button } from "../ui/button.tsx";
import { Dialog } from "../ui/dialog.tsx";
import { showToast } from "../ui/toast.ts";
import { Comparison } from "./comparison.tsx";
import { workflowName } from "./status_tag.tsx";
import type { WorkflowFinding } from "../api/rows.ts";
import { useSync } from "./use_workflows.ts";

/** The result of a dry run, and the button. A change at Kapso since then is not overwritten. */
export function SyncDialog({ preview, onClose }: {
  preview: WorkflowFinding;
  onClose: () => void;
}) {
  // Syncs the version that was previewed, even if another user has saved since.
  const { setting } = preview;
  const sync = useSync(setting);
  const failure = sync.data?.outcome === "error" ? sync.data.message : undefined;
  return (
    <Dialog
      title={texts.workflows.dryRunTitle}
      size="large"
      isDismissable={!sync.isPending}
      onClose={onClose}
    >
      <p className="muted">
        {texts.workflows.dryRunHint(preview.kapso?.name ?? workflowName(setting.workflow_type))}
      </p>
      <Comparison changes={preview.changes} isPreview />
      <p className="form-error" role="alert">
        {failure ?? (sync.error && describeError(sync.error))}
      </p>
      <div className="dialog-actions">
        <Button disabled={sync.isPending} onClick={onClose}>{texts.common.cancel}</Button>
        <Button
          variant="primary"
          isBusy={sync.isPending}
          onClick={() =>
            sync.mutate(null, {
              onSuccess({ outcome, message }) {
                if (outcome === "error") return;
                showToast(outcome === "synced" ? texts.workflows.written : message);
                onClose();
              },
            })}
        >
          {texts.workflows.write}
        </Button>
      </div>
    </Dialog>
  );
}
