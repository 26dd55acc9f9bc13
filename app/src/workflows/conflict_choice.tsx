/**
 * Resolves a conflict: shows both sides and asks which to keep. None is preselected.
 *
 * @module
 */

import { useState } from "react";
import { texts } from "../texts.ts";
import { Button } from "../ui/button.tsx";
import { showError, showToast } from "../ui/toast.ts";
import { Comparison } from "./comparison.tsx";
import type { WorkflowFinding, WorkflowSetting } from "../api/rows.ts";
import { useAdopt, useSync } from "./use_workflows.ts";

type Side = "here" | "kapso";

/** The choice. It applies only to the values that are shown. */
export function ConflictChoice({ finding, setting }: {
  finding: WorkflowFinding;
  setting: WorkflowSetting;
}) {
  const [side, setSide] = useState<Side>();
  const overwrite = useSync(setting);
  const adopt = useAdopt(setting);
  const { fingerprint } = finding;

  function settle() {
    if (fingerprint === null) return;
    const onSuccess = (after: WorkflowFinding) => {
      if (after.outcome === "synced") {
        showToast(side === "here" ? texts.workflows.written : texts.workflows.adopted);
      }
    };
    // A toast, because after an error this choice is replaced by a new comparison.
    if (side === "here") overwrite.mutate(fingerprint, { onSuccess, onError: showError });
    else adopt.mutate(fingerprint, { onSuccess, onError: showError });
  }

  return (
    <div className="conflict">
      <h3>{texts.workflows.conflictTitle}</h3>
      <Comparison changes={finding.changes} />
      <fieldset className="choices choices-pair">
        <legend className="field-legend">{texts.workflows.conflictChoice}</legend>
        <Choice
          name={texts.workflows.keepKapso}
          hint={texts.workflows.keepKapsoHint}
          isChosen={side === "kapso"}
          onChoose={() => setSide("kapso")}
        />
        <Choice
          name={texts.workflows.keepHere}
          hint={texts.workflows.keepHereHint}
          isChosen={side === "here"}
          onChoose={() => setSide("here")}
        />
      </fieldset>
      <div className="button-row">
        <Button
          variant="primary"
          disabled={side === undefined || fingerprint === null}
          isBusy={overwrite.isPending || adopt.isPending}
          onClick={settle}
        >
          {side === undefined
            ? texts.workflows.chooseFirst
            : side === "here"
            ? texts.workflows.overwrite
            : texts.workflows.adopt}
        </Button>
      </div>
    </div>
  );
}

function Choice({ name, hint, isChosen, onChoose }: {
  name: string;
  hint: string;
  isChosen: boolean;
  onChoose: () => void;
}) {
  return (
    <label className="choice">
      <input type="radio" name="side" checked={isChosen} onChange={onChoose} />
      <span>
        <strong>{name}</strong>
        <small>{hint}</small>
      </span>
    </label>
  );
}
