/**
 * Compares a setting with Kapso, and offers a sync or a manual setup.
 *
 * @module
 */

import { ListOrdered, RefreshCw, UploadCloud } from "lucide-react";
import { useState } from "react";
import { describeError } from "../api/api_error.ts";
import { texts } from "../texts.ts";
import { Button } from "../ui/button.tsx";
import { Fact, Moment } from "../ui/fact.tsx";
import { showError, showToast } from "../ui/toast.ts";
import { Comparison } from "./comparison.tsx";
import { ConflictChoice } from "./conflict_choice.tsx";
import { ManualSetup } from "./manual_setup.tsx";
import { SyncDialog } from "./sync_dialog.tsx";
import type { WorkflowFinding, WorkflowSetting } from "../api/rows.ts";
import { useCheck, useDryRun, useSync } from "./use_workflows.ts";

/** The panel. With unsaved changes a sync is disabled. */
export function KapsoPanel({ setting, isDirty }: { setting: WorkflowSetting; isDirty: boolean }) {
  const check = useCheck(setting);
  const dryRun = useDryRun(setting);
  const sync = useSync(setting);
  const [preview, setPreview] = useState<WorkflowFinding>();
  const [isGuideWanted, setIsGuideWanted] = useState(false);
  const finding = check.data;
  const isConflict = finding?.outcome === "conflict";
  const hasProblems = (finding?.problems.length ?? 0) > 0;
  const isGuideOpen = isGuideWanted || setting.sync_status === "manual_setup_required" ||
    hasProblems;

  async function prepare() {
    try {
      const found = await dryRun.mutateAsync();
      if (found.outcome === "pending") return setPreview(found);
      if (found.outcome === "synced") showToast(texts.workflows.nothingToWrite);
      // There is nothing to write. The finding is recorded for all members.
      if (found.outcome === "manual_setup_required" && found.kapso === null) {
        await sync.mutateAsync(null);
      } else await check.refetch();
    } catch (error) {
      showError(error);
    }
  }

  return (
    <section className="panel kapso-panel" aria-labelledby="kapso-panel">
      <h2 id="kapso-panel">{texts.workflows.kapso}</h2>
      <dl className="connection-facts">
        <Fact name={texts.workflows.kapsoWorkflow}>
          {finding?.kapso?.name ?? setting.kapso_workflow_name ?? setting.kapso_workflow_id ??
            texts.workflows.noneYet}
        </Fact>
        <Fact name={texts.workflows.lastSynced}>
          <Moment at={setting.last_synced_at} />
        </Fact>
        <Fact name={texts.workflows.lastChecked}>
          <Moment at={setting.last_checked_at} />
        </Fact>
      </dl>
      <p role="status">
        {check.isFetching
          ? <span className="muted">{texts.workflows.comparing}</span>
          : finding && <State finding={finding} setting={setting} />}
      </p>
      {check.isError && !check.isFetching && (
        <p className="form-error" role="alert">{describeError(check.error)}</p>
      )}
      {finding && isConflict && !isDirty && (
        <ConflictChoice key={finding.fingerprint} finding={finding} setting={setting} />
      )}
      {finding?.outcome === "pending" && <Comparison changes={finding.changes} />}
      <div className="button-row">
        {!isConflict && (
          <Button
            icon={UploadCloud}
            variant={setting.sync_status === "synced" || isGuideOpen ? "secondary" : "primary"}
            disabled={isDirty}
            isBusy={dryRun.isPending || sync.isPending}
            onClick={prepare}
          >
            {texts.workflows.sync}
          </Button>
        )}
        <Button icon={RefreshCw} isBusy={check.isFetching} onClick={() => check.refetch()}>
          {texts.workflows.check}
        </Button>
        {(isGuideWanted || !isGuideOpen) && (
          <Button
            icon={ListOrdered}
            variant="quiet"
            aria-expanded={isGuideWanted}
            onClick={() => setIsGuideWanted(!isGuideWanted)}
          >
            {isGuideWanted ? texts.workflows.hideByHand : texts.workflows.byHand}
          </Button>
        )}
      </div>
      {isDirty && <p className="muted">{texts.workflows.saveFirst}</p>}
      {isGuideOpen && (
        <ManualSetup
          setting={setting}
          isDirty={isDirty}
          onConfirmed={() => setIsGuideWanted(false)}
        />
      )}
      {preview && <SyncDialog preview={preview} onClose={() => setPreview(undefined)} />}
    </section>
  );
}

/** The result of the comparison, in a sentence. */
function State({ finding, setting }: { finding: WorkflowFinding; setting: WorkflowSetting }) {
  if (finding.outcome === "synced") return texts.workflows.inSync;
  if (finding.kapso === null && setting.sync_status === "synced") {
    return texts.workflows.notCompared(finding.message);
  }
  return (
    <>
      {finding.message}
      {finding.changes.length > 0 && ` ${texts.workflows.differences(finding.changes.length)}.`}
    </>
  );
}
